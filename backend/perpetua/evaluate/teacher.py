"""The truth of a benchmark's world, and the refiner that shows spoiled videos of it to the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perpetua.evaluate.catalogue import LoopWorld
from perpetua.evaluate.spoil import Spoiling
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.stage_files import load_trajectory, save_trajectory
from perpetua.physics.api import PhysicsEngine, RoundPlan
from perpetua.progress import Progress
from perpetua.refine.api import Memory, Refiner, RenderedVideo, RoundContext, Video, VideoName
from perpetua.refine.check import checked
from perpetua.scene import Camera, Scene, State
from perpetua_protocol.take import Take


def true_rounds(
    store: StageStore,
    world: LoopWorld,
    scene: Scene,
    scene_stage: Stage,
    take: Take,
    engine: PhysicsEngine,
    progress: Progress,
) -> list[Stage]:
    """The true motion of every round of ``take`` (``load_trajectory``), each with the state it ends in (``end.npz``)."""
    true_scene = world.truth.world(scene)
    stages: list[Stage] = []
    for index, played in enumerate(take.rounds):
        start = take.round_start(index)
        plan = RoundPlan(
            world.true_round(played, start),
            start,
            take.fps,
            take.round_gravity(index),
            take.seed,
            grid_refinement=world.truth.grid_refinement,
        )
        before = stages[-1] if stages else None

        def make(folder: Path, plan: RoundPlan = plan, before: Stage | None = before) -> None:
            state = scene.rest_state() if before is None else State.load(before.path("end.npz"))
            result = engine.simulate(true_scene, state, plan, progress.of(f"{world.name}: truth"))
            save_trajectory(folder, result.trajectory)
            result.end.save(folder / "end.npz")

        inputs = {
            "scene": scene_stage,
            "before": before,
            "round": plan.round,
            "materials": [body.material for body in true_scene.bodies],
            "grid_refinement": plan.grid_refinement,
            "fps": take.fps,
            "gravity": plan.gravity,
            "seed": take.seed,
        }
        stages.append(store.run("truth", inputs, make))
    return stages


@dataclass(frozen=True)
class SpoiledTruth(Refiner):
    """A refiner that answers every video with the truth's own, spoiled. truth: of each round, from the first; code: names the
    program that uses the videos, so that what an older one made of them is not taken for its own."""

    scene: Scene
    truth: list[Stage]
    spoiling: Spoiling
    code: str = ""

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        """What a video depends on."""
        return {
            "truth": self.truth[video.round_index - 1].key,
            "spoiling": asdict(self.spoiling),
            "code": self.code,
        }

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Nothing to prepare, nothing to remember."""
        return {}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The spoiled truth from the video's camera."""
        shown = self.clean(context.round_index, video.camera, progress)
        return checked(self.spoiling(shown, video.camera.name, context.round_index), video, "truth")

    def clean(self, round_index: int, camera: Camera, progress: Progress) -> Video:
        """The truth of a round (1-based) from ``camera``, as it is."""
        trajectory = load_trajectory(self.truth[round_index - 1])
        return np.asarray(film(self.scene, trajectory, camera, progress).rgb)
