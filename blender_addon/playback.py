"""Playing a baked cache on Blender's timeline: the frame's splats are written into a point cloud before each frame.

Frame 0 of the take lies at the scene's start frame. The cache is a folder of memory-mapped arrays, so a frame costs
one copy; background renders run the same handler, so every rendered frame is the exact one, or the render fails.
"""

from __future__ import annotations

from math import floor
from pathlib import Path

import bpy
from bpy.app.handlers import persistent
from mathutils import Vector

from perpetua_protocol.cache import Cache, CacheMeta
from perpetua_protocol.errors import ProtocolError

from . import display, handlers, session, splat_layers, splat_viewport, visitors
from .errors import AddonError
from .frames import clear, forget_colours, open_cache, release, write
from .point_cloud import STATIC, Floats, new_cloud, resize

COLLECTION = "Perpetua"
SPLATS = "Perpetua splats"
BACKGROUND = "Perpetua background"
COMPARED = "Perpetua compared"

LINKED = "Scene '{}' is linked, so its take cannot play; append the scene, or link its collection Perpetua."

ROUNDING = 1e-4
"""Of a frame: a speed of a tenth shall show frame 3 at frame 30, whatever single precision makes of it."""


def attach(scene: bpy.types.Scene, folder: Path) -> CacheMeta:
    """Play the cache in ``folder`` in ``scene``: make the clouds, show the current frame, set the frame range.

    Raises ``DamagedCache`` with a sentence when there is none.
    """
    cache = open_cache(folder, again=True)
    settings = scene.perpetua
    settings.cache_folder = stored_path(folder)
    settings.background = still = _cloud(scene, settings.background, BACKGROUND, cache.meta.background)
    settings.splats = _cloud(scene, settings.splats, SPLATS, cache.meta.foreground)
    still[STATIC] = True
    write(still, cache.background(), settings.display)
    show(scene)
    note_caches(scene)
    display.apply(scene)
    scene.render.fps, scene.render.fps_base = frame_rate(cache.meta.fps)
    baked_end = scene.frame_start + settings.frame_offset + cache.meta.frames - 1
    scene.frame_end = max(scene.frame_start, baked_end, planned_end(scene))
    return cache.meta


def show(scene: bpy.types.Scene) -> None:
    """Write the splats of the scene's current frame. Raises ``DamagedCache``; does nothing without a cache."""
    settings = scene.perpetua
    if settings.compared is None and settings.compared_splats is not None:
        compare(scene)  # the scene it was compared with is gone
    cloud = settings.splats if settings.cache_folder else None
    if cloud is None:
        return
    cache = open_cache(resolve(settings.cache_folder))
    frame = cache.frame(take_frame(scene, cache.meta.frames))
    resize(cloud, cache.meta.foreground)
    write(cloud, frame, settings.display)
    if settings.compared is not None and settings.compared_splats is not None:
        _write_compared(scene)


def compare(scene: bpy.types.Scene) -> None:
    """Show the take of the scene's ``compared`` beside its own, or no longer. Raises as ``meta``."""
    settings = scene.perpetua
    if settings.compared is None:
        shown = settings.compared_splats
        if shown is not None:
            bpy.data.objects.remove(shown)
        settings.compared_splats = None
        return
    count = meta(settings.compared).foreground
    settings.compared_splats = cloud = _cloud(scene, settings.compared_splats, COMPARED, count)
    cloud.location = settings.compare_distance * _to_the_right(scene)
    _write_compared(scene)
    display.apply(scene)


def _write_compared(scene: bpy.types.Scene) -> None:
    cloud = scene.perpetua.compared_splats
    frame = frame_of_another(scene.perpetua.compared, scene)
    resize(cloud, len(frame["position"]))
    write(cloud, frame, scene.perpetua.display)


def _to_the_right(scene: bpy.types.Scene) -> Vector:
    """Unit vector to the right as the picture's camera sees it, level with the table."""
    front = next(
        (entry.object for entry in scene.perpetua.cameras if entry.role == "front" and entry.there), None
    )
    x, y, _ = front.matrix_world.col[0].xyz if front is not None else (1.0, 0.0, 0.0)
    return Vector((x, y, 0.0)).normalized()


def take_frame(scene: bpy.types.Scene, frames: int) -> int:
    """The take's frame that the timeline's current frame shows, of a cache with ``frames`` frames.

    The offset moves it, the speed stretches it (backwards it begins at the end), and a loop begins again when it ends.
    """
    return take_frame_at(scene, scene.frame_current, frames)


def take_frame_at(scene: bpy.types.Scene, frame: int, frames: int) -> int:
    """The same for frame ``frame`` of the timeline."""
    settings = scene.perpetua
    played = (frame - scene.frame_start - settings.frame_offset) * settings.speed
    number = floor(played + ROUNDING) + (frames - 1 if settings.speed < 0 else 0)
    return number % frames if settings.loop else min(max(number, 0), frames - 1)


def note_caches(scene: bpy.types.Scene) -> None:
    """The clouds say themselves what they play, for files that link or append them."""
    settings = scene.perpetua
    for cloud in (settings.splats, settings.background):
        if cloud is not None and cloud.library is None:
            visitors.note(cloud, settings.cache_folder)


def planned_end(scene: bpy.types.Scene) -> int:
    """The timeline's frame at which the last round of the take ends."""
    settings = scene.perpetua
    return scene.frame_start + settings.frame_offset + sum(turn.frames for turn in settings.rounds)


def frame_of_another(other: bpy.types.Scene, shown_in: bpy.types.Scene) -> dict[str, Floats]:
    """The moving splats of another scene's take at the time of the scene it is shown in, by attribute.

    Raises ``AddonError`` or ``DamagedCache`` when the other scene has no baked take.
    """
    cache = cache_of(other)
    return cache.frame(take_frame(shown_in, cache.meta.frames))


def last_frame(scene: bpy.types.Scene) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Background and moving splats of the newest baked frame, by attribute. Raises as ``meta``."""
    cache = cache_of(scene)
    return cache.background(), cache.frame(cache.meta.frames - 1)


def meta(scene: bpy.types.Scene) -> CacheMeta:
    """What the scene's cache says of itself. Raises as ``cache_of``."""
    return cache_of(scene).meta


def cache_of(scene: bpy.types.Scene) -> Cache:
    """The cache that the scene plays. Raises ``AddonError`` when nothing is baked, ``DamagedCache`` when it is gone."""
    if not scene.perpetua.cache_folder:
        raise AddonError("Nothing is baked yet; reconstruct the picture or bake the take first.")
    return open_cache(resolve(scene.perpetua.cache_folder))


def stored_path(folder: Path) -> str:
    """How a folder is stored in the .blend: relative to it (``//``) once the file has a place and lies on its drive."""
    if not bpy.data.filepath:
        return str(folder)
    try:
        return bpy.path.relpath(str(folder))
    except ValueError:  # another drive on Windows
        return str(folder)


def resolve(stored: str) -> Path:
    """The folder a stored path means."""
    return Path(bpy.path.abspath(stored)).resolve()


def frame_rate(fps: float) -> tuple[int, float]:
    """Blender's ``fps`` and ``fps_base`` for a frame rate."""
    whole = max(1, round(fps))
    return whole, whole / fps


def _cloud(scene: bpy.types.Scene, cloud: bpy.types.Object | None, name: str, count: int) -> bpy.types.Object:
    """The scene's cloud with ``count`` points, made if it is missing. It shows as a box: the splats are drawn over it."""
    if cloud is None or cloud.name not in scene.objects:
        cloud = new_cloud(name, count, collection(scene))
        cloud.hide_select = True
    resize(cloud, count)
    return cloud


def collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """The scene's collection for everything Perpetua makes."""
    for child in scene.collection.children_recursive:
        own = child.library is None and child.override_library is None
        if own and child.name.split(".")[0] == COLLECTION:
            return child
    return new_collection(scene)


def new_collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """An empty one of these, for a scene that has none."""
    made = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(made)
    return made


def _show_or_tell(scene: bpy.types.Scene) -> None:
    """Show the frame. A handler has no caller to raise to: the panel, the console and the engine's renders say it."""
    state = session.current()
    state.unplayable.pop(scene.session_uid, None)
    if scene.library is not None:  # nobody can write into it, nor put visitors there
        if scene.perpetua.cache_folder:
            state.unplayable[scene.session_uid] = LINKED.format(scene.name)
        return
    try:
        show(scene)
        if visitors.there():
            visitors.show(scene, collection(scene))
    except ProtocolError as error:
        state.unplayable[scene.session_uid] = str(error)
        if scene.perpetua.splats is not None:
            clear(scene.perpetua.splats)
        if state.sentence != str(error):
            state.sentence = str(error)
            print(f"Perpetua: {error}", flush=True)
    except Exception as error:
        # a defect keeps its traceback, but no render may go on with another frame's splats
        state.unplayable[scene.session_uid] = f"The baked frame could not be shown: {error}"
        raise


@persistent
def on_frame_change(scene: bpy.types.Scene, *_: object) -> None:
    _show_or_tell(scene)


@persistent
def on_load(*_: object) -> None:
    release()
    splat_viewport.forget()
    splat_layers.forget()
    session.reset()
    for scene in bpy.data.scenes:
        display.known_one(scene.perpetua)
        _show_or_tell(scene)


@persistent
def on_undo(scene: bpy.types.Scene, *_: object) -> None:
    forget_colours()  # the clouds are as they were then
    _show_or_tell(scene)


@persistent
def on_import(imported: bpy.types.BlendImportContext, *_: object) -> None:
    """Something was linked or appended."""
    for item in imported.import_items:
        if item.id is not None and item.id.library is None and item.source_library is not None:
            visitors.came_in(item.id, item.source_library)
    for scene in bpy.data.scenes:
        if scene.library is None:
            _show_or_tell(scene)


HANDLERS = {
    "frame_change_pre": on_frame_change,
    "load_post": on_load,
    "undo_post": on_undo,
    "redo_post": on_undo,
    "blend_import_post": on_import,
}


def start() -> None:
    """Follow the timeline from now on."""
    handlers.add(HANDLERS)


def stop() -> None:
    """Stop following the timeline and close the caches."""
    handlers.remove(HANDLERS)
    release()
