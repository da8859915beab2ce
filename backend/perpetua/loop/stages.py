"""The stages of a round: what each one reads, what it writes, and which settings name its output."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perpetua import registry
from perpetua.errors import SimulationError, WaitingForFiles
from perpetua.identify.identify import Identified, identify
from perpetua.identify.quantities import Known, round_with, scene_with
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore, digest_of
from perpetua.loop.seen import Seen
from perpetua.loop.stage_files import (
    load_correction,
    load_known,
    load_memory,
    load_state,
    load_suggestion,
    load_trajectory,
    load_video,
    save_known,
    save_looks,
    save_memory,
    save_suggestion,
    save_trajectory,
    save_video,
    scene_at,
)
from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.correct import optimise
from perpetua.optimize.obstacles import Obstacles
from perpetua.optimize.write_back import write_back
from perpetua.physics.api import PhysicsEngine, RoundPlan, Simulation, SimulationStopped
from perpetua.progress import Progress
from perpetua.refine.api import LAST_REFINED, Refiner, RenderedVideo, RoundContext, VideoName
from perpetua.scene import Camera, Scene, State, Trajectory
from perpetua.scene.appearance import Appearance
from perpetua.scene.emission import awaiting, with_streams
from perpetua_protocol.cache import Suggestion
from perpetua_protocol.take import RefinerSpec, Take

DRAW_STRIDE = 1_000_003
"""Between the seeds of a round's draws, so that they meet no other take's seed."""
LEAST_RENDERS_A_FRAME = 4
"""Of a pass. With fewer the knots of a long round are pushed about and not led: where a simulated slide was 10 mm off, 150 renders left
23 mm after 96 frames, 384 left 1.5; 120 left 4.5 mm after 48 frames, 192 left 2.2."""


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
    refiners: list[Refiner]
    """One for each round that is played."""
    progress: Progress
    index: int = 0
    settings: Settings = Settings()  # noqa: RUF009 - frozen
    """Of the backward pass."""
    appearances: dict[str, Appearance] = field(default_factory=dict)
    """The last one that was needed."""

    def for_round(self, index: int) -> Studio:
        """The same studio, working on round ``index`` (1-based), this one or a later: its scene holds also what the emitters of the
        rounds up to it let out."""
        scene = self.scene
        for turn in range(self.index, index):
            scene = with_streams(scene, self.take.rounds[turn], self.take.round_start(turn), self.take.fps)
        return replace(self, index=index, scene=scene)

    @property
    def refiner(self) -> Refiner:
        """The refiner of the round."""
        return self.refiners[self.index - 1]

    @property
    def refines(self) -> bool:
        """Whether the round's videos are refined at all."""
        return self._refiner_spec().name != "none"

    # -- where a take begins ------------------------------------------------------------------------------------

    def opening(self) -> tuple[Stage, Stage]:
        """The state of frame 0, and an empty memory for the refiner."""

        def rest(folder: Path) -> None:
            self.scene.rest_state().save(folder / "state.npz")
            save_looks(folder, self.scene)

        def nothing(folder: Path) -> None:
            save_memory(folder, {})

        start = self.store.run("rest", {"scene": self.scene_stage}, rest)
        return start, self.store.run("memory", {"scene": self.scene_stage}, nothing)

    # -- the stages of a round ----------------------------------------------------------------------------------

    def simulate(self, start: Stage, found: Stage | None = None) -> Stage:
        """The engine's own motion under this round's forces, with the physics that is known at its start or was ``found`` since."""
        known = load_known(found or start)

        def make(folder: Path) -> None:
            try:
                listen = self._listen("simulate again" if found else "simulate")
                result = self.play(self.scene, load_state(start), 1.0, listen, known)
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
            save_looks(folder, scene_at(self.scene, start))
            save_known(folder, known)
            (folder / "idle.json").write_bytes(msgspec.json.encode(result.idle))
            (folder / "bounds.json").write_bytes(msgspec.json.encode(result.bounds))

        inputs = {"start": start, **({"found": found} if found else {}), **self._forces()}
        return self.store.run("simulate", inputs, make)

    def render(self, coarse: Stage, corrected: Stage | None, camera: Camera) -> Stage:
        """A video of the round from ``camera``, corrected if there is a correction."""

        def make(folder: Path) -> None:
            listen, look = self._listen(f"render {camera.name}"), self.appearance(coarse, corrected)
            needs = self.refiner.needs
            save_video(folder, film(look.scene, look.trajectory, camera, listen, needs, look))

        inputs = {
            "coarse": coarse,
            "corrected": corrected,
            "camera": camera_key(camera),
            "layers": sorted(self.refiner.needs),
        }
        return self.store.run("render", inputs, make)

    def prepare_refiner(self, start: Stage, memory: Stage) -> Stage:
        """Whatever the refiner wants to do once before this round's videos."""

        def make(folder: Path) -> None:
            listen = self._listen("prepare refiner")
            save_memory(folder, self.refiner.prepare(self._context(start), load_memory(memory), listen))

        inputs = {"refiner": self._refiner_spec(), "memory": memory, "start": start, **self._forces()}
        return self.store.run("prepare", inputs, make)

    def refine(self, video: Stage, camera: Camera, start: Stage, memory: Stage) -> Stage:
        """The video as the refiner says it should look."""

        def make(folder: Path) -> None:
            rendered = load_video(video, camera)
            listen = self._listen(f"refine {camera.name}")
            refined = self.refiner.refine(rendered, self._context(start), load_memory(memory), listen)
            np.save(folder / "rgb.npy", refined)

        name = VideoName(self.take.name, self.index, camera.name, video.key)
        inputs = {
            "refiner": self._refiner_spec(),
            "outside": self.refiner.inputs(name),
            "video": video,
            "memory": memory,
        }
        return self.store.run("refine", inputs, make)

    def refine_all(
        self, videos: list[Stage], cameras: list[Camera], start: Stage, memory: Stage
    ) -> list[Stage]:
        """Every video refined. What is made elsewhere is asked for in all views before the bake stops to wait for it."""
        refined, folders = [], []
        for video, camera in zip(videos, cameras, strict=True):
            try:
                refined.append(self.refine(video, camera, start, memory))
            except WaitingForFiles as waiting:
                folders += waiting.folders
        if folders:
            raise WaitingForFiles(folders)
        return refined

    def remember(self, memory: Stage, front: Stage) -> Stage:
        """The refiner's memory for the next round, with how the front view ended."""

        def make(folder: Path) -> None:
            last = np.load(front.path("rgb.npy"), mmap_mode="r")[-1]
            save_memory(folder, {**load_memory(memory), LAST_REFINED: np.array(last)})

        return self.store.run("remember", {"memory": memory, "front": front}, make)

    def optimise(
        self,
        coarse: Stage,
        cameras: list[Camera],
        refined: list[Stage],
        start: Stage | None,
        again: bool = False,
    ) -> Stage:
        """Particles and colours moved towards the refined videos, going on from ``start``'s correction; ``again``, where they moved
        another simulation before."""
        views = f"{len(cameras)} view" + "s" * (len(cameras) > 1)

        def make(folder: Path) -> None:
            targets = [
                ViewTarget(camera, np.load(stage.path("rgb.npy")))
                for camera, stage in zip(cameras, refined, strict=True)
            ]
            correction = optimise(
                scene_at(self.scene, coarse),
                load_trajectory(coarse),
                targets,
                None if start is None else load_correction(start),
                self._renders(),
                self._seed(),
                self._listen("optimise again" if again else f"optimise {views}"),
                self.settings,
                self._obstacles(),
            )
            correction.save(folder / "correction.npz")

        inputs = {
            "coarse": coarse,
            "cameras": [camera_key(camera) for camera in cameras],
            "refined": [stage.key for stage in refined],
            "start": start,
            "renders": self._renders(),
            "seed": self._seed(),
            "settings": asdict(self.settings),
        }
        return self.store.run("optimise", inputs, make)

    def identify(
        self, start: Stage, coarse: Stage, corrected: Stage, before: Seen | None = None
    ) -> Stage | None:
        """What physics the videos of the round and of the one ``before`` speak for (``suggestion.json``, ``known.json``), if the take asks;
        the simulator's own where they changed nothing. Whether it is used is decided apart, so that accepting an offer asks no more."""
        asked = self.take.round_identify(self.index - 1)
        if asked == "off":
            return None
        seen = Seen(self, start, coarse, corrected)

        def ask(folder: Path) -> None:
            found = Identified(Suggestion(), load_known(start))
            if seen.moves:
                first = before if before is not None and before.moves else seen
                rounds = [seen.evidence()] if first is seen else [first.evidence(), seen.evidence()]
                found = identify(rounds, load_known(first.start), found.known, self._listen("identify"))
            save_suggestion(folder, found.suggestion)
            save_known(folder, found.known)

        inputs = {"start": start, "coarse": coarse, "corrected": corrected, **self._forces()}
        if before is not None:
            inputs["before"] = [before.start.key, before.coarse.key, before.corrected.key]
        answer = self.store.run("identify", inputs, ask)

        def decide(folder: Path) -> None:
            suggestion = load_suggestion(answer)
            accepted = asked == "accept" and bool(suggestion.findings)
            save_suggestion(folder, msgspec.structs.replace(suggestion, accepted=accepted))
            save_known(folder, load_known(answer if accepted else start))

        return self.store.run("decide", {"answer": answer, "start": start, "asked": asked}, decide)

    def changed(self, found: Stage, start: Stage) -> bool:
        """Whether the videos changed what is known of the physics."""
        return load_known(found) != load_known(start)

    def write_back(self, coarse: Stage, corrected: Stage) -> Stage:
        """The state the next round starts from: the corrected world, with its velocities and deformation, and what is known of
        its physics."""

        def make(folder: Path) -> None:
            listen = self._listen("write back")
            listen(0.0, "correcting the motion")
            scene, trajectory = scene_at(self.scene, coarse), load_trajectory(coarse)
            correction = load_correction(corrected)
            moved, dressed = apply_correction(scene, trajectory, correction, self._obstacles())
            listen(0.5, "correcting the state")
            end = write_back(
                State.load(coarse.path("end.npz")), trajectory, moved, correction, scene, self.take.fps
            )
            end.save(folder / "state.npz")
            save_looks(folder, dressed)
            save_known(folder, load_known(coarse))

        return self.store.run("write_back", {"coarse": coarse, "corrected": corrected}, make)

    def played(self, coarse: Stage, corrected: Stage | None) -> tuple[Trajectory, Scene]:
        """The motion of a round and the scene in its looks, corrected if there is a correction."""
        scene, trajectory = scene_at(self.scene, coarse), load_trajectory(coarse)
        if corrected is None:
            return trajectory, scene
        return apply_correction(scene, trajectory, load_correction(corrected), self._obstacles())

    def appearance(self, coarse: Stage, corrected: Stage | None) -> Appearance:
        """How light falls on the round as it moves, with that motion and scene (``played``); every camera sees the same."""
        key = digest_of([coarse.key, None if corrected is None else corrected.key])
        if key not in self.appearances:
            trajectory, scene = self.played(coarse, corrected)
            self.appearances.clear()
            self.appearances[key] = Appearance(scene, trajectory)
        return self.appearances[key]

    # -- what the stages need -----------------------------------------------------------------------------------

    def _plan(self, grid_refinement: float = 1.0) -> RoundPlan:
        return RoundPlan(
            self.take.rounds[self.index - 1],
            self.take.round_start(self.index - 1),
            self.take.fps,
            self.take.round_gravity(self.index - 1),
            self.take.seed,
            self.take.quality.max_substeps,
            grid_refinement,
        )

    def _renders(self) -> int:
        """That a pass may spend: what the take gives, and in a long round enough for each of its frames."""
        given, frames = self.take.quality.optimise_renders, self.take.rounds[self.index - 1].frames
        return max(given, LEAST_RENDERS_A_FRAME * frames) if given else 0

    def _seed(self) -> int:
        """Of the round's random choices but those of the simulation, whose world is compiled for its seed."""
        return self.take.seed + DRAW_STRIDE * self.take.rounds[self.index - 1].draw

    def _obstacles(self) -> Obstacles:
        """What corrections of this round do not enter."""
        take = self.take
        return Obstacles(take.rounds[self.index - 1], take.round_start(self.index - 1), take.fps)

    def _forces(self) -> dict[str, Any]:
        plan = self._plan()
        return {
            "scene": self.scene_stage,
            "round": msgspec.structs.replace(plan.round, refiner=None, identify=None),
            "start_frame": plan.start_frame,
            "fps": plan.fps,
            "gravity": plan.gravity,
            "max_substeps": plan.max_substeps,
            "seed": plan.seed,
        }

    def _refiner_spec(self) -> RefinerSpec:
        return self.take.round_refiner(self.index - 1)

    def play(
        self, scene: Scene, state: State, refinement: float, progress: Progress, known: Known
    ) -> Simulation:
        """The round's forces on ``scene`` from ``state``, with the physics that is ``known`` and a grid finer by ``refinement``."""
        plan = self._plan(refinement)
        plan = replace(plan, round=round_with(plan.round, known))
        return self.engine.simulate(scene_with(scene, known), state, plan, progress)

    def _context(self, start: Stage) -> RoundContext:
        scene = scene_at(self.scene, start)

        def simulate(
            world: Scene, state: State, refinement: float, progress: Progress
        ) -> tuple[Trajectory, State]:
            result = self.play(world, state, refinement, progress, Known())
            return result.trajectory, result.end

        def render(trajectory: Trajectory, camera: Camera) -> RenderedVideo:
            return film(scene, trajectory, camera, self._listen(f"refine {camera.name}"))

        start_state = awaiting(scene, load_state(start))
        draw = self.take.rounds[self.index - 1].draw
        return RoundContext(
            scene, start_state, self.index, simulate, render, self.take.name, self.take.fps, draw
        )

    def _listen(self, what: str) -> Progress:
        return self.progress.of(f"round {self.index}: {what}")


def camera_key(camera: Camera) -> dict[str, Any]:
    """What of a camera changes its picture."""
    return {
        "K": camera.K.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "size": [camera.width, camera.height],
    }


def refiners_of(take: Take, through_round: int) -> list[Refiner]:
    """The refiners of the first ``through_round`` rounds, built with their options; rounds with the same settings share one."""
    made: dict[str, Refiner] = {}
    refiners = []
    for index in range(through_round):
        spec = take.round_refiner(index)
        key = digest_of(spec)
        if key not in made:
            made[key] = registry.load("refiner", spec.name)(**spec.options)
        refiners.append(made[key])
    return refiners
