"""CPU time of the renderer: `python -m perpetua.render.bench [--json] [--gaussians 20000 100000]`.

Random anisotropic Gaussians fill a 640 x 360 view. Times are processor time, not wall time, so other work on the
machine hardly changes them; the best of a few repetitions is given, on one thread.
"""

from __future__ import annotations

import argparse
import json as json_module
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from perpetua.render.numba_backend.threads import set_threads
from perpetua.render.rasterize import rasterization

WIDTH, HEIGHT = 640, 360  # pixels
FIELD_OF_VIEW = math.radians(60)


@dataclass(frozen=True)
class Timing:
    """Best processor times for one number of Gaussians, ms."""

    gaussians: int
    forward_ms: float
    forward_backward_ms: float


def view(count: int, seed: int = 0) -> dict[str, Any]:
    """Gaussians of about 2 to 3 pixels all over the view, a fiftieth of them behind or very near the camera."""
    random = torch.Generator().manual_seed(seed)
    focal = 0.5 * WIDTH / math.tan(FIELD_OF_VIEW / 2)
    sigma_pixels = 3.0 if count <= 20_000 else 2.0 if count <= 100_000 else 1.5
    z = 2.0 + 8.0 * torch.rand(count, generator=random)
    near = count // 50
    z[:near] = -1.0 + 1.2 * torch.rand(near, generator=random)
    distance = z.abs().clamp_min(0.05)
    place = 1.2 * torch.rand(count, 2, generator=random) - 0.6
    size = torch.tensor([WIDTH, HEIGHT])
    means = torch.cat([place * size / focal * distance[:, None], z[:, None]], 1)
    scales = (sigma_pixels * distance / focal)[:, None] * torch.exp(
        0.5 * torch.randn(count, 3, generator=random)
    )
    return {
        "means": means,
        "quats": torch.randn(count, 4, generator=random),
        "scales": scales,
        "opacities": torch.sigmoid(1.5 * torch.randn(count, generator=random)),
        "colors": torch.rand(count, 3, generator=random),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]]),
    }


def _best_ms(work: Callable[[], object], repetitions: int) -> float:
    best = math.inf
    for _ in range(repetitions):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1e3 * best


def measure(count: int, repetitions: int = 5) -> Timing:
    """Time `count` Gaussians at 640 x 360, colour only, one thread."""
    scene = view(count)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        scene[name].requires_grad_(True)
    goal = torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))

    def forward() -> Tensor:
        return rasterization(**scene, width=WIDTH, height=HEIGHT)[0]

    def forward_backward() -> None:
        for tensor in scene.values():
            tensor.grad = None
        (forward() - goal).abs().mean().backward()

    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    set_threads(1)
    try:
        forward_backward()  # loads or compiles the kernels
        with torch.no_grad():
            forward_ms = _best_ms(forward, repetitions)
        return Timing(count, forward_ms, _best_ms(forward_backward, repetitions))
    finally:
        set_threads(None)
        torch.set_num_threads(torch_threads)


def run(json: bool = False, gaussians: Sequence[int] = (20_000, 100_000, 300_000)) -> None:
    """Print the timings as a table, or as one JSON object."""
    timings = [measure(count) for count in gaussians]
    if json:
        rows = [asdict(timing) for timing in timings]
        print(json_module.dumps({"width": WIDTH, "height": HEIGHT, "threads": 1, "timings": rows}))
        return
    print(f"{WIDTH} x {HEIGHT}, one thread, processor time in ms")
    print(f"{'gaussians':>10} {'forward':>9} {'forward + backward':>19}")
    for t in timings:
        print(f"{t.gaussians:>10,} {t.forward_ms:>9.1f} {t.forward_backward_ms:>19.1f}")


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Processor time of the CPU renderer at 640 x 360.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--gaussians", type=int, nargs="+", default=[20_000, 100_000, 300_000])
    arguments = parser.parse_args()
    run(arguments.json, arguments.gaussians)


if __name__ == "__main__":
    main()
