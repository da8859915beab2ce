"""What each round of a take depends on, as a digest, read from the scene as the artist left it.

The digest of a round is chained to the one before, so a change marks the round it touches and all after it. Nothing is
evaluated and no frame is set, so a panel may ask in every drawing: what is animated is taken from its curves in the round's
frames, what is not from the properties themselves; parents and constraints are followed. Modifiers of other objects, physics
and Python drivers' surroundings are not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import msgspec
import numpy as np

from . import force_sampling, inputs, take_builder
from .cameras import same_place
from .errors import AddonError
from .force_kinds import END, START

TRANSFORM = (
    "location",
    "rotation_mode",
    "rotation_euler",
    "rotation_quaternion",
    "rotation_axis_angle",
    "scale",
    "delta_location",
    "delta_rotation_euler",
    "delta_rotation_quaternion",
    "delta_scale",
    "parent_type",
    "parent_bone",
    "matrix_parent_inverse",
)
LENS = ("type", "lens", "sensor_fit", "sensor_width", "sensor_height", "shift_x", "shift_y")
NOT_SEEN = {
    "rna_type",
    "show_expanded",
    "is_active",
    "active",
    "show_viewport",
    "show_in_editmode",
    "execution_time",
}
"""Properties of modifiers and constraints that change nothing."""
DEEPEST = 16
"""Parents and constraint targets that are followed, one from another."""

Animated = set[tuple[str, int]]
"""(data path, array index) of what a curve or driver sets: its present value depends on the present frame."""


def fingerprints(scene: bpy.types.Scene) -> list[str]:
    """Digests of the picture's scene and of every round; ``[0]`` is the reconstruction.

    Raises ``AddonError`` when a force cannot be described.
    """
    settings = scene.perpetua
    chain = [_digest(_reconstruction(scene))]
    always = _always(scene)
    starts = take_builder.round_starts(settings)
    for index, turn in enumerate(settings.rounds):
        own = {
            "frames": turn.frames,
            "refiner": _refiner(turn.refiner, turn.options) if turn.use_refiner else None,
            "forces": _forces(scene, starts[index], starts[index + 1]),
            "gravity": _gravity(scene, starts[index], starts[index + 1]),
            **({"draw": turn.draw} if turn.draw else {}),
        }
        chain.append(_digest([chain[-1], always, own]))
    return chain


def _reconstruction(scene: bpy.types.Scene) -> dict[str, Any]:
    settings = scene.perpetua
    quality = take_builder.quality(settings)
    return {
        "picture": [_file(path) for path in (settings.picture, *inputs.further_files(settings))],
        "objects": [_simple(thing) for thing in settings.things],
        "scene": inputs.scene_settings(settings),
        "quality": [quality.particles, quality.splat_width, quality.sub_gaussians],
        "seed": settings.seed,
    }


def _always(scene: bpy.types.Scene) -> dict[str, Any]:
    settings = scene.perpetua
    render = scene.render
    return {
        "quality": take_builder.quality(settings),
        "refiner": [_refiner(settings.refiner, settings.refiner_options), settings.identify],
        "cameras": [_camera(entry, scene) for entry in settings.cameras if entry.there]
        or [[camera.name, camera.role, camera.orbit_degrees] for camera in take_builder.DEFAULT_CAMERAS],
        "fps": render.fps / render.fps_base,
    }


def _forces(scene: bpy.types.Scene, first: int, last: int) -> list[Any]:
    described = []
    for entry in force_sampling.acting(scene):
        start, end = force_sampling.window(entry.object, scene, first, last)
        if start < last and end > first:
            frames = range(scene.frame_start + first, scene.frame_start + last + 1)
            window = [max(start, first), min(end, last)]
            described.append([force_sampling.chosen(entry), window, _object(entry.object, frames)])
    return described


def _gravity(scene: bpy.types.Scene, first: int, last: int) -> Any:
    if not scene.use_gravity:
        return None
    frames = range(scene.frame_start + first, scene.frame_start + last + 1)
    curves, animated = _animation(scene, frames, only="gravity")
    return [curves, _properties(scene, ("gravity",), animated)]


def _camera(entry: bpy.types.PropertyGroup, scene: bpy.types.Scene) -> Any:
    if same_place(entry.object, list(entry.placed), scene):
        return [entry.name, entry.role, entry.orbit]
    frame = scene.frame_current
    size = [scene.render.resolution_x, scene.render.resolution_y]
    return [entry.name, entry.role, size, _object(entry.object, range(frame, frame + 1))]


def _refiner(name: str, options: Iterable[bpy.types.PropertyGroup]) -> Any:
    spec = take_builder.refiner_spec(name, options)
    return [spec.name, sorted((key, str(value)) for key, value in spec.options.items())]


def _object(thing: bpy.types.Object, frames: range, depth: int = 0) -> Any:
    """Everything that decides where an object is and what force it carries in ``frames`` of the timeline."""
    curves, animated = _animation(thing, frames)
    own = {
        key: value
        for key, value in thing.items()
        if key.startswith("perpetua_") and key not in (START, END) and (f'["{key}"]', 0) not in animated
    }
    described = [thing.name if depth == 0 else "", curves, own, _properties(thing, TRANSFORM, animated)]
    if thing.field is not None and thing.field.type != "NONE":
        described.append(_simple(thing.field, "field.", animated))
    if thing.type == "CAMERA":
        lens, moving = _animation(thing.data, frames)
        described.append([lens, _properties(thing.data, LENS, moving)])
    if thing.type == "MESH" and depth == 0:
        described.append(_mesh(thing.data))
        described += [
            [m.type, m.show_viewport, _simple(m, f'modifiers["{m.name}"].', animated)]
            for m in thing.modifiers
        ]
    if depth < DEEPEST:
        described += [_constraint(c, frames, animated, depth) for c in thing.constraints]
        if thing.parent is not None:
            described.append(_object(thing.parent, frames, depth + 1))
    return described


def _constraint(constraint: bpy.types.Constraint, frames: range, animated: Animated, depth: int) -> Any:
    target = getattr(constraint, "target", None)
    return [
        constraint.type,
        _simple(constraint, f'constraints["{constraint.name}"].', animated),
        None if target is None else _object(target, frames, depth + 1),
    ]


def _mesh(mesh: bpy.types.Mesh) -> str:
    corners = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", corners)
    loops = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", loops)
    return hashlib.sha256(corners.tobytes() + loops.tobytes()).hexdigest()


def _animation(owner: bpy.types.ID, frames: range, only: str = "") -> tuple[list[Any], Animated]:
    """The values of an ID's curves in ``frames``, what else animates it, and which properties it sets."""
    data = owner.animation_data
    if data is None:
        return [], set()
    described: list[Any] = []
    animated: Animated = set()
    for curve in curves(data.action):
        if only in curve.data_path and not curve.mute:
            animated.add((curve.data_path, curve.array_index))
            values = [round(curve.evaluate(frame), 7) for frame in frames]
            described.append([curve.data_path, curve.array_index, values])
    for curve in data.drivers:
        if only in curve.data_path:
            animated.add((curve.data_path, curve.array_index))
            described.append([curve.data_path, curve.array_index, curve.driver.type, curve.driver.expression])
    for track in data.nla_tracks:
        described += [
            [track.mute, _simple(strip), strip.action and strip.action.name] for strip in track.strips
        ]
    return described, animated


def curves(action: bpy.types.Action | None) -> list[bpy.types.FCurve]:
    """Everything an action animates."""
    if action is None:
        return []
    if hasattr(action, "fcurves"):  # up to Blender 4.5; later they lie in the layers' channel bags
        return list(action.fcurves)
    strips = [strip for layer in action.layers for strip in layer.strips]
    return [curve for strip in strips for bag in strip.channelbags for curve in bag.fcurves]


def _properties(owner: bpy.types.bpy_struct, names: Iterable[str], animated: Animated) -> list[Any]:
    return [[name, _value(getattr(owner, name), name, animated)] for name in names]


def _simple(owner: bpy.types.bpy_struct, prefix: str = "", animated: Animated | None = None) -> list[Any]:
    """The numbers, words and collections of such that a struct has."""
    described: list[Any] = []
    for prop in owner.bl_rna.properties:
        if prop.identifier in NOT_SEEN:
            continue
        if prop.type == "COLLECTION":
            parts = [_simple(part) for part in getattr(owner, prop.identifier)]
            described.append([prop.identifier, parts])
        elif prop.type in {"BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"} and not prop.identifier.endswith(
            "_index"
        ):
            path = prefix + prop.identifier
            described.append([path, _value(getattr(owner, prop.identifier), path, animated or set())])
    return described


def _value(value: Any, path: str, animated: Animated) -> Any:
    """A property's value as plain numbers and words; None for what a curve sets."""
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, str | bool | int):
        return None if (path, 0) in animated else value
    if isinstance(value, float):
        return None if (path, 0) in animated else _number(value)
    flat = np.array(value, np.float64).ravel()
    return [None if (path, i) in animated else _number(number) for i, number in enumerate(flat)]


def _number(value: float) -> float | str:
    return float(value) if np.isfinite(value) else str(value)


def _file(stored: str) -> Any:
    """Path, size and time of a file: enough to notice that another picture was saved under its name."""
    path = Path(bpy.path.abspath(stored)) if stored else None
    if path is None or not path.is_file():
        return [stored]
    found = path.stat()
    return [path.name, found.st_size, found.st_mtime_ns]


def _digest(described: Any) -> str:
    try:
        return hashlib.sha256(msgspec.json.encode(described)).hexdigest()
    except TypeError as error:
        raise AddonError(f"The take cannot be compared with its bake: {error}") from error
