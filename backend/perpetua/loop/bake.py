"""Bake a take: reconstruct the picture, play the rounds, and leave a 4D cache that grows as they finish."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perpetua import __version__, registry
from perpetua.cache.arrays import animated_arrays, splat_arrays
from perpetua.cache.writer import CacheWriter
from perpetua.errors import CaptureError
from perpetua.loop.look import camera_record, look
from perpetua.loop.resume import Stage, StageStore, digest_of, file_digest
from perpetua.loop.round import PlayedRound, play_round
from perpetua.loop.stage_files import load_bounds, load_idle, load_suggestion
from perpetua.loop.stages import Studio, refiners_of
from perpetua.loop.turn_around import painted_from_its_sides
from perpetua.loop.views import cameras_of
from perpetua.mp4 import write_video
from perpetua.physics.motion import check_targets
from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.source import open_source
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.materials import resolve
from perpetua_protocol.cache import REFINED, BodyRecord, CacheMeta, RoundRecord, Suggestion
from perpetua_protocol.take import Take, ViewMaker, validate

ONE_PICTURE = ("embedded", "depth")
"""Reconstructors that see nothing of the sides."""


class RoundSummary(msgspec.Struct, frozen=True):
    """A line of the bake's table."""

    index: int
    frames: int
    seconds: float
    resumed: bool
    """Whether every stage was found from an earlier bake."""
    state_sha256: str
    idle: list[str] = []
    """Actions of the round that reached no object."""
    suggestion: Suggestion = Suggestion()
    """What the round's videos say of the physics, if the take asks for it."""


class BakeSummary(msgspec.Struct, frozen=True):
    """What a bake made."""

    cache: str
    frames: int
    particles: int
    foreground: int
    background: int
    reconstruct_seconds: float
    rounds: list[RoundSummary]


def bake(
    take: Take, picture: Path, store: Path, output: Path, through_round: int | None, progress: Progress
) -> dict[str, Any]:
    """Play ``take`` through its first ``through_round`` rounds (0 reconstructs only; None only makes the picture that objects are
    clicked in) into the cache folder ``output``.

    Stages live under ``store``; those that an earlier bake left are used again. Returns a ``BakeSummary`` as a dict.
    Raises ``ProtocolError`` or ``PerpetuaError`` with a sentence for the artist; what was in ``output`` before stays playable.
    """
    validate(take, look=through_round is None)
    if through_round is None:
        return look(take, picture, output)
    check_targets(take.rounds, {thing.name: resolve(thing.material) for thing in take.objects})
    refiners = refiners_of(take, through_round)
    engine = registry.load("engine", "genesis")()
    stages = StageStore(store / "stages")
    stages.sweep()

    clock = time.monotonic()
    scene_stage = reconstruct(take, picture, stages, progress.of("reconstruct"))
    scene = Scene.load(scene_stage.folder)
    reconstruct_seconds = time.monotonic() - clock

    front, sides = cameras_of(take, scene, take.quality.width)
    studio = Studio(stages, take, scene, scene_stage, front, sides, engine, refiners, progress)
    whole = studio.for_round(through_round).scene
    writer = CacheWriter(output, _meta(take, scene, whole, [front, *sides]))
    try:
        summaries = _play(studio, writer, through_round)
    except BaseException:
        writer.abandon()
        raise
    finally:
        for refiner in refiners:
            refiner.release()
    writer.finish()
    counts = (len(whole.particles), len(whole.foreground), len(whole.background))
    summary = BakeSummary(str(output), writer.meta.frames, *counts, round(reconstruct_seconds, 2), summaries)
    return msgspec.to_builtins(summary)


def reconstruct(take: Take, picture: Path, stages: StageStore, progress: Progress) -> Stage:
    """The scene of the picture, or of the capture, as a stage."""
    source = open_source(picture, take)

    def make(folder: Path) -> None:
        source.reconstruct(take, progress).save(folder)

    quality = take.quality
    inputs = {
        "reconstructor": source.reconstructor,
        "picture": [file_digest(path) for path in source.files],
        "objects": take.objects,
        "scene": msgspec.structs.replace(take.scene, view_maker=ViewMaker()),
        **({"weights": made} if (made := providers.identities(take)) else {}),
        "quality": [quality.particles, quality.splat_width, quality.sub_gaussians],
        "seed": take.seed,
    }
    painted = bool(take.scene.view_maker.name)
    if painted and source.reconstructor not in ONE_PICTURE:
        raise CaptureError(
            "A view maker paints what one picture does not show, and this take starts from more; leave view_maker out."
        )
    made_of_picture = stages.run("reconstruct", inputs, make)
    if not painted:
        return made_of_picture
    return painted_from_its_sides(take, made_of_picture, stages, progress)


def _play(studio: Studio, writer: CacheWriter, through_round: int) -> list[RoundSummary]:
    listen = studio.progress.of("cache")
    start, memory = studio.opening()
    writer.add_background(studio.scene_stage.key, lambda: splat_arrays(studio.scene.background))
    _publish(writer, studio, 0, 1, start, start, 0.0, _rest_trajectory(studio.scene), listen)

    summaries, seen = [], None
    for index in range(1, through_round + 1):
        clock = time.monotonic()
        played, memory = play_round(studio, index, start, memory, seen)
        seconds = time.monotonic() - clock
        made = (played.coarse, played.corrected, played.end, played.found)
        found = all(stage.found for stage in made if stage is not None)
        frames = studio.take.rounds[index - 1].frames
        _publish(writer, studio, index, frames, start, played.end, 0.0 if found else seconds, played, listen)
        digest, idle = played.end.content_digest(), load_idle(played.coarse)
        suggestion = load_suggestion(played.found)
        summaries.append(RoundSummary(index, frames, round(seconds, 2), found, digest, idle, suggestion))
        start, seen = played.end, played.seen
    return summaries


def _publish(
    writer: CacheWriter,
    studio: Studio,
    index: int,
    frames: int,
    start: Stage,
    end: Stage,
    seconds: float,
    played: PlayedRound | Trajectory,
    progress: Progress,
) -> None:
    def arrays() -> dict[str, np.ndarray]:
        current = studio.for_round(index)
        if isinstance(played, Trajectory):
            return animated_arrays(current.scene, played, 0, progress)
        look = current.appearance(played.coarse, played.corrected)
        # frame 0 of a round is the last of the one before
        return animated_arrays(look.scene, look.trajectory, 1, progress, look)

    def films(folder: Path) -> None:
        if isinstance(played, PlayedRound) and studio.for_round(index).refines:
            for camera, stage in zip([studio.front, *studio.sides], played.refined, strict=True):
                # frame 0 of a round is the last of the one before
                rgb = np.load(stage.path("rgb.npy"), mmap_mode="r")[1:]
                pictures = ((frame.clip(0, 1) * 255 + 0.5).astype(np.uint8) for frame in rgb)
                path = folder / f"{REFINED}{camera.name}.mp4"
                write_video(path, pictures, studio.take.fps, (rgb.shape[2], rgb.shape[1]))

    record = RoundRecord(
        index=index,
        start=0 if index == 0 else studio.take.round_start(index - 1) + 1,
        frames=frames,
        folder="",
        digest=digest_of([start.key, end.key]),
        state_sha256=end.content_digest(),
        seconds=round(seconds, 2),
        bounds=None if isinstance(played, Trajectory) else load_bounds(played.coarse),
        suggestion=load_suggestion(None if isinstance(played, Trajectory) else played.found),
    )
    writer.add_round(record, arrays, films)


def _rest_trajectory(scene: Scene) -> Trajectory:
    state = scene.rest_state()
    return Trajectory(state.particles.positions[None], state.total_F[None], np.zeros(1))


def _meta(take: Take, scene: Scene, whole: Scene, cameras: list[Camera]) -> CacheMeta:
    """What the cache says of itself before its first round; ``whole`` is ``scene`` with all that emitters let out."""
    lower, upper = (f(scene.particles.positions, axis=0) for f in (np.min, np.max))
    return CacheMeta(
        name=take.name,
        fps=take.fps,
        rounds=[],
        cameras=[camera_record(camera) for camera in cameras],
        bodies=[
            BodyRecord(
                body.name,
                body.material.preset,
                body.material.model,
                _vec(body.vertices.min(0)),
                _vec(body.vertices.max(0)),
            )
            for body in scene.bodies
        ],
        background=len(scene.background),
        foreground=len(whole.foreground),
        particles=len(whole.particles),
        particle_spacing=scene.spacing,
        lower=_vec(lower),
        upper=_vec(upper),
        files={},
        take=take,
        backend=__version__,
    )


def _vec(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
