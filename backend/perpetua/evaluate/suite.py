"""Plays worlds and variants round by round and measures them.

Every result is a stage (``perpetua.loop.resume``): a run that was stopped goes on where it was, and a scene with a variant gives the
same figures whatever else is played beside it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import perpetua
from perpetua import registry
from perpetua.errors import SimulationError
from perpetua.evaluate import metrics
from perpetua.evaluate.catalogue import LoopWorld, loop_world
from perpetua.evaluate.spoil import Spoiling
from perpetua.evaluate.teacher import SpoiledTruth, true_rounds
from perpetua.evaluate.variants import Bench, Played, state_of, variant
from perpetua.evaluate.worlds import look
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.stage_files import load_trajectory
from perpetua.loop.stages import Studio, camera_key
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, State
from perpetua_protocol.take import Quality, Take

SIDES = {"left": (-40.0, 24.0), "right": (40.0, 24.0), "high": (15.0, 60.0)}
"""Side cameras: degrees to the front's right, and above the horizon."""
HELD_OUT = (-18.0, 38.0)
"""The camera that no variant sees through."""


@dataclass(frozen=True)
class LoopSettings:
    """How large the benchmark is. frames: of a round; width, height: pixels; renders: of each of the loop's two passes; passes: of
    PerpetualWonder's, over all frames of all views."""

    rounds: int = 4
    frames: int = 16
    width: int = 160
    height: int = 96
    renders: int = 300
    passes: int = 201
    fps: float = 24.0
    seed: int = 0
    spoiling: Spoiling = field(default_factory=Spoiling)


class RoundFigures(msgspec.Struct, frozen=True):
    """What is measured of a round. Drifts are mean distances of particles from the truth."""

    drift_mm: float
    """of what is shown, mean over the round's frames"""
    final_drift_mm: float
    """of what is shown, in its last frame"""
    final_drift_percent: float
    """the same, of the object's size"""
    velocity_error_mm_s: float
    """of the state that the next round starts from"""
    forecast_drift_mm: float
    """of the next round as simulated from that state without a video, mean over its frames"""
    forecast_final_drift_mm: float
    """the same, in its last frame"""
    psnr_db: float
    """held-out camera against the unspoiled truth; null if the two are equal"""
    flicker: float
    """held-out camera; levels of 255"""


class VariantFigures(msgspec.Struct, frozen=True):
    """What is measured of a variant in a scene. final_*: after the last round; the others are means over the rounds."""

    final_drift_mm: float | None = None
    final_drift_percent: float | None = None
    drift_mm: float | None = None
    forecast_drift_mm: float | None = None
    forecast_final_drift_mm: float | None = None
    velocity_error_mm_s: float | None = None
    psnr_db: float | None = None
    flicker: float | None = None
    rounds: list[RoundFigures] = []
    failed: str | None = None
    """Why no more rounds could be played."""

    @staticmethod
    def of(rounds: list[RoundFigures], failed: str | None) -> VariantFigures:
        """Summed up; without figures if a round could not be played."""
        if failed is not None or not rounds:
            return VariantFigures(rounds=rounds, failed=failed)

        def mean(name: str) -> float:
            return float(np.mean([getattr(each, name) for each in rounds]))

        return VariantFigures(
            final_drift_mm=rounds[-1].final_drift_mm,
            final_drift_percent=rounds[-1].final_drift_percent,
            drift_mm=mean("drift_mm"),
            forecast_drift_mm=mean("forecast_drift_mm"),
            forecast_final_drift_mm=mean("forecast_final_drift_mm"),
            velocity_error_mm_s=mean("velocity_error_mm_s"),
            psnr_db=mean("psnr_db"),
            flicker=mean("flicker"),
            rounds=rounds,
        )


@dataclass(frozen=True)
class SceneResult:
    """A scene's figures by variant, and where the held-out camera's videos of each round are (uint8 [T, H, W, 3] ``.npy``)."""

    world: LoopWorld
    size_mm: float
    particles: int
    figures: dict[str, VariantFigures]
    videos: dict[str, list[Path]]


def evaluate_scene(
    name: str, variants: Sequence[str], settings: LoopSettings, store: StageStore, progress: Progress
) -> SceneResult:
    """Play the world ``name`` through ``variants``; 'truth' is among the result's videos."""
    world = loop_world(name)
    played_variants = {each: variant(each) for each in variants}
    engine = registry.load("engine", "genesis")()
    scene_stage = _scene_stage(world, settings, store)
    scene = Scene.load(scene_stage.folder)
    take = Take(
        name=name,
        picture="",
        objects=(),
        rounds=world.played(settings.rounds + 1, settings.frames),  # the last one is forecast only
        fps=settings.fps,
        seed=settings.seed,
        identify="accept",
        quality=Quality(width=settings.width, optimise_renders=settings.renders),
    )
    truth = true_rounds(store, world, scene, scene_stage, take, engine, progress)
    code = code_digest("optimize", "identify", "loop", "evaluate")
    refiner = SpoiledTruth(scene, truth, settings.spoiling, code)

    def camera(label: str, degrees: float, elevation: float) -> Camera:
        return look(scene.centre, degrees, settings.width, settings.height, label, elevation=elevation)

    sides = [camera(label, *place) for label, place in SIDES.items()]
    held_out = camera("held out", *HELD_OUT)
    studio = Studio(
        store,
        take,
        scene,
        scene_stage,
        replace(scene.camera, name="front"),
        sides,
        engine,
        [refiner] * len(take.rounds),
        progress,
    )
    shown_truth = [_filmed_truth(studio, refiner, index, held_out) for index in range(1, settings.rounds + 1)]
    figures, videos = {}, {"truth": [stage.path("video.npy") for stage in shown_truth]}
    for label, play in played_variants.items():
        listen = Progress(progress.report, progress.cancelled)
        bench = Bench(_listening(studio, listen, label), truth, settings.passes)
        start, memory = bench.studio.opening()
        rounds: list[RoundFigures] = []
        videos[label] = []
        failed = None
        try:
            for index in range(1, settings.rounds + 1):
                played = play(bench, index, start, memory)
                measured = _measure(bench, index, played, held_out, shown_truth[index - 1])
                rounds.append(
                    msgspec.json.decode(measured.path("figures.json").read_bytes(), type=RoundFigures)
                )
                videos[label].append(measured.path("video.npy"))
                start, memory = played.end, played.memory
                bench = replace(bench, seen=played.seen)
        except SimulationError as error:
            failed = str(error)
        figures[label] = VariantFigures.of(rounds, failed)
    size = metrics.object_size(scene.particles.positions)
    return SceneResult(world, size * 1e3, len(scene.particles), figures, videos)


@functools.cache
def code_digest(*packages: str) -> str:
    """sha256 over the source files of packages of the engine, by their paths and contents."""
    root = Path(perpetua.__file__).parent
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")) or [root / f"{package}.py"]:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _scene_stage(world: LoopWorld, settings: LoopSettings, store: StageStore) -> Stage:
    def make(folder: Path) -> None:
        world.scene(settings.width, settings.height).save(folder)

    inputs = {
        "world": world.name,
        "size": [settings.width, settings.height],
        "code": code_digest("scene", "physics", "render", "evaluate/worlds", "evaluate/catalogue"),
    }
    return store.run("world", inputs, make)


def _listening(studio: Studio, listen: Progress, label: str) -> Studio:
    def report(stage: str, fraction: float, text: str) -> None:
        listen.report(f"{studio.take.name}, {label}: {stage}", fraction, text)

    return replace(studio, progress=Progress(report, listen.cancelled))


def _filmed_truth(studio: Studio, refiner: SpoiledTruth, index: int, camera: Camera) -> Stage:
    def make(folder: Path) -> None:
        np.save(
            folder / "video.npy", _bytes(refiner.clean(index, camera, studio.progress.of("film the truth")))
        )

    return studio.store.run("filmed", {"truth": refiner.truth[index - 1], "camera": camera_key(camera)}, make)


def _measure(bench: Bench, index: int, played: Played, camera: Camera, shown_truth: Stage) -> Stage:
    """The figures of a round (``figures.json``) and its video from the held-out camera (``video.npy``)."""
    forecast = bench.studio.for_round(index + 1).simulate(played.end)
    truth, true_next = bench.truth[index - 1], bench.truth[index]

    def make(folder: Path) -> None:
        trajectory, scene = played.show()
        video = _bytes(film(scene, trajectory, camera, bench.studio.progress.of("film")).rgb)
        np.save(folder / "video.npy", video)
        drift = 1e3 * metrics.particle_error(trajectory.positions, load_trajectory(truth).positions)
        ahead = 1e3 * metrics.particle_error(
            load_trajectory(forecast).positions, load_trajectory(true_next).positions
        )
        size = 1e3 * metrics.object_size(bench.studio.scene.particles.positions)
        true_end = State.load(truth.path("end.npz")).particles.velocities
        speed = metrics.vector_error(state_of(played.end).particles.velocities, true_end)
        wanted = np.load(shown_truth.path("video.npy")) / 255.0
        figures = RoundFigures(
            drift_mm=float(drift.mean()),
            final_drift_mm=float(drift[-1]),
            final_drift_percent=float(100 * drift[-1] / size),
            velocity_error_mm_s=1e3 * speed,
            forecast_drift_mm=float(ahead.mean()),
            forecast_final_drift_mm=float(ahead[-1]),
            psnr_db=metrics.psnr(video / 255.0, wanted),
            flicker=metrics.flicker(video / 255.0, wanted),
        )
        (folder / "figures.json").write_bytes(msgspec.json.encode(figures))

    inputs: dict[str, Any] = {
        "shown": played.shown,
        "end": played.end,
        "forecast": forecast,
        "truth": truth,
        "true_next": true_next,
        "camera": camera_key(camera),
        "code": code_digest("evaluate"),
    }
    return bench.studio.store.run("measured", inputs, make)


def _bytes(video: np.ndarray) -> np.ndarray:
    return np.round(video * 255).clip(0, 255).astype(np.uint8)
