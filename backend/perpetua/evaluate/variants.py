"""Ways of closing the loop, or of leaving it open. Each plays one round from a state and leaves the next round's state.

simulator         the simulator alone: no video is looked at
no_write_back     videos correct what is shown, and the next round goes on from the simulator (WonderPlay's way)
positions_only    videos correct positions, which go back without velocity, deformation or memory (PerpetualWonder's way)
full              the loop, and what its videos say of the physics is accepted (``identify: accept``)
as_taken          the same, with the physics left as the take has it (``identify: off``)
front_only        the same, with the front view only
no_nuisance       the same, with every view believed as it is
no_smooth_knots   the same, with corrections free to differ from frame to frame
with_flow         the same, with the videos' flow compared too
with_offsets      the same, with splats that may shift on their particles
with_fading       the same, with splats that may be seen more or less for a while
own_refiner       the same, with the videos of the refiner that comes with Perpetua in place of the truth's
true_state        the simulator, told the whole true state before every round: what no correction of states can do better
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch

from perpetua import registry
from perpetua.errors import UnknownNameError
from perpetua.evaluate.own_refiner import BegunWith
from perpetua.evaluate.positions_only import optimise_positions, positions_written_back
from perpetua.loop.film import film
from perpetua.loop.resume import Stage
from perpetua.loop.round import play_round
from perpetua.loop.stage_files import load_state, load_trajectory, save_looks, save_trajectory, scene_at
from perpetua.loop.stages import Seen, Studio
from perpetua.optimize.api import Settings, ViewTarget
from perpetua.scene import Scene, State, Trajectory


@dataclass(frozen=True)
class Played:
    """A round as a variant played it. shown: the stage that the shown motion and looks are in.  end: the next round's start."""

    shown: Stage
    show: Callable[[], tuple[Trajectory, Scene]]
    end: Stage
    memory: Stage
    seen: Seen | None = None
    """What of it speaks of the physics, where the variant asks."""


@dataclass(frozen=True)
class Bench:
    """What a variant plays with. truth: the true motion of every round, from the first.  passes: of ``positions_only``.  seen: of the
    round before."""

    studio: Studio
    truth: list[Stage]
    passes: int
    seen: Seen | None = None


OWN = "space_time"
"""The refiner that comes with Perpetua."""
Variant = Callable[[Bench, int, Stage, Stage], Played]
"""Plays a round (1-based) from a start and the refiner's memory."""


def simulator(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The round as simulated; the next goes on from there."""
    coarse = bench.studio.for_round(index).simulate(start)
    return _as_simulated(bench, index, coarse, _kept(bench, coarse), memory)


def true_state(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The round as simulated; the next goes on from the truth."""
    coarse = bench.studio.for_round(index).simulate(start)
    truth = bench.truth[index - 1]

    def make(folder: Path) -> None:
        State.load(truth.path("end.npz")).save(folder / "state.npz")
        save_looks(folder, bench.studio.scene)

    end = bench.studio.store.run("told", {"truth": truth}, make)
    return _as_simulated(bench, index, coarse, end, memory)


def full(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop."""
    played, memory = play_round(bench.studio, index, start, memory, bench.seen)
    studio = bench.studio.for_round(index)
    return Played(
        played.corrected,
        lambda: studio.played(played.coarse, played.corrected),
        played.end,
        memory,
        played.seen,
    )


def front_only(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop with one view."""
    return full(replace(bench, studio=replace(bench.studio, sides=[])), index, start, memory)


def no_nuisance(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop without the views' own colours, warps and weights."""
    return full(_with_settings(bench, Settings(nuisance=False)), index, start, memory)


def no_smooth_knots(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop without smoothness in time."""
    return full(_with_settings(bench, Settings(smooth_knots=False)), index, start, memory)


def with_flow(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop with a price of flow that is not the videos'."""
    return full(_with_settings(bench, Settings(flow=True)), index, start, memory)


def with_offsets(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop with splats that may shift on their particles."""
    return full(_with_settings(bench, Settings(offsets=True)), index, start, memory)


def with_fading(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop with opacities that may change within a round."""
    return full(_with_settings(bench, Settings(fading=True)), index, start, memory)


def own_refiner(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop with the refiner that comes with Perpetua, which knows the coarse videos and how the first frame looks in truth."""
    studio = bench.studio
    truth = film(
        studio.scene, load_trajectory(bench.truth[0]), studio.front, studio.progress.of("film the truth")
    )
    refiner = BegunWith(registry.load("refiner", OWN)(), np.rint(255 * truth.rgb[0]).astype(np.uint8))
    return full(
        replace(bench, studio=replace(studio, refiners=[refiner] * len(studio.refiners))),
        index,
        start,
        memory,
    )


def as_taken(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop, which moves matter and leaves the physics as the take has it."""
    return full(_with_physics_as_taken(bench), index, start, memory)


def no_write_back(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """The loop, but the next round goes on from the simulator's end with the first round's colours, and of the physics nothing is learnt."""
    bench = _with_physics_as_taken(bench)
    played, memory = play_round(bench.studio, index, start, memory)
    studio = bench.studio.for_round(index)
    kept = _kept(bench, played.coarse)
    return Played(played.corrected, lambda: studio.played(played.coarse, played.corrected), kept, memory)


def positions_only(bench: Bench, index: int, start: Stage, memory: Stage) -> Played:
    """PerpetualWonder's backward pass over all views, and its write-back."""
    studio = bench.studio.for_round(index)
    cameras = [studio.front, *studio.sides]
    memory = studio.prepare_refiner(start, memory)
    coarse = studio.simulate(start)
    videos = [studio.render(coarse, None, camera) for camera in cameras]
    refined = studio.refine_all(videos, cameras, start, memory)
    memory = studio.remember(memory, refined[0])

    def make(folder: Path) -> None:
        targets = [
            ViewTarget(camera, np.load(stage.path("rgb.npy")))
            for camera, stage in zip(cameras, refined, strict=True)
        ]
        simulated = load_trajectory(coarse)
        scene = _with_opacity(studio, coarse, start)
        listen = studio.progress.of(f"round {index}: free positions")
        fitted = optimise_positions(scene, simulated, targets, listen, bench.passes)
        save_trajectory(folder, fitted.trajectory)
        save_looks(folder, replace(scene, foreground=fitted.foreground))
        np.save(folder / "opacity.npy", fitted.foreground.opacity_logits.numpy())
        end = State.load(coarse.path("end.npz"))
        positions_written_back(end, simulated, fitted.trajectory, scene).save(folder / "state.npz")

    inputs = {
        "coarse": coarse,
        "refined": [stage.key for stage in refined],
        "passes": bench.passes,
        "start": start,
    }
    done = studio.store.run("positions_only", inputs, make)
    return Played(done, lambda: (load_trajectory(done), _with_opacity(studio, done, done)), done, memory)


def _with_opacity(studio: Studio, looks: Stage, opacity: Stage) -> Scene:
    """The scene with looks and, where there are any, opacities that earlier rounds fitted."""
    scene = scene_at(studio.scene, looks)
    path = opacity.path("opacity.npy")
    if not path.exists():
        return scene
    fitted = torch.from_numpy(np.load(path))
    return replace(scene, foreground=replace(scene.foreground, opacity_logits=fitted))


def _with_settings(bench: Bench, settings: Settings) -> Bench:
    return replace(bench, studio=replace(bench.studio, settings=settings))


def _with_physics_as_taken(bench: Bench) -> Bench:
    take = msgspec.structs.replace(bench.studio.take, identify="off")
    return replace(bench, studio=replace(bench.studio, take=take))


def _as_simulated(bench: Bench, index: int, coarse: Stage, end: Stage, memory: Stage) -> Played:
    return Played(coarse, lambda: (load_trajectory(coarse), bench.studio.scene), end, memory)


def _kept(bench: Bench, coarse: Stage) -> Stage:
    """The start of a next round that knows of no correction."""

    def make(folder: Path) -> None:
        State.load(coarse.path("end.npz")).save(folder / "state.npz")
        save_looks(folder, bench.studio.scene)

    return bench.studio.store.run("kept", {"coarse": coarse}, make)


VARIANTS: dict[str, Variant] = {
    "simulator": simulator,
    "no_write_back": no_write_back,
    "positions_only": positions_only,
    "full": full,
    "as_taken": as_taken,
    "own_refiner": own_refiner,
    "front_only": front_only,
    "no_nuisance": no_nuisance,
    "no_smooth_knots": no_smooth_knots,
    "with_flow": with_flow,
    "with_offsets": with_offsets,
    "with_fading": with_fading,
    "true_state": true_state,
}
LABELS = {
    "simulator": "simulator alone",
    "no_write_back": "shown only (WonderPlay)",
    "positions_only": "positions only (PerpetualWonder)",
    "full": "the loop",
    "as_taken": "the loop, physics as taken",
    "own_refiner": "the loop with its own refiner",
    "front_only": "the loop, front view only",
    "no_nuisance": "the loop, views believed as they are",
    "no_smooth_knots": "the loop, no smoothness in time",
    "with_flow": "the loop, flow compared too",
    "with_offsets": "the loop, splats shift on particles",
    "with_fading": "the loop, opacity changes in a round",
    "true_state": "told the true state",
}


def variant(name: str) -> Variant:
    """The variant called ``name``. Raises ``UnknownNameError`` that lists those there are."""
    if name not in VARIANTS:
        raise UnknownNameError(f"There is no variant called '{name}'; choose among: {', '.join(VARIANTS)}.")
    return VARIANTS[name]


def state_of(start: Stage) -> State:
    """The state a variant hands to the next round."""
    return load_state(start)
