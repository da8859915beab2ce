"""Air on a grid against what its equations demand, and steam in a world of its own."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.gas.air import Air
from perpetua.physics.gas.part import AIR_DENSITY, _deposited
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import State
from perpetua.scene.emission import releases, with_streams
from perpetua.scene.particles import present
from perpetua_protocol.take import Emitter, MaterialSpec, Round, Wind

RNG = np.random.default_rng(0)


def stirred(floor):
    air = Air.still(np.zeros(3), 0.01, (12, 10, 16), floor)
    for field in (air.u, air.v, air.w):
        field[...] = RNG.normal(size=field.shape)
    return air


@pytest.mark.parametrize("floor", [True, False])
def test_pressure_takes_out_all_divergence_and_nothing_else(floor):
    air = stirred(floor)
    air.project()
    assert np.abs(air.divergence()).max() * air.dx < 1e-5
    before = air.u.copy(), air.v.copy(), air.w.copy()
    air.project()
    for one, two in zip(before, (air.u, air.v, air.w), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
    assert not floor or not air.w[:, :, 0].any()


def test_air_goes_round_what_stands_in_it():
    air = Air.still(np.zeros(3), 0.01, (12, 12, 12), False)
    air.u[...] = 1.0
    solid = np.zeros(air.shape, bool)
    solid[4:8, 4:8, 4:8] = True
    air.project(solid, np.zeros((*air.shape, 3), np.float32))
    assert not air.u[4:9, 4:8, 4:8].any()
    outside = np.abs(air.divergence())[~solid] * air.dx
    assert outside.mean() < 0.01
    assert air.u[5:7, 2, 5].min() > 1.0  # faster past its side


def test_a_uniform_wind_carries_itself_and_what_floats_in_it():
    air = Air.still(np.zeros(3), 0.01, (8, 8, 8), False)
    air.v[...] = 0.5
    air.advect(0.02)
    np.testing.assert_allclose(air.v, 0.5, rtol=1e-6)
    np.testing.assert_allclose(air.carried(np.full((1, 3), 0.03), 0.02), [[0.03, 0.04, 0.03]], rtol=1e-6)


def test_what_is_deposited_is_all_there():
    air = Air.still(np.zeros(3), 0.01, (8, 8, 8), False)
    points = RNG.uniform(0.02, 0.06, (50, 3))
    amount = RNG.random(50)
    share = _deposited(points, amount, air)
    assert share.sum() == pytest.approx(amount.sum())
    centre = (air.centres() * share[..., None]).sum((0, 1, 2)) / share.sum()
    np.testing.assert_allclose(centre, (points * amount[:, None]).sum(0) / amount.sum())


SPACING = 0.01
SCENE = replace(
    scene_of(
        [("steam", material("steam"), box_points((0.04, 0.04, 0.08), SPACING, (-0.02, -0.02, 0.05)))], SPACING
    ),
)
SCENE = replace(SCENE, bodies=[replace(SCENE.bodies[0], resting=False)])


def simulate(state, frames, *actions, start=0, gravity=(0, 0, -9.81)):
    plan = RoundPlan(Round(frames, actions), start, 24.0, gravity)
    return GenesisEngine().simulate(SCENE, state, plan, Progress())


@pytest.fixture(scope="module")
def rising():
    return simulate(SCENE.rest_state(), 6)


def test_steam_rises_at_a_speed_that_its_lightness_allows(rising):
    velocity = rising.end.particles.velocities
    lightness = (AIR_DENSITY - material("steam").density) / AIR_DENSITY
    fastest = np.sqrt(2 * lightness * 9.81 * 0.3)  # all of its buoyancy, over three of its heights
    assert 0.05 < np.median(velocity[:, 2]) < fastest
    assert np.linalg.svd(rising.trajectory.F, compute_uv=False).max() < 2.0


def test_without_weight_nothing_rises():
    still = simulate(SCENE.rest_state(), 2, gravity=(0, 0, 0))
    assert np.abs(still.trajectory.positions[-1] - still.trajectory.positions[0]).max() < 1e-6


def test_steam_goes_on_from_a_file_to_the_bit(rising, tmp_path):
    first = simulate(SCENE.rest_state(), 3)
    first.end.save(tmp_path / "state.npz")
    second = simulate(State.load(tmp_path / "state.npz"), 3, start=3)
    np.testing.assert_array_equal(second.trajectory.positions, rising.trajectory.positions[3:])
    np.testing.assert_array_equal(second.trajectory.F, rising.trajectory.F[3:])
    assert set(second.end.memory) == set(rising.end.memory)


def test_wind_drives_the_air_and_the_steam_with_it(rising):
    blown = simulate(SCENE.rest_state(), 6, Wind("draught", (1, 0, 0), speed=1.0, drag=4.0))
    drift = (blown.trajectory.positions[-1] - rising.trajectory.positions[-1])[:, 0].mean()
    assert 0.02 < drift < 0.25


def test_puffs_end_and_begin_again_at_the_foot(rising):
    long = simulate(rising.end, 40, start=6)
    low, high = SCENE.particles.positions[:, 2].min(), SCENE.particles.positions[:, 2].max()
    assert (long.end.memory["gas_lives"] > 0).mean() > 0.8
    young = long.end.memory["gas_age"] < 0.05
    assert young.any()
    assert long.end.particles.positions[young, 2].max() < (low + high) / 2


SPOUT = Emitter(
    "spout",
    (0.03, 0, 0.1),
    (1, 0, 0),
    0.012,
    1.0,
    material=MaterialSpec("steam", lifetime=0.2),
    start=0,
    end=4,
)


def spouted(scene, state, frames, start):
    turn = Round(frames, (SPOUT,))
    scene = with_streams(scene, turn, start, 24.0)
    return scene, GenesisEngine().simulate(
        scene, state, RoundPlan(turn, start, 24.0, (0, 0, -9.81)), Progress()
    )


@pytest.fixture(scope="module")
def jet():
    """Beside the picture's steam a spout blows for four of ten frames."""
    return spouted(SCENE, SCENE.rest_state(), 10, 0)


def test_a_spout_blows_puffs_its_way_that_live_once(jet):
    scene, sim = jet
    new = scene.particles.body == 1
    there = present(sim.trajectory.F)[:, new]
    out = releases(Round(10, (SPOUT,)), 0, 24.0, SPACING)
    np.testing.assert_array_equal(there[1], out.frames < 1)
    assert there[3][out.frames < 3].all()
    assert not there[-1][out.frames < 1].any()  # the oldest lived a quarter of a second at most
    first = out.frames < 1
    moved = (sim.trajectory.positions[3] - sim.trajectory.positions[1])[new][first]
    assert 0.02 < moved[:, 0].mean() < 2 / 24  # as fast as the mouth blows at first, then slower
    assert np.abs(moved[:, 1]).mean() < 0.01
    assert present(sim.trajectory.F)[:, ~new].all()


def test_a_spout_goes_on_in_the_next_round_to_the_bit(jet, tmp_path):
    scene, sim = jet
    before, first = spouted(SCENE, SCENE.rest_state(), 2, 0)
    first.end.save(tmp_path / "state.npz")
    after, second = spouted(before, State.load(tmp_path / "state.npz"), 8, 2)
    np.testing.assert_array_equal(after.particles.body, scene.particles.body)
    for name in ("positions", "F"):
        whole, part = (getattr(each.trajectory, name) for each in (sim, second))
        np.testing.assert_array_equal(part, whole[2:], name)


def test_puffs_that_have_faded_are_let_out_again(jet):
    """A later round's puffs are those that have faded, at its own mouth and with its own speed, and none lives twice at a time."""
    scene, first = jet
    again = msgspec.structs.replace(SPOUT, location=(0.03, 0.0, 0.14), direction=(-1, 0, 0), start=12, end=16)
    turn = Round(10, (again,))
    whole = with_streams(scene, turn, 12, 24.0)
    out = releases(turn, 12, 24.0, SPACING)
    assert len(out) > 20
    old = (scene.particles.body == 1).sum()
    assert len(whole.particles) - len(scene.particles) == max(0, len(out) - old)
    assert len(whole.foreground) - len(scene.foreground) == max(0, len(out) - old)
    still = RoundPlan(Round(2), 10, 24.0, (0, 0, -9.81))
    rest = GenesisEngine().simulate(scene, first.end, still, Progress()).end
    assert not present(rest.total_F)[scene.particles.body == 1].any()
    sim = GenesisEngine().simulate(whole, rest, RoundPlan(turn, 12, 24.0, (0, 0, -9.81)), Progress())
    new = whole.particles.body == 1
    there = present(sim.trajectory.F)[:, new]
    np.testing.assert_array_equal(there[:4].sum(1), [(out.frames < 12 + n).sum() for n in range(4)])
    places = sim.trajectory.positions[1][new][there[1]]
    np.testing.assert_allclose(places[:, 2].mean(), 0.14, atol=0.01)
    assert places[:, 0].mean() < 0.03


def test_puffs_take_turns_within_a_long_round():
    """As many are there in each frame as were let out within their lives, though there are far fewer puffs than that come."""
    brief = MaterialSpec("steam", lifetime=0.1)
    turn = Round(12, (msgspec.structs.replace(SPOUT, end=12, material=brief),))
    scene = with_streams(SCENE, turn, 0, 24.0)
    new, frames = scene.particles.body == 1, releases(turn, 0, 24.0, SPACING).frames
    assert new.sum() < 0.45 * len(frames)
    plan = RoundPlan(turn, 0, 24.0, (0, 0, -9.81))
    motion = GenesisEngine().simulate(scene, scene.rest_state(), plan, Progress()).trajectory
    there = present(motion.F)[:, new].sum(1)
    life = 0.1 * 24.0
    for frame in range(1, 13):
        young, old = (((frames < frame) & (frames > frame - share * life)).sum() for share in (0.65, 1.35))
        assert young <= there[frame] <= old
    fresh = present(motion.F[-1]) & new
    assert np.linalg.norm(motion.positions[-1, fresh] - SPOUT.location, axis=1).max() < 0.35


def test_more_than_the_most_puffs_may_come_one_after_another(monkeypatch, jet):
    from perpetua.errors import SimulationError
    from perpetua.scene import emission

    scene, _ = jet
    count = int((scene.particles.body == 1).sum())
    monkeypatch.setattr(emission, "MOST", count + 3)
    late = msgspec.structs.replace(SPOUT, start=40, end=44)
    assert len(with_streams(scene, Round(6, (late,)), 40, 24.0).particles) == len(scene.particles)
    soon = msgspec.structs.replace(SPOUT, start=5, end=9)
    with pytest.raises(SimulationError, match="more than the"):
        with_streams(scene, Round(6, (soon,)), 5, 24.0)


def test_a_spout_away_from_the_picture_has_air_around_it():
    far = msgspec.structs.replace(SPOUT, location=(0.45, 0.1, 0.1))
    turn = Round(4, (far,))
    scene = with_streams(SCENE, turn, 0, 24.0)
    sim = GenesisEngine().simulate(
        scene, scene.rest_state(), RoundPlan(turn, 0, 24.0, (0, 0, -9.81)), Progress()
    )
    memory = sim.end.memory
    low, dx = memory["gas_box"][:3], memory["gas_box"][3]
    cells = np.array([memory[f"gas_{name}"].shape[axis] - 1 for axis, name in enumerate("uvw")])
    points = np.concatenate([SCENE.particles.positions, [[0.45, 0.1, 0.1], [0.55, 0.1, 0.1]]])
    assert (points > low).all()
    assert (points < low + dx * cells).all()
    new = scene.particles.body == 1
    came = releases(turn, 0, 24.0, SPACING).frames
    np.testing.assert_array_equal(present(sim.trajectory.F)[2, new], came < 2)
    first = came < 1
    moved = (sim.trajectory.positions[3] - sim.trajectory.positions[1])[new][first]
    assert moved[:, 0].mean() > 0.02
