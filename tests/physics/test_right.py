"""Motion that is known in closed form, what must never change, and a run that stops where something goes wrong.

One jelly ball without inner damping, in the air: one world for all.
"""

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import ball_points, material, scene_of

from perpetua.errors import SimulationError
from perpetua.physics import checks
from perpetua.physics.api import RoundPlan, SimulationStopped
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.physics.parts import Snapshot
from perpetua.progress import Progress
from perpetua_protocol.take import Drag, Poke, Push, Round, Wind

SPACING, FPS, G = 0.01, 24.0, 9.81
RADIUS = 0.04
SCENE = scene_of(
    [("ball", material("jelly", viscosity=0.0), ball_points(RADIUS, SPACING, (0, 0, RADIUS + 0.005)))],
    SPACING,
)
COUNT = len(SCENE.particles)
MASS = SCENE.bodies[0].material.density * SPACING**3


def simulate(state, frames, *actions, gravity=(0.0, 0.0, -G)):
    plan = RoundPlan(Round(frames, actions), 0, FPS, gravity)
    return GenesisEngine().simulate(SCENE, state, plan, Progress())


def airborne(velocity, height=0.3):
    """The ball ``height`` m up, all of it with ``velocity`` [3] or [P, 3] m/s, some time after the picture."""
    positions = SCENE.particles.positions + np.float32([0, 0, height])
    velocities = np.broadcast_to(np.float32(velocity), positions.shape).copy()
    return replace(SCENE.rest_state().with_particles(positions=positions, velocities=velocities), time=1.0)


def path(simulation):
    """[T, 3] m: the centre, from where it began."""
    centre = simulation.trajectory.positions.astype(np.float64).mean(1)
    return centre - centre[0]


def substep(simulation):
    """s. A substep moves with the velocity it ends with, so a fall is ahead by half of what gravity gives in a substep."""
    return 1.0 / (FPS * simulation.substeps)


def momentum(state):
    return MASS * state.particles.velocities.astype(np.float64).sum(0)


def test_a_projectile_in_free_fall_flies_a_parabola():
    frames, v0 = 6, np.array([0.6, -0.2, 1.0])
    sim = simulate(airborne(v0), frames)
    t = np.arange(frames + 1) / FPS
    np.testing.assert_allclose(path(sim), v0 * t[:, None] - [0, 0, G / 2] * t[:, None] ** 2, atol=0.002)
    np.testing.assert_allclose(momentum(sim.end), COUNT * MASS * (v0 - [0, 0, G * t[-1]]), rtol=1e-3)


def test_a_projectile_with_drag_falls_behind():
    """v' = g - k v:  x = v0 (1 - e^(-k t)) / k,  z = -g t / k + (v0 + g / k) (1 - e^(-k t)) / k."""
    frames, k, v0 = 8, 4.0, np.array([1.0, 0.0, 1.0])
    sim = simulate(airborne(v0), frames, Drag("air", linear=k))
    t = np.arange(frames + 1) / FPS
    fade = (1 - np.exp(-k * t)) / k
    moved = path(sim)
    late = G * substep(sim) * t[-1] + 0.01 * fade[-1]
    np.testing.assert_allclose(moved[:, 0], v0[0] * fade, atol=late)
    np.testing.assert_allclose(moved[:, 2], -G * t / k + (v0[2] + G / k) * fade, atol=late)


def test_a_fall_in_wind_ends_at_its_terminal_speed():
    """m g = m k (w - v): the ball ends at the wind's velocity plus g / k downwards."""
    k, wind = 12.0, np.array([0.4, 0.0, 0.5])
    blow = Wind("updraught", tuple(wind), float(np.linalg.norm(wind)), drag=k)
    sim = simulate(airborne((0, 0, 0)), 14, blow)
    speed = sim.end.particles.velocities.astype(np.float64).mean(0)
    left = np.exp(-k * 14 / FPS)
    np.testing.assert_allclose(speed, wind - [0, 0, G / k], atol=1e-4 * G / k + left)


def test_a_fall_against_fast_drag_ends_at_its_terminal_speed():
    """g = k v + q v^2."""
    k, q = 2.0, 6.0
    sim = simulate(airborne((0, 0, -1.0), height=0.8), 10, Drag("air", linear=k, quadratic=q))
    terminal = (np.sqrt(k * k + 4 * q * G) - k) / (2 * q)
    left = np.exp(-np.sqrt(k * k + 4 * q * G) * 10 / FPS)
    assert momentum(sim.end)[2] / (COUNT * MASS) == pytest.approx(-terminal, abs=1e-4 * terminal + left)


def test_a_poke_and_a_push_give_their_momentum_within_a_percent():
    state = airborne((0, 0, 0))
    place = tuple(state.particles.positions.mean(0) + np.float32([0, 0, 0.03]))
    poke = Poke("tap", place, (0.6, 0.0, 0.8), 0.02, reach=0.03)
    np.testing.assert_allclose(
        momentum(simulate(state, 3, poke, gravity=(0, 0, 0)).end), [0.012, 0, 0.016], atol=2e-4
    )
    push = Push("shove", place, (0.0, 1.0, 0.0), 0.24, reach=0.03, end=2)
    np.testing.assert_allclose(
        momentum(simulate(state, 3, push, gravity=(0, 0, 0)).end), [0, 0.02, 0], atol=2e-4
    )


def energy(particles, gravity):
    """Kinetic, elastic (neo-Hookean, as in ``laws``) and potential energy, J."""
    lam, mu = SCENE.bodies[0].material.lame
    F = particles.F.astype(np.float64)
    log_J = np.log(np.linalg.det(F))
    stored = 0.5 * mu * ((F**2).sum((1, 2)) - 3) - mu * log_J + 0.5 * lam * log_J**2
    speed2 = (particles.velocities.astype(np.float64) ** 2).sum(1)
    height = particles.positions[:, 2].astype(np.float64)
    return float(stored.sum() * SPACING**3 + MASS * (0.5 * speed2 + gravity * height).sum())


@pytest.mark.parametrize("gravity", [0.0, G])
def test_the_energy_of_a_closed_elastic_system_never_grows(gravity):
    """A ball that swings in free flight, and one that bounces on the plane, which does no work."""
    away = SCENE.particles.positions - SCENE.particles.positions.mean(0)
    swing = away / RADIUS * np.float32([0.5, 0.5, -1.0])
    state = airborne(swing if gravity == 0 else (0.1, 0, -1.0), height=0.3 if gravity == 0 else 0.02)
    energies = [energy(state.particles, gravity)]
    for _ in range(8):
        state = simulate(state, 1, gravity=(0, 0, -gravity)).end
        energies.append(energy(state.particles, gravity))
    moving = energies[0] - COUNT * MASS * gravity * (RADIUS + 0.005)
    assert (np.diff(energies) <= 0.005 * moving).all()
    assert energies[-1] > energies[0] - moving


def whole(particles):
    return Snapshot(particles, {}, {}, np.ones(COUNT, bool))


def test_momentum_from_nowhere_is_named():
    before = airborne((0, 0, 0)).particles
    fallen = replace(before, velocities=before.velocities - np.float32([0, 0, G / FPS]))
    gained = np.tile([0, 0, -G / FPS], (COUNT, 1))
    checks.check_momentum(SCENE, whole(before), whole(fallen), gained, 0.02, 5)
    gone_mad = replace(fallen, velocities=fallen.velocities + np.float32([0.02, 0, 0]))
    with pytest.raises(
        SimulationError, match=r"'ball' exploded in frame 5: it gained .* N s from nothing; .*substeps"
    ):
        checks.check_momentum(SCENE, whole(before), whole(gone_mad), gained, 0.02, 5)
    standing = whole(SCENE.particles)
    checks.check_momentum(SCENE, standing, standing, gained, 0.02, 5)


def test_an_explosion_stops_the_run_within_its_frame_and_the_frames_before_are_kept():
    hammer = Push("hammer", (0, 0, 0.33), (0, 0, -1), 1e9, reach=0.1, start=2)
    calm = simulate(airborne((0, 0, 0)), 2)
    with pytest.raises(SimulationStopped, match=r"'ball' exploded in frame 3: .*'hammer'") as caught:
        simulate(airborne((0, 0, 0)), 4, hammer)
    kept = caught.value.so_far
    np.testing.assert_array_equal(kept.trajectory.positions, calm.trajectory.positions)
    np.testing.assert_array_equal(kept.end.particles.velocities, calm.end.particles.velocities)
    assert kept.end.time == calm.end.time


def test_what_flies_out_of_the_space_is_named_in_the_same_frame():
    with pytest.raises(
        SimulationStopped, match=r"frame 1 'ball' needs a grid of .* GB .*larger particle spacing"
    ) as caught:
        simulate(airborne((90.0, 90.0, 90.0)), 2)
    assert caught.value.so_far.trajectory.frames == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["positions", "velocities", "F"])
def test_one_number_that_is_none_is_found(name, value):
    broken = getattr(SCENE.particles, name).copy()
    broken[3] = value
    snapshot = whole(replace(SCENE.particles, **{name: broken}))
    with pytest.raises(
        checks.Exploded, match=r"'ball' exploded in frame 7: .* no longer at any place; .*substeps"
    ):
        checks.check_frame(SCENE, snapshot, np.ones(COUNT, bool), 0.02, 1e-3, 7, "")
