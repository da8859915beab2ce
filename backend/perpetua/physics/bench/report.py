"""All measurements of the physics, each in a process of its own: Genesis keeps what it once built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from perpetua.errors import SimulationError
from perpetua.physics.bench.case import BUDGET_S
from perpetua.physics.bench.scenes import FPS

REFERENCE = 20_000
"""Particles that a material's overhead is said for; the nearest size measured."""


@dataclass(frozen=True)
class Plan:
    """What to measure. materials: presets, one for each model.  sizes: particles.  starts: measure start-up with an empty and
    with a filled kernel cache too.  budget_s: what a case's timed frames take, about; slow ones are timed less often, once at least."""

    materials: tuple[str, ...] = (
        "jelly",
        "clay",
        "snow",
        "dry sand",
        "water",
        "jam",
        "wood",
        "cotton",
        "steam",
    )
    sizes: tuple[int, ...] = (5_000, 20_000, 50_000)
    starts: bool = True
    budget_s: float = BUDGET_S


def measure(plan: Plan) -> dict[str, Any]:
    """``materials.<preset>`` with its ``model``, ``overhead_fraction`` and ``particle_substeps_per_s`` at 20,000 particles (or what is
    nearest), the measurements of every size, and start-up times, s."""
    materials: dict[str, Any] = {}
    device = "cpu"
    for preset in plan.materials:
        start = _start(preset, min(plan.sizes)) if plan.starts else None
        sizes = [_case(preset, size, "--budget-s", str(plan.budget_s)) for size in plan.sizes]
        named = min(sizes, key=lambda case: abs(case["particles"] - REFERENCE))
        device = named["device"]
        materials[preset] = {
            "model": named["model"],
            "overhead_fraction": named["overhead_fraction"],
            "particle_substeps_per_s": named["particle_substeps_per_s"],
            "sizes": sizes,
            "start": start,
        }
    return {"device": device, "fps": FPS, "budget_s": plan.budget_s, "materials": materials}


def _start(preset: str, size: int) -> dict[str, float]:
    """Seconds to the first frame with an empty kernel cache and with a filled one, and of later bakes in the same process."""
    with tempfile.TemporaryDirectory(prefix="perpetua-kernels-") as folder:
        kernels = {"QD_OFFLINE_CACHE_FILE_PATH": folder, "NUMBA_CACHE_DIR": folder}
        cold = _case(preset, size, "--start-only", **kernels)
        warm = _case(preset, size, "--start-only", **kernels)
    return {
        "cold_s": cold["start_s"],
        "cold_cpu_s": cold["start_cpu_s"],
        "warm_s": warm["start_s"],
        "warm_cpu_s": warm["start_cpu_s"],
        "again_s": warm["again_s"],
        "other_s": warm["other_s"],
        "family_s": warm["family_s"],
    }


def _case(preset: str, size: int, *options: str, **environment: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "perpetua.physics.bench.case", preset, str(size), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    if done.returncode != 0:
        raise SimulationError(
            f"The measurement of {preset} with {size} particles failed: {_last_line(done.stderr)}"
        )
    case: dict[str, Any] = json.loads(done.stdout)
    # all of them take half an hour; what was found is not lost with a run that is broken off
    print(json.dumps(case), file=sys.stderr, flush=True)
    return case


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip(" \t\x1b[0m")]
    return lines[-1] if lines else "no output"
