"""The formulas of the forces against their closed forms, and Blender's falloff."""

import math

import numpy as np
import pytest

from perpetua.physics.forces import Moment, force_at, forces_at
from perpetua.physics.forces.fading import Fading
from perpetua.physics.forces.turbulence import WAVES
from perpetua_protocol.take import (
    Drag,
    Falloff,
    Force,
    Poke,
    Push,
    Round,
    ScalarTrack,
    Turbulence,
    VectorTrack,
    Vortex,
    Wind,
)

RNG = np.random.default_rng(1)
POSITIONS = RNG.uniform(-0.05, 0.05, (400, 3))
VELOCITIES = RNG.uniform(-1, 1, (400, 3))
BODY = np.repeat([0, 1], 200)
MASS = np.where(BODY == 0, 1e-3, 3e-3)
NAMES = ["ball", "cup"]
FPS, STEP = 24.0, 0.25


def force(action, frame=0.0, round_=None):
    return force_at(action, Moment(frame, STEP, FPS), NAMES, round_ or Round(8, (action,)), 0.0)


def acceleration(action, positions=POSITIONS, velocities=VELOCITIES, frame=0.0):
    count = len(positions)
    return force(action, frame).acceleration(
        positions, velocities, MASS[:count], np.zeros(count, int) if count != 400 else BODY
    )


def motion(action, position, velocity, seconds, gravity=(0, 0, 0), steps=20_000):
    """Where the formula takes one particle, by small explicit steps."""
    x, v = np.array([position], float), np.array([velocity], float)
    dt = seconds / steps
    for _ in range(steps):
        v = v + dt * (acceleration(action, x, v) + np.array(gravity))
        x = x + dt * v
    return x[0], v[0]


def test_wind_takes_matter_to_the_speed_of_the_air_with_its_time_constant():
    a = acceleration(Wind("w", direction=(0, 2, 0), speed=3.0, drag=4.0))
    np.testing.assert_allclose(a, 4.0 * (np.array([0, 3.0, 0]) - VELOCITIES))
    _, v = motion(Wind("w", speed=3.0, drag=4.0), (0, 0, 0), (0, 0, 0), 0.5)
    np.testing.assert_allclose(v, [3 * (1 - math.exp(-2)), 0, 0], rtol=1e-3)


def test_wind_has_a_smooth_edge_and_blows_everywhere_without_a_reach():
    at = np.array([[d, 0, 0] for d in (0.0, 0.74, 0.875, 1.0, 2.0)])
    np.testing.assert_allclose(force(Wind("w", reach=1.0)).weight(at), [1, 1, 0.5, 0, 0])
    np.testing.assert_allclose(force(Wind("w")).weight(at * 1e3), 1.0)


def test_terminal_speed_in_drag_solves_the_quadratic_and_in_still_wind_is_g_over_drag():
    k, q, g = 2.0, 3.0, 9.81
    _, v = motion(Drag("d", k, q), (0, 0, 0), (0, 0, 0), 3.0, gravity=(0, 0, -g))
    np.testing.assert_allclose(-v[2], (math.sqrt(k * k + 4 * q * g) - k) / (2 * q), rtol=1e-4)
    _, v = motion(Wind("w", speed=0.0, drag=5.0), (0, 0, 0), (0, 0, 0), 3.0, gravity=(0, 0, -g))
    np.testing.assert_allclose(v[2], -g / 5.0, rtol=1e-4)


def test_an_attraction_has_a_linear_potential():
    start, strength = np.array([0.03, 0.04, 0.0]), 6.0
    time = math.sqrt(2 * 0.05 * 0.999 / strength)  # a constant pull to just before the centre
    x, v = motion(Force("f", strength=-strength), start, (0, 0, 0), time)
    speed = math.sqrt(2 * strength * (0.05 - np.linalg.norm(x)))
    np.testing.assert_allclose(np.linalg.norm(v), speed, rtol=1e-3)
    assert not acceleration(
        Force("f"), np.zeros((1, 3)), np.zeros((1, 3))
    ).any()  # no direction at the centre


def test_a_vortex_gives_its_angular_acceleration_about_a_tilted_axis():
    axis, centre = np.array([0.0, 0.6, 0.8]), np.array([0.01, 0.0, 0.02])
    a = acceleration(Vortex("v", tuple(centre), tuple(2 * axis), 30.0), velocities=np.zeros((400, 3)))
    r = POSITIONS - centre
    across = r - (r @ axis)[:, None] * axis
    np.testing.assert_allclose(np.cross(across, a), 30.0 * (across**2).sum(1)[:, None] * axis, atol=1e-12)
    np.testing.assert_allclose(a @ axis, 0, atol=1e-12)


def test_an_inflow_keeps_matter_on_its_circle():
    omega = 5.0
    x, v = motion(
        Vortex("v", strength=0.0, inflow=omega**2), (0.1, 0, 0.3), (0, 0.1 * omega, 0), 1.0, steps=40_000
    )
    np.testing.assert_allclose(x, [0.1 * math.cos(omega), 0.1 * math.sin(omega), 0.3], atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(v), 0.1 * omega, rtol=1e-3)


def test_turbulence_has_its_amplitude_and_no_divergence():
    field = force(Turbulence("t", strength=4.0, size=0.03, seed=7))
    many = RNG.uniform(-20, 20, (200_000, 3))  # a thousand wavelengths each way
    rms = math.sqrt((field.pull(many) ** 2).sum(1).mean())
    assert rms == pytest.approx(4.0, rel=0.01)
    h = 1e-6
    jacobian = np.stack(
        [(field.pull(POSITIONS + h * e) - field.pull(POSITIONS - h * e)) / (2 * h) for e in np.eye(3)], -1
    )
    divergence = np.trace(jacobian, axis1=1, axis2=2)
    assert np.abs(divergence).max() < 1e-6 * np.abs(jacobian).max()
    assert np.abs(jacobian).max() > 4.0 / 0.03  # so that the line above says something


def test_turbulence_is_its_seed_s_has_its_size_and_travels():
    still = {"size": 0.05, "speed": 0.0}
    a = acceleration(Turbulence("t", **still))
    np.testing.assert_array_equal(a, acceleration(Turbulence("t", **still), frame=5.0))
    assert np.abs(a - acceleration(Turbulence("t", seed=1, **still))).max() > 1.0
    moving = Turbulence("t", size=0.05, speed=0.2)
    assert np.abs(acceleration(moving, frame=5.0) - acceleration(moving)).max() > 1.0
    waves = force(moving).waves
    wavelength = 2 * math.pi / np.linalg.norm(waves[:, :3], axis=1)
    assert len(waves) == WAVES
    assert ((wavelength > 0.05 / 1.5) & (wavelength < 0.05 * 1.5)).all()


@pytest.mark.parametrize("action", [Force("f", flow=3.0), Vortex("v", flow=3.0), Turbulence("t", flow=3.0)])
def test_flow_slows_matter_down(action):
    difference = acceleration(action) - acceleration(action, velocities=np.zeros((400, 3)))
    np.testing.assert_allclose(difference, -3.0 * VELOCITIES, atol=1e-12)


def test_a_strong_drag_is_stable_at_any_substep():
    drag = force(Drag("d", 1e6))
    after = VELOCITIES + 0.01 * drag.acceleration(POSITIONS, VELOCITIES, MASS, BODY, dt=0.01)
    assert (np.abs(after) < 1e-3 * np.abs(VELOCITIES)).all()


# -- falloff ----------------------------------------------------------------------------------------------------------


def blender_falloff(falloff, r, axis):
    """The weight at one place, branch for branch as Blender's C does it."""

    def func(fac, least, most, power):
        if most is not None and fac > most:
            return 0.0
        if least is not None and fac < least:
            return 1.0
        return (1.0 + fac - (least or 0.0)) ** -power

    fac = float(np.dot(axis, r))
    if (falloff.side == "positive" and fac < 0) or (falloff.side == "negative" and fac > 0):
        return 0.0
    near = (falloff.min_distance, falloff.max_distance, falloff.power)
    radial = (falloff.radial_min, falloff.radial_max, falloff.radial_power)
    if falloff.shape == "sphere":
        return func(float(np.linalg.norm(r)), *near)
    if falloff.shape == "tube":
        return func(abs(fac), *near) * func(float(np.linalg.norm(r - fac * axis)), *radial)
    return func(abs(fac), *near) * func(math.degrees(math.acos(fac / np.linalg.norm(r))), *radial)


FALLOFFS = [
    Falloff(),
    Falloff(power=2.0),
    Falloff(power=1.5, min_distance=0.4, max_distance=1.2),
    Falloff(min_distance=0.3, max_distance=0.6, side="positive"),
    Falloff("tube", 1.0, 0.2, 1.0, 2.0, 0.1, 0.7),
    Falloff("tube", radial_max=0.5, side="negative"),
    Falloff("cone", 0.5, None, 1.5, 1.0, 20.0, 80.0),
    Falloff("cone", radial_power=0.3, radial_min=10.0),
]


@pytest.mark.parametrize("falloff", FALLOFFS)
def test_falloff_is_blender_s(falloff):
    axis = np.array([0.48, -0.6, 0.64])
    r = RNG.uniform(-1, 1, (500, 3))
    expected = [blender_falloff(falloff, one, axis) for one in r]
    np.testing.assert_allclose(Fading.of(falloff).weight(r, axis), expected, rtol=1e-12)
    for action in (Force("f", falloff=falloff), Wind("w", direction=(0, 0, 1), falloff=falloff)):
        weight = force(action).weight(POSITIONS)
        expected = [blender_falloff(falloff, one, np.array([0, 0, 1.0])) for one in POSITIONS]
        np.testing.assert_allclose(weight, expected, rtol=1e-12)


# -- pushes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", [(), ("cup",)])
def test_push_is_its_newtons_whatever_it_touches(targets):
    push = Push("p", (0.02, 0, 0), (0, 0, 2.0), ScalarTrack((0, 10), (0.0, 8.0)), 0.04, targets=targets)
    a = acceleration(push, frame=5.0)
    np.testing.assert_allclose((MASS[:, None] * a).sum(0), [0, 0, 4.0], atol=1e-12)
    outside = np.linalg.norm(POSITIONS - [0.02, 0, 0], axis=1) > 0.04
    assert not a[outside].any()
    if targets:
        assert not a[BODY == 0].any()


def test_push_on_nothing_does_nothing():
    push = Push("p", (9, 9, 9), (0, 1, 0), 2.0)
    assert not force(push).reaches(POSITIONS, BODY)
    assert not acceleration(push).any()


@pytest.mark.parametrize(("start", "end"), [(None, None), (2.0, None), (1.1, 1.15), (2.3, 5.9), (7.5, None)])
def test_a_poke_gives_its_whole_impulse_in_its_window(start, end):
    poke = Poke("p", (0, 0, 0), (1, 0, 0), 0.3, 0.05, start=start, end=end)
    round_ = Round(8, (poke,))
    momentum = np.zeros(3)
    acting = 0
    for step in range(round(8 / STEP)):
        (item,) = forces_at(round_, 0.0, Moment((step + 0.5) * STEP, STEP, FPS), NAMES)
        if item is not None:
            a = item.acceleration(POSITIONS, VELOCITIES, MASS, BODY)
            momentum += (MASS[:, None] * a).sum(0) * STEP / FPS
            acting += 1
    np.testing.assert_allclose(momentum, [0.3, 0, 0], atol=1e-12)
    window = (end or min((start or 0.0) + 1, 8.0)) - (start or 0.0)
    assert acting <= window / STEP + 2


# -- time -------------------------------------------------------------------------------------------------------------


def test_actions_act_in_their_window_with_keys_on_the_take_s_frames():
    keyed = VectorTrack((10, 14), ((0, 0, 0), (4, 0, 0)))
    round_ = Round(8, (Push("p", keyed, (1, 0, 0), 1.0, start=11, end=13),))
    assert forces_at(round_, 10, Moment(10.9, STEP, FPS), NAMES) == [None]
    (item,) = forces_at(round_, 10, Moment(12, STEP, FPS), NAMES)
    np.testing.assert_allclose(item.centre, [2, 0, 0])
    assert forces_at(round_, 10, Moment(13, STEP, FPS), NAMES) == [None]
