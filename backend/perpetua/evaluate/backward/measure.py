"""Times, memory and fit of the backward pass, and of PerpetualWonder's schedule on the same videos."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perpetua.evaluate import metrics
from perpetua.evaluate.backward.world import BackwardPlan, BackwardWorld, backward_world
from perpetua.evaluate.positions_only import optimise_positions
from perpetua.loop.film import film
from perpetua.optimize.api import ViewTarget
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.clock import Clock
from perpetua.optimize.correct import optimise
from perpetua.progress import Progress
from perpetua.scene import Scene, Trajectory

_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Fitted:
    """What a way of fitting came to."""

    trajectory: Trajectory
    scene: Scene
    """In the looks that it fitted."""
    renders: int


def measure(plan: BackwardPlan, progress: Progress) -> dict[str, Any]:
    """The plan's figures: ``uncorrected``, ``ours`` and ``perpetualwonder`` (None unless compared), each a row of ``_row``, and
    ``stages_s``, the clock's seconds by part of our pass."""
    world = backward_world(plan)
    quiet = Progress(cancelled=progress.cancelled)
    videos = [film(world.scene, world.truth, camera, quiet).rgb for camera in world.cameras]
    targets = [ViewTarget(camera, video) for camera, video in zip(world.cameras, videos, strict=True)]
    as_simulated = Fitted(world.simulated, world.scene, 0)
    clock = Clock(running=True)
    rows = {
        "uncorrected": _row(world, targets, lambda: as_simulated),
        "ours": _row(world, targets, lambda: _ours(world, targets, plan, progress.of("backward"), clock)),
        "perpetualwonder": None,
    }
    if plan.compare:
        listen = progress.of("PerpetualWonder's schedule")
        rows["perpetualwonder"] = _row(world, targets, lambda: _theirs(world, targets, plan, listen))
    return {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "frames": plan.frames,
        "views": plan.views,
        "width": plan.width,
        "height": plan.height,
        "gaussians": len(world.scene.foreground),
        "particles": len(world.scene.particles),
        **rows,
        "stages_s": dict(clock.seconds),
    }


def _ours(
    world: BackwardWorld, targets: list[ViewTarget], plan: BackwardPlan, progress: Progress, clock: Clock
) -> Fitted:
    """The front view first, then all from there, and the corrected motion."""
    scene, simulated = world.scene, world.simulated
    front = optimise(scene, simulated, targets[:1], None, plan.renders, plan.seed, progress, clock=clock)
    both = optimise(scene, simulated, targets, front, plan.renders, plan.seed, progress, clock=clock)
    with clock("apply"):
        moved, dressed = apply_correction(scene, simulated, both)
    return Fitted(moved, dressed, front.renders + both.renders)


def _theirs(
    world: BackwardWorld, targets: list[ViewTarget], plan: BackwardPlan, progress: Progress
) -> Fitted:
    done = optimise_positions(world.scene, world.simulated, targets, progress, plan.passes)
    return Fitted(done.trajectory, replace(world.scene, foreground=done.foreground), done.renders)


def _row(world: BackwardWorld, targets: list[ViewTarget], fit: Callable[[], Fitted]) -> dict[str, Any]:
    """``renders``; ``wall_s``, ``cpu_s``; ``memory_mb``, the peak above what was there before (of the process, on CUDA of the
    device; None where neither is known); ``psnr_db`` of all frames of all videos and ``held_out_psnr_db`` of a camera that was not fitted
    to; ``error_mm``, the particles' mean distance from the truth."""
    memory = _Memory()
    wall, cpu = time.perf_counter(), time.process_time()
    fitted = fit()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory_mb = memory.above_mb()
    quiet = Progress()

    def shown(camera: Any) -> np.ndarray:
        return np.asarray(film(fitted.scene, fitted.trajectory, camera, quiet).rgb)

    wrong = [((shown(target.camera).astype(np.float64) - target.video) ** 2).mean() for target in targets]
    unseen = film(world.scene, world.truth, world.held_out, quiet).rgb
    apart = metrics.particle_error(fitted.trajectory.positions, world.truth.positions)
    return {
        "renders": fitted.renders,
        "wall_s": wall,
        "cpu_s": cpu,
        "memory_mb": memory_mb,
        "psnr_db": float(-10 * np.log10(np.mean(wrong))),
        "held_out_psnr_db": metrics.psnr(shown(world.held_out), unseen),
        "error_mm": 1e3 * float(apart[1:].mean()),
    }


class _Memory:
    """Watches the peak of memory from its creation on."""

    def __init__(self) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        elif _FORGET_PEAK.exists():
            self.before = _status_bytes("VmRSS")
            _FORGET_PEAK.write_text("5")

    def above_mb(self) -> float | None:
        """MB (1e6 bytes) of the peak above what was in use."""
        if torch.cuda.is_available():
            return (torch.cuda.max_memory_allocated() - self.before) / 1e6
        return (_status_bytes("VmHWM") - self.before) / 1e6 if _FORGET_PEAK.exists() else None


def _status_bytes(field: str) -> int:
    """A field of this process's status (Linux)."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
