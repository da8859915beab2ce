"""What the backward pass is measured on: a drum of jelly that sways in one way and should sway in another, both by formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.worlds import SKIN_PER_SPACING, Solid, drum, look, make_scene
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.gradient import GradientOperator
from perpetua.scene.materials import resolve
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import MaterialSpec

RADIUS_M, HEIGHT_M = 0.04, 0.095
FPS = 24.0
SIDE_DEGREES = 35.0
"""Between neighbouring cameras, which stand in turns right and left of the front."""
HELD_OUT = (-18.0, 38.0)
"""Degrees to the front's right, and above the horizon."""
DENT_M, DENT_RADIUS_M = 0.004, 0.018
"""Of a bulge that only the truth has: something small for the pass to find."""


@dataclass(frozen=True)
class BackwardPlan:
    """What to measure. frames: of the round, the start included.  views: the front among them.  width: pixels, the height is 0.55 of
    it.  gaussians: of the object, about.  renders: of each of the two passes (front, then all views).  compare: also the schedule
    of PerpetualWonder, ``passes`` over all frames of all views."""

    frames: int = 49
    views: int = 3
    width: int = 320
    gaussians: int = 20_000
    renders: int = 300
    compare: bool = False
    passes: int = 201
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames - 3, self.views - 1, self.width - 32, self.gaussians - 100, self.renders - 1) < 0:
            raise InvalidTake(
                "The backward pass is measured on at least 3 frames, 1 view, 32 pixels of width, 100 Gaussians and 1 render."
            )

    @property
    def height(self) -> int:
        """Even, as videos need it."""
        return 2 * round(0.55 * self.width / 2)


@dataclass(frozen=True)
class Sway:
    """A motion of the drum. amplitude: how far its top goes, m.  hertz.  squash: largest shortening.  twist: of the top, rad.
    dent: depth of a bulge, m."""

    amplitude: float
    hertz: float
    squash: float
    twist: float = 0.0
    dent: float = 0.0

    def __call__(self, rest: NDArray, seconds: float) -> NDArray[np.float64]:
        """[P, 3] m: where particles at ``rest`` [P, 3] m are; at 0 s there, without speed."""
        phase = 2 * np.pi * self.hertz * seconds
        lean, settled = 0.5 * (1 - np.cos(phase)), 1 - np.exp(-4 * seconds**2)
        up = rest[:, 2:] / HEIGHT_M
        moved = rest * [1, 1, 1 - self.squash * lean]
        moved[:, :2] *= 1 + 0.5 * self.squash * lean * up * (1.5 - up)
        angle = self.twist * lean * up[:, 0]
        c, s = np.cos(angle), np.sin(angle)
        x, y = moved[:, 0].copy(), moved[:, 1].copy()
        moved[:, 0], moved[:, 1] = c * x - s * y, s * x + c * y
        moved[:, :2] += self.amplitude * lean * up**2 * [np.cos(0.4 * seconds), np.sin(0.9 * seconds)]
        place = np.array([0.0, -RADIUS_M, 0.6 * HEIGHT_M])
        bulge = np.exp(-0.5 * ((rest - place) ** 2).sum(1, keepdims=True) / DENT_RADIUS_M**2)
        return moved - self.dent * settled * bulge * [0.0, 1.0, 0.0]

    def trajectory(self, scene: Scene, frames: int) -> Trajectory:
        """Of the scene's particles, which are at rest in the first frame."""
        rest = scene.particles.positions.astype(np.float64)
        gradient = GradientOperator.at(rest, scene.particles.body)
        times = np.arange(frames) / FPS
        positions = np.stack([self(rest, t) for t in times])
        positions -= positions[0] - rest
        F = np.stack([np.eye(3) + gradient(p - rest) for p in positions])
        return Trajectory(positions.astype(np.float32), F.astype(np.float32), times)


SIMULATED = Sway(0.028, 0.75, 0.06)
TRUE = Sway(0.020, 1.0, 0.12, twist=0.3, dent=DENT_M)


@dataclass(frozen=True)
class BackwardWorld:
    """The scene, its motion as simulated and in truth, the cameras whose videos are seen and one that is not."""

    scene: Scene
    simulated: Trajectory
    truth: Trajectory
    cameras: list[Camera]
    held_out: Camera


def backward_world(plan: BackwardPlan) -> BackwardWorld:
    """The world of a plan."""
    spacing = _spacing(plan.gaussians)
    solid = Solid(
        "jelly",
        resolve(MaterialSpec("jelly")),
        drum(RADIUS_M, HEIGHT_M, (0, 0, HEIGHT_M / 2)),
        (0.75, 0.25, 0.3),
    )
    scene = make_scene([solid], spacing, plan.width, plan.height)

    def camera(name: str, degrees: float, *elevation: float) -> Camera:
        role = "front" if name == "front" else "side"
        return look(scene.centre, degrees, plan.width, plan.height, name, role, *elevation)

    sides = [(i + 1) // 2 * SIDE_DEGREES * (1 if i % 2 else -1) for i in range(1, plan.views)]
    cameras = [camera("front", 0.0), *(camera(f"side {i}", d) for i, d in enumerate(sides, 1))]
    return BackwardWorld(
        scene,
        SIMULATED.trajectory(scene, plan.frames),
        TRUE.trajectory(scene, plan.frames),
        cameras,
        camera("held out", *HELD_OUT),
    )


def _spacing(gaussians: int) -> float:
    """Between particles, m, so that the drum has about so many splats: on its surface, and one in each particle."""
    area = 2 * np.pi * RADIUS_M * (RADIUS_M + HEIGHT_M) * SKIN_PER_SPACING**2
    volume = np.pi * RADIUS_M**2 * HEIGHT_M
    roots = np.roots([gaussians, 0.0, -area, -volume])  # gaussians = area / s^2 + volume / s^3
    return float(roots.real.max())  # the only one above zero, for the coefficients change sign once
