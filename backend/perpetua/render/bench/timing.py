"""Taking times: of a draw, and of a draw with the gradient of an L1 loss to every Gaussian parameter."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from perpetua.render.bench.scenes import LEAVES
from perpetua.render.rasterize import rasterization

Draw = Callable[..., Any]


@dataclass(frozen=True)
class Time:
    """Best of some repetitions, ms. cpu_ms: of all threads together."""

    wall_ms: float
    cpu_ms: float

    def least(self, other: Time) -> Time:
        """The better of both, for each clock."""
        return Time(min(self.wall_ms, other.wall_ms), min(self.cpu_ms, other.cpu_ms))


NEVER = Time(math.inf, math.inf)


@dataclass(frozen=True)
class Cost:
    """What one scene costs."""

    forward: Time
    forward_backward: Time
    """With torch's own work for the loss."""
    renderer: Time
    """Forward and backward without it: the gradient of the image is given."""

    def least(self, other: Cost) -> Cost:
        """The better of both."""
        return Cost(
            self.forward.least(other.forward),
            self.forward_backward.least(other.forward_backward),
            self.renderer.least(other.renderer),
        )


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Render, and let torch compute, with so many threads."""
    from perpetua.render.numba_backend.threads import set_threads

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    set_threads(count)
    try:
        yield
    finally:
        set_threads(None)
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Way:
    """One way of drawing that is timed: a function with the arguments of `rasterization`, and threads."""

    draw: Draw = rasterization
    threads: int = 1


def _time(work: Callable[[], object], device: torch.device) -> Time:
    """Time of `work` until the GPU, where it runs on one, has finished."""

    def settle() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    settle()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    settle()
    return Time(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))


def best_time(work: Callable[[], object], repetitions: int) -> Time:
    """Best time of a forward pass on the CPU, one thread."""
    best = NEVER
    with threads(1), torch.no_grad():
        work()  # loads or compiles the kernels
        for _ in range(repetitions):
            best = best.least(_time(work, torch.device("cpu")))
    return best


def goal_of(scene: dict[str, Any]) -> Tensor:
    """[1, H, W, 3] noise, the picture that the loss compares with."""
    random = torch.Generator().manual_seed(1)
    goal = torch.rand(1, scene["height"], scene["width"], 3, generator=random)
    return goal.to(scene["means"].device)


def descend(scene: dict[str, Any], goal: Tensor, draw: Draw = rasterization) -> None:
    """One forward and backward pass."""
    _forget_gradients(scene)
    (draw(**scene)[0] - goal).abs().mean().backward()


def draw_back(scene: dict[str, Any], gradient: Tensor, draw: Draw = rasterization) -> None:
    """One forward and backward pass where the gradient of the image is known."""
    _forget_gradients(scene)
    draw(**scene)[0].backward(gradient)


def _forget_gradients(scene: dict[str, Any]) -> None:
    for name in LEAVES:
        scene[name].grad = None


def cost_once(scene: dict[str, Any], goal: Tensor, way: Way) -> Cost:
    """Each pass timed once."""
    device = scene["means"].device
    with threads(way.threads):
        with torch.no_grad():
            forward = _time(lambda: way.draw(**scene), device)
        with_loss = _time(lambda: descend(scene, goal, way.draw), device)
        return Cost(forward, with_loss, _time(lambda: draw_back(scene, goal, way.draw), device))


def costs(scene: dict[str, Any], repetitions: int, *ways: Way) -> list[Cost]:
    """Best cost of a scene in each way, taken by turns so that other load on the machine meets all alike."""
    goal = goal_of(scene)
    for way in ways:
        descend(scene, goal, way.draw)  # loads or compiles the kernels
    best = [Cost(NEVER, NEVER, NEVER) for _ in ways]
    for _ in range(repetitions):
        best = [cost.least(cost_once(scene, goal, way)) for cost, way in zip(best, ways, strict=True)]
    return best
