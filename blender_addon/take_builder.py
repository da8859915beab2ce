"""The scene as a take: every force sampled in every frame of its rounds from the evaluated scene, cameras as they stand.

Frame 0 of the take is the scene's start frame. How a force is described is in ``force_actions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import msgspec

from perpetua_protocol.take import (
    CameraSpec,
    Click,
    MaterialSpec,
    ObjectSpec,
    Quality,
    RefinerSpec,
    RegionSpec,
    Round,
    Take,
    Vec3,
    Vector,
    validate,
)

from . import force_sampling, inputs
from .cameras import camera_spec, same_place
from .errors import AddonError
from .force_sampling import round_actions
from .tracks import vector_track

ORBIT_DEGREES = 25.0
"""Where the side cameras stand unless the artist puts them elsewhere."""
DEFAULT_CAMERAS = (
    CameraSpec("front", "front"),
    CameraSpec("left", "side", -ORBIT_DEGREES),
    CameraSpec("right", "side", ORBIT_DEGREES),
)
SAME_SCALE = 1e-6
"""Difference to one metre a unit that single precision makes."""
QUALITIES = {
    "preview": Quality(width=256, particles=3000, splat_width=480, optimise_renders=120),
    "final": Quality(),
}


def build_take(scene: bpy.types.Scene, through_round: int) -> Take:
    """The take up to and including round ``through_round`` (0: only the picture).

    Raises ``AddonError`` or ``InvalidTake`` with a sentence that says what is missing. The current frame is kept.
    """
    settings = scene.perpetua
    _check_units(scene)
    with _evaluated(scene), _hidden_too(scene), _current_frame_kept(scene):
        rounds = _rounds(scene, through_round)
        take = Take(
            name=settings.take_name,
            picture=picture_path(scene).name,
            objects=tuple(_object(thing) for thing in settings.things),
            rounds=rounds,
            cameras=_cameras(scene),
            gravity=_gravity(scene, sum(r.frames for r in rounds)),
            fps=scene.render.fps / scene.render.fps_base,
            scene=inputs.scene_settings(settings),
            refiner=refiner_spec(settings.refiner, settings.refiner_options),
            quality=quality(settings),
            identify=settings.identify,
            seed=settings.seed,
        )
    validate(take)
    return take


def build_look(scene: bpy.types.Scene) -> Take:
    """The take as far as its input goes, to look at before objects are clicked. Raises as ``build_take``."""
    settings = scene.perpetua
    take = Take(
        name=settings.take_name,
        picture=picture_path(scene).name,
        objects=(),
        scene=msgspec.structs.replace(inputs.scene_settings(settings), view=None),
        quality=quality(settings),
        seed=settings.seed,
    )
    validate(take, look=True)
    return take


def picture_path(scene: bpy.types.Scene) -> Path:
    """The main file of the scene's input. Raises ``AddonError`` when there is none."""
    stored = scene.perpetua.picture
    if not stored:
        raise AddonError("There is no picture yet; open one in the Perpetua tab.")
    path = Path(bpy.path.abspath(stored))
    if not path.is_file():
        raise AddonError(f"There is no file at {path}; open it again.")
    return path


def quality(settings: bpy.types.PropertyGroup) -> Quality:
    """The chosen quality with what the artist changed of it."""
    chosen = QUALITIES[settings.quality]
    return Quality(
        width=settings.video_width or chosen.width,
        particles=settings.particles or chosen.particles,
        splat_width=settings.splat_width or chosen.splat_width,
        optimise_renders=settings.optimise_renders or chosen.optimise_renders,
    )


def round_starts(settings: bpy.types.PropertyGroup) -> list[int]:
    """The take's frame each round starts from, and the last round's end."""
    starts = [0]
    for turn in settings.rounds:
        starts.append(starts[-1] + turn.frames)
    return starts


def refiner_spec(name: str, options: Iterable[bpy.types.PropertyGroup]) -> RefinerSpec:
    """A refiner and its options, each read as a number, true, false or words."""
    return RefinerSpec(name.strip() or "none", {entry.name: option_value(entry.value) for entry in options})


def option_value(text: str) -> bool | int | float | str:
    """What was typed, as the simplest kind of value that it can be."""
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_units(scene: bpy.types.Scene) -> None:
    """A take is in metres and so are all its numbers in the panels: in other units a height that is typed would mean another one."""
    units = scene.unit_settings
    if units.system != "NONE" and abs(units.scale_length - 1.0) > SAME_SCALE:
        raise AddonError(
            f"A unit of this scene is {units.scale_length:g} m, and Perpetua needs a metre; set Unit Scale to 1 under "
            "Scene Properties > Units, or make the take in a scene of its own and link it."
        )


def _object(thing: bpy.types.PropertyGroup) -> ObjectSpec:
    return ObjectSpec(
        thing.name,
        _clicks(thing),
        box=_box(thing),
        material=_material(thing),
        height=thing.height or None,
        outline=thing.outline,
        resting=thing.resting,
        held=thing.held,
        regions=tuple(
            RegionSpec(part.name, _clicks(part), _box(part), _material(part)) for part in thing.regions
        ),
    )


def _clicks(marked: bpy.types.PropertyGroup) -> tuple[Click, ...]:
    return tuple(Click(click.x, click.y, click.inside) for click in marked.clicks)


def _box(marked: bpy.types.PropertyGroup) -> tuple[float, float, float, float] | None:
    if not marked.use_box:
        return None
    left, top, right, bottom = marked.box
    return left, top, right, bottom


def _material(marked: bpy.types.PropertyGroup) -> MaterialSpec:
    return MaterialSpec(marked.material, **{change.parameter: change.value for change in marked.changes})


def _cameras(scene: bpy.types.Scene) -> tuple[CameraSpec, ...]:
    """The listed cameras; the usual three while there are none."""
    listed = [entry for entry in scene.perpetua.cameras if entry.there]
    if not listed:
        return DEFAULT_CAMERAS
    graph = bpy.context.evaluated_depsgraph_get()
    specs = []
    for entry in listed:
        camera = entry.object.evaluated_get(graph)
        if same_place(camera, list(entry.placed), scene):  # as the backend placed it, to the last bit
            specs.append(CameraSpec(entry.name, entry.role, entry.orbit))
        else:
            specs.append(camera_spec(entry.name, entry.role, camera, scene))
    return tuple(specs)


def _rounds(scene: bpy.types.Scene, through_round: int) -> tuple[Round, ...]:
    settings = scene.perpetua
    if through_round > len(settings.rounds):
        raise AddonError(
            f"There are {len(settings.rounds)} rounds, so none is number {through_round}; add a round."
        )
    starts = round_starts(settings)
    return tuple(
        Round(
            turn.frames,
            round_actions(scene, first, last),
            f"round {index}",
            refiner_spec(turn.refiner, turn.options) if turn.use_refiner else None,
            draw=turn.draw,
        )
        for index, (turn, first, last) in enumerate(
            zip(settings.rounds[:through_round], starts, starts[1:], strict=False), 1
        )
    )


def _gravity(scene: bpy.types.Scene, frames: int) -> Vector:
    if not scene.use_gravity:
        return (0.0, 0.0, 0.0)
    if scene.animation_data is None:
        x, y, z = scene.gravity
        return (x, y, z)
    values: list[Vec3] = []
    for frame in range(frames + 1):
        scene.frame_set(scene.frame_start + frame)
        x, y, z = bpy.context.evaluated_depsgraph_get().scene_eval.gravity
        values.append((x, y, z))
    return vector_track([float(frame) for frame in range(frames + 1)], values)


@contextmanager
def _evaluated(scene: bpy.types.Scene) -> Iterator[None]:
    """Within it the context's evaluated scene is this one, whichever the window shows."""
    if bpy.context.scene == scene:
        yield
        return
    with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        yield


@contextmanager
def _hidden_too(scene: bpy.types.Scene) -> Iterator[None]:
    """Within it Blender evaluates also forces and cameras that are disabled in viewports or left out of the view layer.

    It would read them as they last stood, without their keys and parents. What shall not act is switched off in the list.
    """
    entries = [*force_sampling.acting(scene), *(entry for entry in scene.perpetua.cameras if entry.there)]
    layer = bpy.context.view_layer
    hidden = {entry.object for entry in entries if not entry.object.visible_get(view_layer=layer)}
    if not hidden:
        yield
        return
    disabled = [thing for thing in hidden if thing.hide_viewport]
    seen = bpy.data.collections.new("Perpetua reads")
    scene.collection.children.link(seen)
    try:
        for thing in hidden:
            seen.objects.link(thing)
        for thing in disabled:
            thing.hide_viewport = False
        yield
    finally:
        for thing in disabled:
            thing.hide_viewport = True
        bpy.data.collections.remove(seen)


@contextmanager
def _current_frame_kept(scene: bpy.types.Scene) -> Iterator[None]:
    frame = scene.frame_current
    try:
        yield
    finally:
        if scene.frame_current != frame:
            scene.frame_set(frame)
