"""The scene as a take: every force sampled in every frame of its rounds from the evaluated scene, cameras as they stand.

Frame 0 of the take is the scene's start frame. Blender's wind strength is the air's speed in m/s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from perpetua_protocol.take import (
    Action,
    CameraSpec,
    Click,
    MaterialSpec,
    ObjectSpec,
    Push,
    Quality,
    RefinerSpec,
    Round,
    SceneSettings,
    Take,
    Vec3,
    Vector,
    Wind,
    validate,
)

from . import forces
from .cameras import camera_spec, same_place
from .errors import AddonError
from .tracks import scalar_track, vector_track

ORBIT_DEGREES = 25.0
"""Where the side cameras stand unless the artist puts them elsewhere."""
DEFAULT_CAMERAS = (
    CameraSpec("front", "front"),
    CameraSpec("left", "side", -ORBIT_DEGREES),
    CameraSpec("right", "side", ORBIT_DEGREES),
)
QUALITIES = {
    "preview": Quality(width=256, particles=3000, splat_width=480, optimise_renders=120),
    "final": Quality(),
}


@dataclass
class Samples:
    """What was read of a force, frame by frame of the take. strength: m/s for wind, N for a push."""

    frames: list[float] = field(default_factory=list)
    locations: list[Vec3] = field(default_factory=list)
    directions: list[Vec3] = field(default_factory=list)
    strengths: list[float] = field(default_factory=list)


def build_take(scene: bpy.types.Scene, through_round: int) -> Take:
    """The take up to and including round ``through_round`` (0: only the picture).

    Raises ``AddonError`` or ``InvalidTake`` with a sentence that says what is missing. The current frame is kept.
    """
    settings = scene.perpetua
    with _current_frame_kept(scene):
        rounds = _rounds(scene, through_round)
        take = Take(
            name=settings.take_name,
            picture=picture_path(scene).name,
            objects=tuple(_object(thing) for thing in settings.things),
            rounds=rounds,
            cameras=_cameras(scene),
            gravity=_gravity(scene, sum(r.frames for r in rounds)),
            fps=scene.render.fps / scene.render.fps_base,
            scene=_scene_settings(settings),
            refiner=RefinerSpec(settings.refiner or "none"),
            quality=quality(settings),
            seed=settings.seed,
        )
    validate(take)
    return take


def picture_path(scene: bpy.types.Scene) -> Path:
    """The picture's file. Raises ``AddonError`` when there is none."""
    stored = scene.perpetua.picture
    if not stored:
        raise AddonError("There is no picture yet; open one in the Perpetua tab.")
    path = Path(bpy.path.abspath(stored))
    if not path.is_file():
        raise AddonError(f"There is no picture at {path}; open it again.")
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


def _object(thing: bpy.types.PropertyGroup) -> ObjectSpec:
    return ObjectSpec(
        thing.name,
        tuple(Click(click.x, click.y, click.inside) for click in thing.clicks),
        material=MaterialSpec(thing.material),
        height=thing.height or None,
        resting=thing.resting,
    )


def _scene_settings(settings: bpy.types.PropertyGroup) -> SceneSettings:
    return SceneSettings(
        horizontal_fov_degrees=settings.horizontal_fov or None,
        horizon_y=settings.horizon_y if settings.use_horizon else None,
        table_edge_y=settings.table_edge_y or None,
        camera_pitch_degrees=settings.pitch or None,
    )


def _cameras(scene: bpy.types.Scene) -> tuple[CameraSpec, ...]:
    """The listed cameras; the usual three while there are none."""
    listed = [entry for entry in scene.perpetua.cameras if entry.object is not None]
    if not listed:
        return DEFAULT_CAMERAS
    graph = bpy.context.evaluated_depsgraph_get()
    specs = []
    for entry in listed:
        camera = entry.object.evaluated_get(graph)
        if entry.role == "front" and same_place(camera, list(entry.placed), scene):
            specs.append(CameraSpec(entry.name, "front"))  # the picture's own camera, to the last bit
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
    acting = [entry for entry in settings.forces if entry.enabled and entry.object is not None]
    rounds = []
    for index in range(through_round):
        first, last = starts[index], starts[index + 1]
        samples = _sample(scene, acting, first, last)
        actions = [_action(entry, samples[place], scene, first, last) for place, entry in enumerate(acting)]
        rounds.append(Round(last - first, tuple(a for a in actions if a is not None), f"round {index + 1}"))
    return tuple(rounds)


def _sample(
    scene: bpy.types.Scene, acting: list[bpy.types.PropertyGroup], first: int, last: int
) -> list[Samples]:
    """Every force in the frames ``first`` to ``last`` of the take, from the evaluated scene."""
    samples = [Samples() for _ in acting]
    for entry in acting:  # a script that sets a custom property leaves the evaluated copy as it was
        entry.object.update_tag()
    for frame in range(first, last + 1):
        scene.frame_set(scene.frame_start + frame)
        graph = bpy.context.evaluated_depsgraph_get()
        for entry, sample in zip(acting, samples, strict=True):
            force = entry.object.evaluated_get(graph)
            x, y, z = forces.finite(force, "location", force.matrix_world.translation)
            sample.frames.append(float(frame))
            sample.locations.append((x, y, z))
            x, y, z = forces.finite(force, "direction", forces.direction_of(force))
            sample.directions.append((x, y, z))
            sample.strengths.append(_strength(force))
    return samples


def _strength(force: bpy.types.Object) -> float:
    if forces.is_push(force):
        return forces.number(force, forces.FORCE)
    if forces.is_wind(force):
        return forces.finite(force, "strength", (force.field.strength,))[0]
    raise AddonError(
        f"'{force.name}' is neither a wind nor a push; add forces with the buttons of the Perpetua tab."
    )


def _action(
    entry: bpy.types.PropertyGroup, sample: Samples, scene: bpy.types.Scene, first: int, last: int
) -> Action | None:
    """The force as an action of the round from ``first`` to ``last``; None when it does nothing in it."""
    force = entry.object
    start = forces.number(force, forces.START, scene.frame_start + first) - scene.frame_start
    end = forces.number(force, forces.END, scene.frame_start + last) - scene.frame_start
    if end <= start:
        raise AddonError(f"'{force.name}' ends at its start or before; move its end frame later.")
    if start >= last or end <= first or not any(sample.strengths):
        return None
    location = vector_track(sample.frames, sample.locations)
    direction = vector_track(sample.frames, sample.directions)
    strength = scalar_track(sample.frames, sample.strengths)
    targets = tuple(name.strip() for name in entry.targets.split(",") if name.strip())
    window = (max(start, float(first)), min(end, float(last)))
    if forces.is_push(force):
        reach = forces.number(force, forces.REACH)
        return Push(force.name, location, direction, strength, reach, *window, targets=targets)
    reached = None
    if force.field.use_max_distance:
        (reached,) = forces.finite(force, "max distance", (force.field.distance_max,))
    return Wind(
        force.name,
        direction,
        strength,
        forces.number(force, forces.DRAG, forces.DEFAULT_DRAG),
        location,
        reached,
        *window,
        targets=targets,
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
def _current_frame_kept(scene: bpy.types.Scene) -> Iterator[None]:
    frame = scene.frame_current
    try:
        yield
    finally:
        if scene.frame_current != frame:
            scene.frame_set(frame)
