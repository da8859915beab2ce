"""Takes that came from other files: linked, overridden or instanced collections, and appended ones without their scene.

Blender lets nobody write into linked data. So for every linked cloud that a scene shows, a cloud of the scene's own (a visitor) plays the
same cache and follows the linked object. An appended cloud is written itself. Both play from the scene's start frame on; the custom property
``perpetua_offset`` of the cloud moves that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy
from mathutils import Matrix

from . import clouds, frames
from .clouds import STANDS_FOR
from .point_cloud import STATIC, new_cloud, resize

CACHE = "perpetua_cache"
"""Custom property of a cloud's object: the folder of its cache, relative to its own file where that is saved."""
APPENDED = "perpetua_appended"
"""Custom property of a point cloud that came without its scene."""
OFFSET = "perpetua_offset"


@dataclass(frozen=True)
class Source:
    """A linked cloud as a scene shows it. carrier: the empty that instances its collection, or the cloud itself."""

    cloud: bpy.types.Object
    carrier: bpy.types.Object

    @property
    def key(self) -> str:
        return f"{self.carrier.name} {self.cloud.name} {self.cloud.data.library.filepath}"

    def matrix(self) -> Matrix:
        """Where it is in the world, as Blender last evaluated it."""
        return self.carrier.matrix_world @ self.inside()

    def inside(self) -> Matrix:
        """Its place in what carries it."""
        if self.carrier == self.cloud:
            return Matrix.Identity(4)
        return Matrix.Translation(-self.carrier.instance_collection.instance_offset) @ self.cloud.matrix_world


def note(cloud: bpy.types.Object, stored: str) -> None:
    """Write down on a cloud what it plays, so that it can be played in another file."""
    cloud[CACHE] = stored


def appended() -> Iterator[bpy.types.Object]:
    """The file's clouds that came from other files without their scenes."""
    for thing in bpy.data.objects:
        if (
            thing.type == "POINTCLOUD"
            and thing.library is None
            and thing.get(CACHE)
            and thing.data.get(APPENDED)
        ):
            yield thing


def there() -> bool:
    """Whether the file has any cloud from another one."""
    return any(data.library is not None or data.get(APPENDED) for data in bpy.data.pointclouds)


def show(scene: bpy.types.Scene, home: bpy.types.Collection) -> None:
    """Write the scene's frame into its visitors and appended clouds; ``home`` is where visitors are kept.

    Visitors that stand for nothing any more are removed. Raises ``DamagedCache`` when a cache is not where it was.
    """
    sources = {source.key: source for source in _sources(scene)}
    own = {cloud[STANDS_FOR]: cloud for cloud in home.objects if cloud.get(STANDS_FOR)}
    for gone in own.keys() - sources.keys():
        bpy.data.objects.remove(own.pop(gone))
    for key, source in sources.items():
        visitor = own.get(key) or _new(source, home)
        visitor.hide_render = source.carrier.hide_render
        _write(scene, visitor, folder_of(source.cloud))
    for cloud in scene.objects:
        if cloud.type == "POINTCLOUD" and cloud.data.get(APPENDED) and cloud.get(CACHE):
            _write(scene, cloud, folder_of(cloud))


def drawn(scene: bpy.types.Scene) -> Iterator[tuple[bpy.types.Object, Matrix]]:
    """The clouds from other files that a viewport draws, and where they are now."""
    if not there():
        return
    sources = {source.key: source for source in _sources(scene)}
    for cloud in scene.objects:
        if cloud.type != "POINTCLOUD":
            continue
        if cloud.get(STANDS_FOR) in sources:
            source = sources[cloud[STANDS_FOR]]
            if source.carrier == source.cloud or source.carrier.visible_get():
                yield cloud, source.matrix()
        elif cloud.data.get(APPENDED):
            yield cloud, cloud.matrix_world


def is_replaced(cloud: bpy.types.Object) -> bool:
    """Whether a visitor stands for a cloud, which then is not drawn itself."""
    return cloud.data.library is not None and cloud.get(CACHE) is not None


def folder_of(cloud: bpy.types.Object) -> Path:
    """The cache that a cloud says it plays, seen from the file it came from."""
    override = cloud.override_library
    library = cloud.library if override is None else override.reference.library
    return Path(bpy.path.abspath(cloud[CACHE], library=library)).resolve()


def came_in(item: bpy.types.ID, library: bpy.types.Library) -> None:
    """Something was appended from ``library``: what it says of files is seen from there."""
    if isinstance(item, bpy.types.Scene):
        settings = item.perpetua
        for name in ("picture", "cache_folder", "bake_folder"):
            setattr(settings, name, _from_here(getattr(settings, name), library))
        for name in ("front", "depth"):
            setattr(settings.input, name, _from_here(getattr(settings.input, name), library))
    elif isinstance(item, bpy.types.Object) and item.get(CACHE):
        item[CACHE] = _from_here(item[CACHE], library)
        owned = any(item in (s.perpetua.splats, s.perpetua.background) for s in bpy.data.scenes)
        if item.data is not None and not owned:
            item.data[APPENDED] = True


def _from_here(stored: str, library: bpy.types.Library) -> str:
    return bpy.path.abspath(stored, library=library) if stored.startswith("//") else stored


def _sources(scene: bpy.types.Scene) -> Iterator[Source]:
    for thing in scene.objects:
        if _is_linked(thing):
            yield Source(thing, thing)
        elif thing.instance_type == "COLLECTION" and thing.instance_collection is not None:
            for inner in thing.instance_collection.all_objects:
                if _is_linked(inner):
                    yield Source(inner, thing)


def _is_linked(thing: bpy.types.Object) -> bool:
    return thing.type == "POINTCLOUD" and is_replaced(thing)


def _new(source: Source, home: bpy.types.Collection) -> bpy.types.Object:
    """A visitor for a linked cloud, which follows it also where only Blender's evaluation knows its place."""
    made = new_cloud(f"{source.cloud.name} here", 0, home)
    made[STANDS_FOR], made[clouds.ROLE] = source.key, source.cloud[clouds.ROLE]
    made[STATIC] = made[clouds.ROLE] == "background"
    made.display_type = "BOUNDS"
    made.hide_viewport = made.hide_select = True  # drawn by the add-on
    if source.carrier == source.cloud:
        made.constraints.new("COPY_TRANSFORMS").target = source.cloud
    else:
        made.parent, made.matrix_basis = source.carrier, source.inside()
    return made


def _write(scene: bpy.types.Scene, cloud: bpy.types.Object, folder: Path) -> None:
    cache = frames.open_cache(folder)
    still = cloud.get(clouds.ROLE) == "background"
    number = scene.frame_current - scene.frame_start - int(cloud.get(OFFSET, 0))
    frame = cache.background() if still else cache.frame(number)
    resize(cloud, len(frame["position"]))
    if not (still and frames.is_written(cloud, frame)):  # what stands still is written once
        frames.write(cloud, frame, "SPLATS")
