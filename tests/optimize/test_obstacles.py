"""Corrections enter neither colliders nor other bodies, and let be what the simulator left overlapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.obstacles import Crowding, Obstacles
from perpetua.scene import Particles, Scene, Trajectory
from perpetua_protocol.actions import Collider, Mesh
from perpetua_protocol.take import Round
from perpetua_protocol.tracks import VectorTrack

FRAMES = 6
WALL_X = 0.065
"""m; the near face of a wall that stands 15 mm from the ball, and comes 5 mm nearer in the round."""


@pytest.fixture(scope="module")
def wall() -> Obstacles:
    box = trimesh.creation.box((0.04, 0.3, 0.3)).apply_translation((WALL_X + 0.02, 0, 0.06))
    mesh = Mesh(tuple(map(tuple, box.vertices.tolist())), tuple(map(tuple, box.faces.tolist())))
    path = VectorTrack((20.0, 20.0 + FRAMES), ((0.0, 0.0, 0.0), (-0.005, 0.0, 0.0)))
    collider = Collider("wall", mesh, location=path)
    return Obstacles(Round(FRAMES, (collider,)), 20, 24.0)


@pytest.fixture(scope="module")
def jelly(make_scene: Callable[[str], Scene]) -> Scene:
    return make_scene("jelly")


def still(scene: Scene) -> Trajectory:
    positions = np.repeat(scene.particles.positions[None], FRAMES + 1, 0)
    eye = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
    return Trajectory(positions, eye, np.arange(FRAMES + 1) / 24)


def test_a_correction_stops_at_a_moving_wall(jelly: Scene, wall: Obstacles) -> None:
    shift = np.float32([0, 0.4, 1])[:, None, None] * np.float32([0.03, 0, 0])
    displacement = np.broadcast_to(shift, (3, len(jelly.particles), 3)).copy()
    correction = Correction(np.float32([0, 3, 6]), displacement, jelly.foreground.sh.numpy())
    free, _ = apply_correction(jelly, still(jelly), correction)
    held, _ = apply_correction(jelly, still(jelly), correction, wall)
    face = WALL_X - 0.005
    assert free.positions[-1, :, 0].max() > face + 0.015
    assert held.positions[-1, :, 0].max() < face + 0.001
    untouched = free.positions[-1, :, 0] < face - 0.001
    np.testing.assert_array_equal(held.positions[-1, untouched], free.positions[-1, untouched])


def test_what_was_simulated_inside_stays(jelly: Scene, wall: Obstacles) -> None:
    inside = jelly.particles.positions + np.array([0.02, 0, 0])
    np.testing.assert_array_equal(wall.lifted(FRAMES, jelly, inside, inside), inside)
    deeper = wall.lifted(FRAMES, jelly, inside, inside + np.array([0.005, 0, 0]))
    reached = inside[:, 0] > WALL_X
    assert reached.any()
    np.testing.assert_allclose(deeper[reached], inside[reached], atol=2e-4)


def test_the_price_of_depth_has_its_gradient(jelly: Scene, wall: Obstacles) -> None:
    simulated = torch.from_numpy(jelly.particles.positions)
    check_gradient(lambda p: wall.price(FRAMES, jelly, simulated, p), simulated + torch.tensor([0.02, 0, 0]))
    assert float(wall.price(FRAMES, jelly, simulated, simulated)) == 0


def two_balls(jelly: Scene) -> Scene:
    count = len(jelly.particles)
    beside = jelly.particles.positions + np.float32([0.108, 0, 0])
    particles = Particles.at_rest(
        np.concatenate([jelly.particles.positions, beside]), np.repeat(np.int32([0, 1]), count)
    )
    return replace(jelly, particles=particles, bodies=[jelly.bodies[0]] * 2)


def test_bodies_are_not_pushed_into_each_other(jelly: Scene) -> None:
    scene = two_balls(jelly)
    crowding = Crowding(scene.particles.body, scene.spacing)
    simulated = torch.from_numpy(scene.particles.positions)
    pushed = (
        simulated + torch.tensor([0.018, 0.0, 0.0]) * torch.from_numpy(scene.particles.body == 0)[:, None]
    )
    assert float(crowding.price(simulated, simulated)) == 0
    assert float(crowding.price(pushed, pushed)) == 0
    assert float(crowding.price(simulated, pushed)) > 0
    check_gradient(lambda p: crowding.price(simulated, p), pushed, left_of=0.067)
    assert (
        float(Crowding(jelly.particles.body, jelly.spacing).price(*[simulated[: len(jelly.particles)]] * 2))
        == 0
    )


def check_gradient(
    price: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor, left_of: float = 1.0
) -> None:
    """The gradient along a shift by x of what is ``left_of`` some x (m), against a central difference."""
    at = at.double().requires_grad_()
    price(at).backward()
    along = torch.stack([at.detach()[:, 0] < left_of, *[torch.zeros(len(at), dtype=bool)] * 2], 1).double()
    step = 1e-6
    with torch.no_grad():
        numeric = float(price(at + step * along) - price(at - step * along)) / (2 * step)
    analytic = float((at.grad * along).sum())
    assert abs(analytic) > 0
    assert abs(analytic - numeric) < 0.05 * abs(analytic)
