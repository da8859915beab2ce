"""Genesis itself, on one small scene of clay and jelly that every test shares (one world, one compilation)."""

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.errors import Cancelled, SimulationError
from perpetua.physics.api import RoundPlan
from perpetua.progress import Progress
from perpetua.registry import load as load_part
from perpetua.scene import State
from perpetua_protocol.take import Push, Round, Wind

SPACING = 0.01
FPS = 24.0
GRAVITY = (0.0, 0.0, -9.81)
CLAY, JELLY = 0, 1
SCENE = scene_of(
    [
        ("clay", material("clay"), box_points((0.05, 0.05, 0.05), SPACING, (-0.08, -0.025, 0.0))),
        ("jelly", material("jelly"), box_points((0.05, 0.05, 0.05), SPACING, (0.03, -0.025, 0.0))),
    ],
    SPACING,
)
BODY = SCENE.particles.body
MASS = np.array([1400.0, 1050.0]) * SPACING**3


def simulate(state, frames, *actions, gravity=GRAVITY, start=0, progress=None, scene=SCENE, **options):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity, **options)
    return load_part("engine", "genesis")().simulate(scene, state, plan, progress or Progress())


def lifted(height=0.05, velocity=(0, 0, 0)):
    """The scene in the air, moving as one, some time after the picture (so nothing settles)."""
    state = SCENE.rest_state()
    positions = state.particles.positions + np.float32([0, 0, height])
    velocities = np.broadcast_to(np.float32(velocity), positions.shape).copy()
    return replace(state.with_particles(positions=positions, velocities=velocities), time=1.0)


def centre(positions, body):
    return positions[..., body == BODY, :].mean(-2)


def strain(F):
    """[P]: norm of the Cauchy-Green strain F^T F - I, which knows no rotation."""
    return np.linalg.norm(F.transpose(0, 2, 1) @ F - np.eye(3), axis=(1, 2))


@pytest.fixture(scope="module")
def pushed():
    """A shove that dents the clay, over four frames and four more; also with a stop in between."""
    push = Push("shove", (-0.08, 0.0, 0.03), (1, 0, 0), 12.0, reach=0.03, end=3)
    whole = simulate(SCENE.rest_state(), 8, push)
    first = simulate(SCENE.rest_state(), 4, push)
    return whole, first


def test_bodies_at_rest_stay_where_the_picture_shows_them():
    moved = simulate(SCENE.rest_state(), 6).trajectory.positions - SCENE.particles.positions
    assert np.abs(moved).max() < 0.02 * SPACING


def test_free_fall_is_a_parabola_and_turns_nothing():
    sim = simulate(lifted(velocity=(0.2, 0, 0.1)), 2)
    t, dt = 2 / FPS, 1 / FPS / sim.substeps
    fall = 0.5 * 9.81 * t * (t + dt)  # a substep moves with the velocity it ends with
    for body in (CLAY, JELLY):
        moved = centre(sim.trajectory.positions[2] - sim.trajectory.positions[0], body)
        np.testing.assert_allclose(moved, [0.2 * t, 0, 0.1 * t - fall], atol=1e-5)
    np.testing.assert_allclose(sim.trajectory.F[2], np.broadcast_to(np.eye(3), (len(BODY), 3, 3)), atol=1e-3)
    np.testing.assert_allclose(sim.trajectory.times, 1.0 + np.arange(3) / FPS)


def test_wind_takes_its_target_to_the_speed_of_the_air():
    wind = Wind("breeze", (0, 1, 0), speed=0.5, drag=20.0, targets=("jelly",))
    sim = simulate(lifted(), 3, wind, gravity=(0, 0, 0))
    v = sim.end.particles.velocities
    expected = 0.5 * (1 - np.exp(-20.0 * 3 / FPS))
    np.testing.assert_allclose(v[BODY == JELLY].mean(0), [0, expected, 0], atol=0.005)
    np.testing.assert_allclose(v[BODY == CLAY], 0, atol=1e-6)


def test_a_push_gives_its_newtons_times_its_seconds():
    push = Push("tap", (-0.055, 0, 0.075), (0, 0, 1), 1.5, reach=0.04, end=2)
    sim = simulate(lifted(), 3, push, gravity=(0, 0, 0))
    v = sim.end.particles.velocities.astype(np.float64)
    momentum = (MASS[BODY][:, None] * v).sum(0)
    np.testing.assert_allclose(momentum, [0, 0, 1.5 * 2 / FPS], rtol=0.02, atol=1e-4)


def test_two_rounds_are_one_round_twice_as_long(pushed, tmp_path):
    whole, first = pushed
    first.end.save(tmp_path / "state.npz")
    push = Push("shove", (-0.08, 0.0, 0.03), (1, 0, 0), 12.0, reach=0.03, end=3)
    second = simulate(State.load(tmp_path / "state.npz"), 4, push, start=4)
    np.testing.assert_array_equal(first.trajectory.positions, whole.trajectory.positions[:5])
    np.testing.assert_array_equal(second.trajectory.positions, whole.trajectory.positions[4:])
    np.testing.assert_array_equal(second.trajectory.F, whole.trajectory.F[4:])
    for name in ("velocities", "F", "C", "plastic"):
        np.testing.assert_array_equal(getattr(second.end.particles, name), getattr(whole.end.particles, name))
    assert second.end.time == pytest.approx(8 / FPS)


def test_clay_keeps_its_dent_and_the_splats_deformation_knows_it(pushed):
    whole, _ = pushed
    clay = BODY == CLAY
    elastic, total = (strain(F[clay]) for F in (whole.end.particles.F, whole.end.total_F))
    assert total.max() > 0.3
    assert total.max() > 3 * elastic.max()


def test_matter_stays_above_the_plane_and_in_the_box_that_is_told(pushed):
    whole, _ = pushed
    low, high = whole.bounds
    assert (whole.trajectory.positions > low).all()
    assert (whole.trajectory.positions < high).all()
    lowest = whole.trajectory.positions[..., 2].min(1)
    assert (lowest > 0.2 * SPACING).all()


def test_an_absurd_push_ends_with_a_sentence_that_names_the_object_and_the_remedy():
    push = Push("hammer", (-0.055, 0, 0.03), (0, 0, -1), 1e9, reach=0.03)
    with pytest.raises(
        SimulationError, match=r"'clay' exploded in frame 1: .*'hammer'.*Young's modulus.*substeps"
    ):
        simulate(SCENE.rest_state(), 2, push)


def test_the_same_again_after_an_error_gives_the_same_bytes(pushed):
    _, first = pushed
    with pytest.raises(SimulationError):
        simulate(SCENE.rest_state(), 1, Push("hammer", (-0.055, 0, 0.03), (0, 0, -1), 1e9))
    push = Push("shove", (-0.08, 0.0, 0.03), (1, 0, 0), 12.0, reach=0.03, end=3)
    again = simulate(SCENE.rest_state(), 4, push)
    np.testing.assert_array_equal(again.trajectory.positions, first.trajectory.positions)


def test_progress_counts_frames_names_idle_actions_and_a_cancel_takes_effect():
    said = []
    far = Push("far away", (5, 5, 5), (1, 0, 0), 1.0)
    near = Wind("near", drag=0.0)
    listen = Progress(lambda stage, done, text: said.append((done, text)))
    assert simulate(lifted(), 1, far, near, progress=listen).idle == ("far away",)
    assert "frame 1 of 1" in [text for _, text in said]
    assert "'far away' reached no object" in said[-1][1]
    assert said[-1][0] == 1.0
    assert " in a box of 0." in said[-1][1]
    with pytest.raises(Cancelled):
        simulate(lifted(), 3, progress=Progress(cancelled=lambda: True))


def test_states_that_cannot_be_simulated_are_refused():
    state = SCENE.rest_state()
    broken = state.particles.velocities.copy()
    broken[BODY == JELLY] = np.nan
    with pytest.raises(SimulationError, match="velocities of 'jelly'"):
        simulate(state.with_particles(velocities=broken), 1)
    with pytest.raises(SimulationError, match="another scene"):
        simulate(state.with_particles(positions=state.particles.positions[:-1]), 1)
    away = state.particles.positions.copy()
    away[BODY == CLAY] += 500.0
    with pytest.raises(SimulationError, match="'clay' leaves the space"):
        simulate(state.with_particles(positions=away), 1)
    with pytest.raises(SimulationError, match="'clay' needs"):
        simulate(state, 1, max_substeps=4)


def test_other_numbers_of_the_materials_take_over_the_living_world_and_give_it_back():
    from perpetua.physics import worlds

    shove = Push("shove", (-0.08, 0.0, 0.03), (1, 0, 0), 4.0, reach=0.03)
    first = simulate(SCENE.rest_state(), 1, shove)
    world = worlds.living()
    stiff = material("clay", youngs_modulus=4e5, density=2000.0)
    other = replace(SCENE, bodies=[replace(SCENE.bodies[CLAY], material=stiff), SCENE.bodies[JELLY]])
    hard = simulate(other.rest_state(), 1, shove, scene=other)
    again = simulate(SCENE.rest_state(), 1, shove)
    assert worlds.living() is world
    assert hard.substeps > first.substeps
    moved = centre(np.stack([s.trajectory.positions[-1] for s in (first, hard)]), CLAY)[:, 0]
    assert moved[1] - moved[0] < -1e-3  # heavier
    np.testing.assert_array_equal(again.trajectory.positions, first.trajectory.positions)
