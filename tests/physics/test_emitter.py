"""What emitters let out against the formulas of a stream, and a state that goes on with it to the bit."""

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.errors import MaterialError, SimulationError
from perpetua.physics import worlds
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import State
from perpetua.scene.emission import MODELS, mixing, releases, with_streams
from perpetua.scene.looks import COLOURS
from perpetua.scene.particles import present
from perpetua.scene.presets import PRESETS
from perpetua_protocol.take import Emitter, MaterialSpec, Round, ScalarTrack, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81
BASE = scene_of(
    [("block", material("water"), box_points((0.03, 0.03, 0.03), SPACING, (-0.2, 0, 0)))], SPACING
)
HOSE = Emitter("hose", (0, 0, 0.5), (1, 0, 0), radius=0.02, speed=1.0, start=0, end=5)


def play(scene, state, round_, start=0, gravity=(0, 0, -G)):
    scene = with_streams(scene, round_, start, FPS)
    return scene, GenesisEngine().simulate(scene, state, RoundPlan(round_, start, FPS, gravity), Progress())


# -- the stream itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "speed"), [(0.002, 0.5), (0.012, 0.8), (0.02, 1.5), (0.04, 0.1)])
def test_a_stream_brings_its_area_times_its_speed(radius, speed):
    tap = Emitter("tap", radius=radius, speed=speed)
    frames = 72
    out = releases(Round(frames, (tap,)), 0, FPS, 0.006)
    volume = np.pi * radius**2 * speed * frames / FPS
    layer = (out.frames == out.frames[0]).sum()
    assert len(out) * 0.006**3 == pytest.approx(volume, rel=0.002, abs=layer * 0.006**3)
    assert volume > 5 * layer * 0.006**3


def test_a_layer_fills_the_mouth_and_the_next_lies_as_far_as_its_volume_needs():
    tap = Emitter("tap", (0.1, 0.2, 0.3), (0, 1, 0), radius=0.015, speed=0.6)
    out = releases(Round(12, (tap,)), 0, FPS, 0.005)
    moments, count = np.unique(out.frames, return_counts=True)
    thickness = np.diff(moments) / FPS * 0.6
    np.testing.assert_allclose(thickness * np.pi * 0.015**2, count[0] * 0.005**3, rtol=1e-9)
    first = out.positions[: count[0]] - [0.1, 0.2, 0.3]
    np.testing.assert_allclose(first[:, 1], thickness[0] / 2)  # it has just left the mouth whole
    across = np.linalg.norm(first[:, [0, 2]], axis=1)
    assert across.max() < 1.1 * 0.015
    assert (across**2).mean() == pytest.approx(0.015**2 / 2, rel=0.05)  # evenly over a disc
    np.testing.assert_allclose(out.velocities, np.broadcast_to([0, 0.6, 0], out.positions.shape))


def test_keyed_rate_and_speed_bring_their_integral_and_a_shut_tap_nothing():
    rate, speed = ScalarTrack((0, 24, 48), (0.0, 1.0, 0.0)), ScalarTrack((0, 48), (0.5, 1.5))
    out = releases(Round(72, (Emitter("tap", radius=0.02, rate=rate, speed=speed),)), 0, FPS, 0.005)
    t = np.linspace(0, 2, 20001)
    flow = np.pi * 0.02**2 * np.interp(24 * t, *_keys(rate)) * np.interp(24 * t, *_keys(speed))
    assert len(out) * 0.005**3 == pytest.approx(np.trapezoid(flow, t), rel=0.005)
    assert out.frames.max() <= 48
    early = np.trapezoid(flow[:5001], t[:5001])
    assert (out.frames < 12).sum() * 0.005**3 == pytest.approx(early, rel=0.03)


def _keys(track):
    return track.frames, track.values


def test_two_rounds_with_one_emitter_let_out_what_one_long_round_does():
    tap = Emitter("tap", radius=0.013, speed=0.7, start=2, end=30)
    whole = releases(Round(32, (tap,)), 0, FPS, 0.006)
    parts = [releases(Round(16, (tap,)), start, FPS, 0.006) for start in (0, 16)]
    for name in ("frames", "positions", "velocities"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name)
        )


def test_what_leaves_a_moving_mouth_moves_with_it():
    path = VectorTrack((0, 24), ((0, 0, 0.2), (0.3, 0, 0.2)))
    out = releases(Round(24, (Emitter("hose", path, (0, 0, -1), speed=1.0),)), 0, FPS, 0.006)
    np.testing.assert_allclose(out.velocities, np.broadcast_to([0.3, 0, -1.0], out.positions.shape))
    np.testing.assert_allclose(out.positions[:, 0], 0.3 * out.frames / 24, atol=0.011)


def test_too_much_matter_and_matter_that_cannot_pour_are_refused_by_name():
    with pytest.raises(SimulationError, match="Emitter 'tap' would let out more than the 100000 particles"):
        with_streams(BASE, Round(1000, (Emitter("tap", radius=0.5, speed=2.0),)), 0, FPS)
    with pytest.raises(SimulationError, match="'tap' lets out wood, which is rigid and cannot pour; choose"):
        with_streams(BASE, Round(8, (Emitter("tap", material=MaterialSpec("wood")),)), 0, FPS)
    with pytest.raises(MaterialError, match="no material called 'lava'"):
        with_streams(BASE, Round(8, (Emitter("tap", material=MaterialSpec("lava")),)), 0, FPS)


def test_a_scene_without_the_rounds_matter_is_refused():
    plan = RoundPlan(Round(4, (HOSE,)), 0, FPS, (0, 0, -G))
    with pytest.raises(SimulationError, match="does not hold what the round's emitters let out"):
        GenesisEngine().simulate(BASE, BASE.rest_state(), plan, Progress())


def test_all_that_can_pour_has_a_colour():
    assert set(COLOURS) == {name for name, made in PRESETS.items() if made.model in MODELS}


def test_emitted_matter_mixes_with_its_own_kind_and_with_nothing_else():
    taps = tuple(
        Emitter(name, radius=0.02, material=MaterialSpec(preset))
        for name, preset in (("one", "water"), ("two", "water"), ("three", "milk"))
    )
    scene = with_streams(BASE, Round(4, taps), 0, FPS)
    assert [body.name for body in scene.bodies] == ["block", "one", "two", "three"]
    np.testing.assert_array_equal(mixing(scene), [0, 0, 0, 3])


# -- in a world ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jet():
    """A jet of water out of a level hose for six frames."""
    return play(BASE, BASE.rest_state(), Round(6, (HOSE,)))


def test_a_jet_follows_the_parabola_at_its_rest_density(jet):
    scene, sim = jet
    out = releases(Round(6, (HOSE,)), 0, FPS, SPACING)
    new = scene.particles.body == 1
    t = ((6 - out.frames) / FPS)[:, None]
    dt = 1 / FPS / sim.substeps
    exact = out.positions + out.velocities * t + 0.5 * t * (t + dt) * [0, 0, -G]  # as substeps fall
    np.testing.assert_allclose(sim.end.particles.positions[new], exact, atol=0.1 * SPACING)
    np.testing.assert_allclose(np.linalg.det(sim.end.particles.F[new]), 1.0, atol=1e-3)
    assert sim.idle == ()
    mass = 1000 * SPACING**3 * present(sim.end.total_F)[new].sum()
    assert mass == pytest.approx(1000 * np.pi * 0.02**2 * 1.0 * 5 / FPS, rel=0.02)


def test_matter_is_there_from_the_moment_it_leaves_the_mouth(jet):
    scene, sim = jet
    out = releases(Round(6, (HOSE,)), 0, FPS, SPACING)
    new = scene.particles.body == 1
    for frame, F in enumerate(sim.trajectory.F):
        np.testing.assert_array_equal(present(F)[new], out.frames < frame)
    waiting = ~present(sim.trajectory.F)[:, new]
    at_mouth = np.broadcast_to(scene.particles.positions[new], (7, new.sum(), 3))
    np.testing.assert_array_equal(sim.trajectory.positions[:, new][waiting], at_mouth[waiting])


def test_a_saved_state_goes_on_with_the_jet_to_the_bit(jet, tmp_path):
    whole, sim = jet
    first_scene, first = play(BASE, BASE.rest_state(), Round(3, (HOSE,)))
    first.end.save(tmp_path / "state.npz")
    worlds.discard()
    scene, second = play(first_scene, State.load(tmp_path / "state.npz"), Round(3, (HOSE,)), 3)
    np.testing.assert_array_equal(scene.particles.body, whole.particles.body)
    for name in ("positions", "velocities", "F", "C", "plastic"):
        np.testing.assert_array_equal(
            getattr(second.end.particles, name), getattr(sim.end.particles, name), name
        )
    np.testing.assert_array_equal(second.trajectory.F, sim.trajectory.F[3:])


def test_a_later_round_without_an_emitter_keeps_what_came(jet):
    scene, sim = jet
    same, later = play(scene, sim.end, Round(1), 6)
    assert same is scene
    new = scene.particles.body == 1
    assert present(later.end.total_F)[new].all()
    moved = later.trajectory.positions[1, new] - sim.end.particles.positions[new]
    np.testing.assert_allclose(moved[:, 0].mean(), 1.0 / FPS, rtol=0.01)


def test_a_fall_under_gravity_that_turns_is_its_integral(jet):
    """v = int g dt and x = int v dt for a g that turns from down to sideways within three frames, while the scene is in the air."""
    scene, sim = jet
    turning = VectorTrack((6, 9), ((0, 0, -G), (G, 0, 0)))
    high = replace(sim.end, particles=replace(sim.end.particles, velocities=0 * sim.end.particles.velocities))
    high = high.with_particles(
        positions=high.particles.positions + np.float32([0, 0, 0.3]), C=0 * high.particles.C
    )
    end = play(scene, high, Round(3), 6, turning)[1].end.particles
    T = 3 / FPS
    share = 1 / 2
    np.testing.assert_allclose(
        end.velocities.mean(0), [G * T * share, 0, -G * T * share], rtol=2e-3, atol=2e-3
    )
    fallen = (end.positions - high.particles.positions).mean(0)
    np.testing.assert_allclose(fallen, [G * T**2 / 6, 0, -G * T**2 / 3], rtol=0.02, atol=2e-4)
