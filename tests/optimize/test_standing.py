"""A brick that lies on the table is not tilted for a pixel, follows where it clearly leaves it, and never has a corner in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.standing import CLEARLY, STANDING_WEIGHT, Standing, lowest
from perpetua.scene import Body, Particles, Scene, Trajectory

SPACING = 0.01


@pytest.fixture
def brick(make_scene) -> Scene:
    """6 x 4 x 4 cm of wood, half a spacing inside its surface."""
    axes = [np.arange(-n / 2 + 0.5, n / 2) * SPACING for n in (6, 4, 4)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) + np.array([0, 0, 0.02])
    box = trimesh.creation.box((0.06, 0.04, 0.04)).apply_translation((0, 0, 0.02))
    scene = make_scene("wood")
    body = Body("brick", scene.bodies[0].material, np.asarray(box.vertices), np.asarray(box.faces))
    rest = points.astype(np.float32)
    return replace(
        scene,
        bodies=[body],
        particles=Particles.at_rest(rest, np.zeros(len(rest), np.int32)),
        spacing=SPACING,
    )


def tilted(scene: Scene, degrees: float, lift: float = 0.0) -> np.ndarray:
    points = scene.particles.positions.astype(np.float64)
    centre = points.mean(0)
    return Rotation.from_euler("y", degrees, degrees=True).apply(points - centre) + centre + [0, 0, lift]


def test_a_tilt_costs_and_a_slide_does_not(brick: Scene):
    price = Standing(brick, torch.arange(len(brick.particles)))
    before = torch.from_numpy(brick.particles.positions)
    assert price(before, before + torch.tensor([0.03, 0.01, 0.0])) == 0
    small, large = (float(price(before, torch.from_numpy(tilted(brick, a)).float())) for a in (1.0, 5.0))
    assert 0 < small < large
    over = float(price(before, torch.from_numpy(tilted(brick, 60.0)).float()))
    assert large < over < STANDING_WEIGHT * CLEARLY**2, "fallen over it pays no more than a bounded price"
    assert price(before, before + torch.tensor([0.0, 0.0, 0.1])) < 1e-9
    flying = before + torch.tensor([0.0, 0.0, 0.05])
    assert price(flying, torch.from_numpy(tilted(brick, 20, 0.05)).float()) == 0


def test_no_corner_goes_into_the_table(brick: Scene):
    rest = brick.particles.positions
    F = np.broadcast_to(np.eye(3, dtype=np.float32), (3, len(rest), 3, 3)).copy()
    trajectory = Trajectory(np.repeat(rest[None], 3, 0), F, np.arange(3) / 24)
    off = np.zeros((2, len(rest), 3), np.float32)
    off[1] = tilted(brick, 6.0) - rest
    moved, _ = apply_correction(
        brick, trajectory, Correction(np.float32([0, 2]), off, brick.foreground.sh.numpy())
    )
    turn = moved.F[2, 0].astype(np.float64)
    assert np.degrees(np.arccos(turn[2, 2])) == pytest.approx(6.0, abs=0.1)
    assert lowest(brick.bodies[0], rest, moved.positions[2].astype(np.float64), turn) == pytest.approx(
        0, abs=1e-5
    )
    assert lowest(brick.bodies[0], rest, tilted(brick, 6.0), turn) < -0.002
