"""What the benchmark measures, and how it says it. docs/benchmarks.md explains each figure."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perpetua.render.bench.fresh import first_draws, memory_above_inputs_mb
from perpetua.render.bench.plot import Curve
from perpetua.render.bench.scenes import HEIGHT, LEAVES, WIDTH, view
from perpetua.render.bench.timing import Cost, Way, best_time, costs
from perpetua.render.bench.vectors import vector_shares
from perpetua.render.layers import render_layers
from perpetua.render.motion import Motion
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    gaussians: tuple[int, ...] = (20_000, 100_000, 300_000)
    repetitions: int = 7
    threads: tuple[int, ...] = (1, 2)
    """The speed-up is over the first."""
    slow_gaussians: int = 2000
    """gsplat's torch code is compared at so many,"""
    slow_size: tuple[int, int] = (160, 96)
    """in an image of so many pixels,"""
    slow_sigma: float = 12.0
    """pixels at a width of 640; 3 at that of slow_size."""
    fresh_processes: bool = True
    """Whether to measure first draws and memory, in processes of their own."""


@dataclass(frozen=True)
class CurvePlan:
    """What to measure for the plot."""

    gaussians: tuple[int, ...] = (10_000, 25_000, 50_000, 100_000, 150_000, 200_000, 250_000, 300_000)
    sigma: float = 1.5
    """pixels; the same for any number of Gaussians."""
    sizes: tuple[tuple[int, int], ...] = (
        (160, 90), (320, 180), (480, 270), (640, 360), (800, 450), (960, 540), (1120, 630), (1280, 720),
    )  # fmt: skip
    at_each_size: int = 100_000
    repetitions: int = 5


def measure(plan: Plan) -> dict[str, Any]:
    """All figures, as the JSON object that the command prints."""
    rows = []
    for count in plan.gaussians:
        found = costs(view(count), plan.repetitions, *(Way(threads=number) for number in plan.threads))
        for number, cost in zip(plan.threads, found, strict=True):
            rows.append({"gaussians": count, "threads": number, **asdict(cost), **_speed_up(found[0], cost)})
    return {
        "machine": machine(),
        "width": WIDTH,
        "height": HEIGHT,
        "cpu": rows,
        "vector_share": vector_shares(),
        "layers": _layers(plan),
        "gsplat_torch": _against_gsplat_torch(plan),
        "memory_above_inputs_mb": memory_above_inputs_mb(plan.gaussians[-1])
        if plan.fresh_processes
        else None,
        "start": first_draws() if plan.fresh_processes else None,
        "cuda": against_gsplat(plan, "cuda") if torch.cuda.is_available() else None,
    }


def machine() -> dict[str, Any]:
    """Where the figures hold."""
    import numba

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "vector_extensions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "numba": numba.__version__,
    }


def _cpu_name() -> str:
    """The processor's own name where Linux tells it, else what Python knows."""
    listed = Path("/proc/cpuinfo")
    named = (
        re.search(r"^model name\s*:\s*(.+)$", listed.read_text(), re.MULTILINE) if listed.exists() else None
    )
    return named[1] if named else platform.processor() or platform.machine()


def _speed_up(one: Cost, many: Cost) -> dict[str, float]:
    """How many times faster by the clock on the wall."""
    return {
        "forward_speed_up": one.forward.wall_ms / many.forward.wall_ms,
        "forward_backward_speed_up": one.forward_backward.wall_ms / many.forward_backward.wall_ms,
        "renderer_speed_up": one.renderer.wall_ms / many.renderer.wall_ms,
    }


def _layers(plan: Plan) -> list[dict[str, Any]]:
    """Forward passes of `render_layers`, one thread: colour, alpha and depth, and with normals, flow and two masks too."""

    def draw(scene: dict[str, Any], everything: bool) -> None:
        splats = Gaussians.from_colors(*(scene[name] for name in LEAVES))
        K = scene["Ks"][0].double().cpu().numpy()
        camera = Camera(K, np.eye(4), scene["width"], scene["height"])
        if not everything:
            render_layers(splats, camera)
            return
        objects = torch.arange(len(splats.means)) % 2
        render_layers(splats, camera, normals=True, motion=Motion.still(splats), objects=objects)

    rows = []
    for count in plan.gaussians:
        scene = view(count)
        plain, whole = (best_time(partial(draw, scene, every), plan.repetitions) for every in (False, True))
        rows.append({"gaussians": count, "colour_alpha_depth": asdict(plain), "everything": asdict(whole)})
    return rows


def _against_gsplat_torch(plan: Plan) -> dict[str, Any]:
    """The same scene by gsplat's torch code, one thread, CPU time, without the time in which the Gaussians that each pixel
    sees are found: gsplat does that on CUDA only, and what stands in for it here (`gsplat_reference.py`) takes far longer."""
    from perpetua.render.gsplat_reference import rasterize_with_gsplat_torch

    scene = view(plan.slow_gaussians, *plan.slow_size, plan.slow_sigma)
    # The list is filled by the first draw, which is not timed.
    slow = Way(partial(rasterize_with_gsplat_torch, listed=[]))
    ours, theirs = costs(scene, plan.repetitions, Way(), slow)
    return {
        "gaussians": plan.slow_gaussians,
        "width": plan.slow_size[0],
        "height": plan.slow_size[1],
        "ours": asdict(ours),
        "gsplat_torch": asdict(theirs),
        "forward_ratio": theirs.forward.cpu_ms / ours.forward.cpu_ms,
        "forward_backward_ratio": theirs.forward_backward.cpu_ms / ours.forward_backward.cpu_ms,
    }


def against_gsplat(plan: Plan, device: str) -> list[dict[str, Any]]:
    """Ours and bare gsplat by turns; speed_of_gsplat is gsplat's time over ours, 1 where nothing is lost."""
    import gsplat

    rows = []
    for count in plan.gaussians:
        scene = view(count, device=device)
        ours, theirs = costs(scene, plan.repetitions, Way(), Way(gsplat.rasterization))
        rows.append(
            {
                "gaussians": count,
                "ours": asdict(ours),
                "gsplat": asdict(theirs),
                "forward_speed_of_gsplat": theirs.forward.wall_ms / ours.forward.wall_ms,
                "forward_backward_speed_of_gsplat": theirs.forward_backward.wall_ms
                / ours.forward_backward.wall_ms,
            }
        )
    return rows


def measure_curves(plan: CurvePlan) -> list[Curve]:
    """Cost against Gaussians, and against pixels, one thread."""

    def cost(count: int, width: int, height: int) -> float:
        scene = view(count, width, height, plan.sigma)
        return costs(scene, plan.repetitions, Way())[0].forward_backward.cpu_ms

    by_count = [cost(count, WIDTH, HEIGHT) for count in plan.gaussians]
    by_size = [cost(plan.at_each_size, width, height) for width, height in plan.sizes]
    return [
        Curve("Gaussian", f"{WIDTH} x {HEIGHT} pixels", list(plan.gaussians), by_count),
        Curve("pixel", f"{plan.at_each_size:,} Gaussians", [w * h for w, h in plan.sizes], by_size),
    ]
