"""The formulas of wind and push against their closed forms."""

import numpy as np
import pytest

from perpetua.physics import forces
from perpetua_protocol.take import Push, Round, ScalarTrack, VectorTrack, Wind

RNG = np.random.default_rng(1)
POSITIONS = RNG.uniform(-0.05, 0.05, (400, 3))
VELOCITIES = RNG.uniform(-1, 1, (400, 3))
BODY = np.repeat([0, 1], 200)
MASS = np.where(BODY == 0, 1e-3, 3e-3)
NAMES = ["ball", "cup"]


def test_wind_drags_towards_the_air():
    item = forces.load(Wind("w", direction=(0, 2, 0), speed=3.0, drag=4.0), 0, NAMES)
    a = forces.acceleration(item, POSITIONS, VELOCITIES, MASS, BODY)
    np.testing.assert_allclose(a, 4.0 * (np.array([0, 3.0, 0]) - VELOCITIES))


def test_wind_has_a_smooth_edge():
    d = np.array([0.0, 0.74, 0.875, 1.0, 2.0])
    np.testing.assert_allclose(forces.falloff(forces.WIND, d, 1.0), [1, 1, 0.5, 0, 0])


@pytest.mark.parametrize("targets", [(), ("cup",)])
def test_push_is_its_newtons_whatever_it_touches(targets):
    item = forces.load(
        Push("p", (0.02, 0, 0), (0, 0, 2.0), ScalarTrack((0, 10), (0.0, 8.0)), 0.04, targets=targets),
        5,
        NAMES,
    )
    a = forces.acceleration(item, POSITIONS, VELOCITIES, MASS, BODY)
    np.testing.assert_allclose((MASS[:, None] * a).sum(0), [0, 0, 4.0], atol=1e-12)
    outside = np.linalg.norm(POSITIONS - [0.02, 0, 0], axis=1) > 0.04
    assert not a[outside].any()
    if targets:
        assert not a[BODY == 0].any()


def test_push_on_a_rigid_body_has_the_same_force_and_its_torque():
    item = forces.load(Push("p", (0.03, 0, 0), (0, 1, 0), 2.0, 0.03), 0, NAMES)
    points = POSITIONS[BODY == 1]
    total = forces.pushed_mass(item, points, np.full(200, 3e-3), np.full(200, 1))
    force, torque = forces.wrench(item, np.zeros(3), points, np.zeros((200, 3)), 3e-3, 1, total)
    np.testing.assert_allclose(force, [0, 2, 0], atol=1e-12)
    weight = forces.falloff(forces.PUSH, np.linalg.norm(points - [0.03, 0, 0], axis=1), 0.03)
    arm = (weight[:, None] * points).sum(0) / weight.sum()
    np.testing.assert_allclose(torque, np.cross(arm, [0, 2, 0]), atol=1e-12)


def test_push_on_nothing_does_nothing():
    item = forces.load(Push("p", (9, 9, 9), (0, 1, 0), 2.0), 0, NAMES)
    assert not forces.reaches(item, POSITIONS, BODY)
    assert not forces.acceleration(item, POSITIONS, VELOCITIES, MASS, BODY).any()


def test_actions_act_in_their_window_with_keys_on_the_take_s_frames():
    keyed = VectorTrack((10, 14), ((0, 0, 0), (4, 0, 0)))
    round_ = Round(8, (Push("p", keyed, (1, 0, 0), 1.0, start=11, end=13),))
    assert forces.loads_at(round_, 10, 10.9, NAMES) == [None]
    (item,) = forces.loads_at(round_, 10, 12, NAMES)
    np.testing.assert_allclose(item.centre, [2, 0, 0])
    assert forces.loads_at(round_, 10, 13, NAMES) == [None]
