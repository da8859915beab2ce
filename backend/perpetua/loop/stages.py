"""The stages of a round: what each one reads, what it writes, and which settings name its output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from perpetua import registry
from perpetua.errors import SimulationError
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore
from perpetua.optimize.api import Correction, ViewTarget
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.correct import optimise
from perpetua.optimize.write_back import write_back
from perpetua.physics.api import PhysicsEngine, RoundPlan, Simulation, SimulationStopped
from perpetua.progress import Progress
from perpetua.refine.api import Memory, Refiner, RenderedVideo, RoundContext
from perpetua.scene import Camera, Gaussians, Scene, State, Trajectory
from perpetua_protocol.take import Take


@dataclass(frozen=True)
class Studio:
    """Everything the stages of a take share. ``for_round`` sets which round they work on."""

    store: StageStore
    take: Take
    scene: Scene
    scene_stage: Stage
    front: Camera
    sides: list[Camera]
    engine: PhysicsEngine
    refiner: Refiner
    progress: Progress
    index: int = 0

    def for_round(self, index: int) -> Studio:
        """The same studio, working on round ``index`` (1-based)."""
        return replace(self, index=index)

    # -- where a take begins ------------------------------------------------------------------------------------

    def opening(self) -> tuple[Stage, Stage]:
        """The state of frame 0, and an empty memory for the refiner."""

        def rest(folder: Path) -> None:
            self.scene.rest_state().save(folder / "state.npz")
            np.save(folder / "sh.npy", self.scene.foreground.sh.numpy())

        def nothing(folder: Path) -> None:
            _save_memory(folder, {})

        start = self.store.run("rest", {"scene": self.scene_stage}, rest)
        return start, self.store.run("memory", {"scene": self.scene_stage}, nothing)

    # -- the stages of a round ----------------------------------------------------------------------------------

    def simulate(self, start: Stage) -> Stage:
        """The engine's own motion under this round's forces."""

        def make(folder: Path) -> None:
            try:
                result = self._simulate(self.scene, load_state(start), 1.0, self._listen("simulate"))
            except SimulationStopped as stopped:
                so_far = stopped.so_far
                kept = self.store.run("stopped", inputs, lambda place: save(place, so_far))
                raise SimulationError(
                    f"{stopped} Its {so_far.trajectory.frames - 1} good frames are kept in {kept.folder}."
                ) from stopped
            save(folder, result)

        def save(folder: Path, result: Simulation) -> None:
            save_trajectory(folder, result.trajectory)
            result.end.save(folder / "end.npz")
            np.save(folder / "sh.npy", np.load(start.path("sh.npy")))
            (folder / "idle.json").write_bytes(msgspec.json.encode(result.idle))

        inputs = {"start": start, **self._forces()}
        return self.store.run("simulate", inputs, make)

    def render(self, coarse: Stage, corrected: Stage | None, camera: Camera) -> Stage:
        """A video of the round from ``camera``, corrected if there is a correction."""

        def make(folder: Path) -> None:
            trajectory, foreground = self._moved(coarse, corrected)
            video = film(self.scene, trajectory, foreground, camera, self._listen(f"render {camera.name}"))
            save_video(folder, video)

        return self.store.run(
            "render", {"coarse": coarse, "corrected": corrected, "camera": camera_key(camera)}, make
        )

    def prepare_refiner(self, start: Stage, memory: Stage) -> Stage:
        """Whatever the refiner wants to do once before this round's videos."""

        def make(folder: Path) -> None:
            listen = self._listen("prepare refiner")
            _save_memory(folder, self.refiner.prepare(self._context(start), _load_memory(memory), listen))

        inputs = {"refiner": self.take.refiner, "memory": memory, "start": start, **self._forces()}
        return self.store.run("prepare", inputs, make)

    def refine(self, video: Stage, camera: Camera, start: Stage, memory: Stage) -> Stage:
        """The video as the refiner says it should look."""

        def make(folder: Path) -> None:
            rendered = load_video(video, camera)
            listen = self._listen(f"refine {camera.name}")
            refined = self.refiner.refine(rendered, self._context(start), _load_memory(memory), listen)
            np.save(folder / "rgb.npy", refined)

        return self.store.run(
            "refine", {"refiner": self.take.refiner, "video": video, "memory": memory}, make
        )

    def optimise(
        self, coarse: Stage, cameras: list[Camera], refined: list[Stage], start: Stage | None
    ) -> Stage:
        """Particles and colours moved towards the refined videos, going on from ``start``'s correction."""

        def make(folder: Path) -> None:
            targets = [
                ViewTarget(camera, np.load(stage.path("rgb.npy")))
                for camera, stage in zip(cameras, refined, strict=True)
            ]
            correction = optimise(
                self._scene_at(coarse),
                load_trajectory(coarse),
                targets,
                None if start is None else load_correction(start),
                self.take.quality.optimise_renders,
                self.take.seed,
                self._listen(f"optimise {len(targets)} view" + "s" * (len(targets) > 1)),
            )
            correction.save(folder / "correction.npz")

        inputs = {
            "coarse": coarse,
            "cameras": [camera_key(camera) for camera in cameras],
            "refined": [stage.key for stage in refined],
            "start": start,
            "renders": self.take.quality.optimise_renders,
            "seed": self.take.seed,
        }
        return self.store.run("optimise", inputs, make)

    def write_back(self, coarse: Stage, corrected: Stage) -> Stage:
        """The state the next round starts from: the corrected world, with its velocities and deformation."""

        def make(folder: Path) -> None:
            scene, trajectory = self._scene_at(coarse), load_trajectory(coarse)
            correction = load_correction(corrected)
            moved, foreground = apply_correction(scene, trajectory, correction)
            end = write_back(
                State.load(coarse.path("end.npz")), trajectory, moved, correction, scene, self.take.fps
            )
            end.save(folder / "state.npz")
            np.save(folder / "sh.npy", foreground.sh.numpy())

        return self.store.run("write_back", {"coarse": coarse, "corrected": corrected}, make)

    def played(self, coarse: Stage, corrected: Stage) -> tuple[Trajectory, Gaussians]:
        """The corrected motion and splats of a played round."""
        return self._moved(coarse, corrected)

    # -- what the stages need -----------------------------------------------------------------------------------

    def _plan(self, grid_refinement: float = 1.0) -> RoundPlan:
        return RoundPlan(
            self.take.rounds[self.index - 1],
            self.take.round_start(self.index - 1),
            self.take.fps,
            self.take.gravity,
            self.take.seed,
            self.take.quality.max_substeps,
            grid_refinement,
        )

    def _forces(self) -> dict[str, Any]:
        plan = self._plan()
        return {
            "scene": self.scene_stage,
            "round": plan.round,
            "start_frame": plan.start_frame,
            "fps": plan.fps,
            "gravity": plan.gravity,
            "max_substeps": plan.max_substeps,
            "seed": plan.seed,
        }

    def _simulate(self, scene: Scene, state: State, refinement: float, progress: Progress) -> Simulation:
        return self.engine.simulate(scene, state, self._plan(refinement), progress)

    def _context(self, start: Stage) -> RoundContext:
        scene = self._scene_at(start)

        def simulate(
            world: Scene, state: State, refinement: float, progress: Progress
        ) -> tuple[Trajectory, State]:
            result = self._simulate(world, state, refinement, progress)
            return result.trajectory, result.end

        def render(trajectory: Trajectory, camera: Camera) -> RenderedVideo:
            return film(scene, trajectory, scene.foreground, camera, self._listen(f"refine {camera.name}"))

        return RoundContext(scene, load_state(start), self.index, simulate, render)

    def _moved(self, coarse: Stage, corrected: Stage | None) -> tuple[Trajectory, Gaussians]:
        scene, trajectory = self._scene_at(coarse), load_trajectory(coarse)
        if corrected is None:
            return trajectory, scene.foreground
        return apply_correction(scene, trajectory, load_correction(corrected))

    def _scene_at(self, stage: Stage) -> Scene:
        """The scene with the colours that the rounds before ``stage`` corrected."""
        sh = torch.from_numpy(np.load(stage.path("sh.npy")))
        return replace(self.scene, foreground=replace(self.scene.foreground, sh=sh))

    def _listen(self, what: str) -> Progress:
        return self.progress.of(f"round {self.index}: {what}")


def load_state(stage: Stage) -> State:
    """The state a round starts from."""
    return State.load(stage.path("state.npz"))


def load_idle(stage: Stage) -> list[str]:
    """Names of the actions that reached no object in a simulated round."""
    return msgspec.json.decode(stage.path("idle.json").read_bytes(), type=list[str])


def load_correction(stage: Stage) -> Correction:
    return Correction.load(stage.path("correction.npz"))


def save_trajectory(folder: Path, trajectory: Trajectory) -> None:
    for name in ("positions", "F", "times"):
        np.save(folder / f"{name}.npy", getattr(trajectory, name))


def load_trajectory(stage: Stage) -> Trajectory:
    return Trajectory(*(np.load(stage.path(f"{name}.npy")) for name in ("positions", "F", "times")))


def save_video(folder: Path, video: RenderedVideo) -> None:
    for name in ("rgb", "alpha", "depth"):
        np.save(folder / f"{name}.npy", getattr(video, name))


def load_video(stage: Stage, camera: Camera) -> RenderedVideo:
    return RenderedVideo(camera, *(np.load(stage.path(f"{name}.npy")) for name in ("rgb", "alpha", "depth")))


def camera_key(camera: Camera) -> dict[str, Any]:
    """What of a camera changes its picture."""
    return {
        "K": camera.K.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "size": [camera.width, camera.height],
    }


def refiner_of(take: Take) -> Refiner:
    """The take's refiner, built with its options."""
    return registry.load("refiner", take.refiner.name)(**take.refiner.options)


def _save_memory(folder: Path, memory: Memory) -> None:
    np.savez(folder / "memory.npz", **memory)  # type: ignore[arg-type]  # numpy types the keywords as allow_pickle


def _load_memory(stage: Stage) -> Memory:
    with np.load(stage.path("memory.npz"), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}
