"""One measurement in a process of its own: `python -m perpetua.physics.bench.case jelly 20000` prints JSON.

Frames by the engine alternate with the same number of substeps of a bare Genesis scene, so that other work on the machine slows
both alike.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace

from perpetua.physics.bench.scenes import FPS, SIDE_M, block, plan
from perpetua.progress import Progress
from perpetua.scene.particles import State
from perpetua.scene.scene import Scene

REPETITIONS = 3
BUDGET_S = 60.0
"""Ours and Genesis' timed frames take about so long in all: where a frame takes long, fewer repetitions are timed, but one at least."""

STRETCH_S, LONGEST = 1.0, 24
"""A stretch of frames that is timed takes a second at least, or as many frames as a round usually has."""


@dataclass(frozen=True)
class Case:
    """What one process measured.

    start_s: from the start of the process to the first frame of its first bake, by the clock; start_cpu_s: its processor time.  again_s: the
    same bake once more, from its call to its first frame; other_s: a bake of a smaller block of half as many particles; family_s: one of
    matter of another kind; by the clock, None where speed was measured.  frame_s, bare_s: a frame by the engine and by bare Genesis, s
    (processor time on a CPU, the clock's on CUDA), and overhead_fraction: median of ours over bare, less one; None where only the start was
    measured, or Genesis has no such matter.  stretch: frames timed at a time, repetitions: how often, within about budget_s.
    memory_mib: largest resident size before Genesis alone was built beside.
    """

    material: str
    model: str
    particles: int
    substeps: int
    device: str
    start_s: float
    start_cpu_s: float
    memory_mib: float
    again_s: float | None = None
    other_s: float | None = None
    family_s: float | None = None
    stretch: int | None = None
    repetitions: int | None = None
    budget_s: float | None = None
    frame_s: float | None = None
    bare_s: float | None = None
    overhead_fraction: float | None = None
    particle_substeps_per_s: float | None = None


def seconds() -> float:
    """Processor time of this process, or on CUDA the clock once all kernels are done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def measure(preset: str, particles: int, speed: bool = True, budget_s: float = BUDGET_S) -> Case:
    """Measure one material in this process, which must not have simulated before: its speed, or how soon later bakes start.
    Timed frames take about ``budget_s`` s."""
    import psutil
    import torch

    from perpetua.physics import worlds

    scene = block(preset, particles)
    state = _simulate(scene, scene.rest_state(), 1)
    start_s, start_cpu_s = time.time() - psutil.Process().create_time(), time.process_time()
    case = Case(
        preset,
        scene.bodies[0].material.model,
        len(scene.particles),
        round(1.0 / (FPS * worlds.living().plan.dt)),
        "cuda" if torch.cuda.is_available() else "cpu",
        start_s,
        start_cpu_s,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    if speed:
        return _with_speed(case, scene, state, budget_s)
    other_kind = "jelly" if case.model != "elastic" else "dry sand"
    return replace(
        case,
        again_s=_first_frame_s(scene),
        other_s=_first_frame_s(block(preset, particles // 2, 0.8 * SIDE_M)),
        family_s=_first_frame_s(block(other_kind, particles // 2)),
    )


def _with_speed(case: Case, scene: Scene, state: State, budget_s: float) -> Case:
    """``case`` with what a frame of ``scene`` from ``state`` costs here and in Genesis alone."""
    from perpetua.physics import worlds
    from perpetua.physics.bench.bare import MODELS, Bare

    begin = seconds()
    _simulate(scene, state, 1)
    frame_s = seconds() - begin
    frames = min(LONGEST, math.ceil(STRETCH_S / frame_s))
    repetitions = max(1, min(REPETITIONS, int(budget_s / (2.0 * frames * frame_s))))
    if frames > 1:
        _simulate(scene, state, frames)  # matter that spreads gets its larger box now
    living = worlds.living()
    substeps = round(1.0 / (FPS * living.plan.dt))
    bare = Bare(scene, living.plan.box, living.plan.dt) if case.model in MODELS else None
    if bare is not None:
        bare.step(substeps)
    ours_s, bare_s = [], []
    for _ in range(repetitions):
        begin = seconds()
        _simulate(scene, state, frames)
        middle = seconds()
        ours_s.append((middle - begin) / frames)
        if bare is not None:
            bare.step(frames * substeps)
            bare_s.append((seconds() - middle) / frames)
    ratios = [ours / theirs for ours, theirs in zip(ours_s, bare_s)]
    ours = statistics.median(ours_s)
    return replace(
        case,
        substeps=substeps,
        stretch=frames,
        repetitions=repetitions,
        budget_s=budget_s,
        frame_s=ours,
        bare_s=statistics.median(bare_s) if bare_s else None,
        overhead_fraction=statistics.median(ratios) - 1.0 if ratios else None,
        particle_substeps_per_s=case.particles * substeps / ours,
    )


def _simulate(scene: Scene, state: State, frames: int) -> State:
    from perpetua.physics.genesis_engine import GenesisEngine

    return GenesisEngine().simulate(scene, state, plan(frames), Progress()).end


def _first_frame_s(scene: Scene) -> float:
    """Wall-clock seconds from the call of a bake until its first frame is being simulated."""
    from perpetua.physics.genesis_engine import GenesisEngine

    begin = time.perf_counter()
    told: list[float] = []

    def listen(stage: str, done: float, text: str) -> None:
        if text.startswith("frame") and not told:
            told.append(time.perf_counter() - begin)

    GenesisEngine().simulate(scene, scene.rest_state(), plan(1), Progress(listen))
    return told[0]


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="One measurement of the physics, as JSON.")
    parser.add_argument("material")
    parser.add_argument("particles", type=int)
    parser.add_argument("--start-only", action="store_true", help="measure starts and memory, not speed")
    parser.add_argument(
        "--budget-s", type=float, default=BUDGET_S, help="seconds that timed frames take, about"
    )
    given = parser.parse_args()
    found = measure(given.material, given.particles, not given.start_only, given.budget_s)
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
