"""A wooden block, alone in the air and on the plane, and against jelly: one world."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of

from perpetua.errors import SimulationError
from perpetua.physics.api import RoundPlan, SimulationStopped
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.physics.rigid import shape_of
from perpetua.progress import Progress
from perpetua.scene import RigidPose, State
from perpetua_protocol.take import Pin, Push, RotationTrack, Round, VectorTrack, Wind

SPACING, FPS = 0.01, 24.0
SIZE = (0.06, 0.04, 0.04)
WOOD, JELLY = 0, 1


def block(corner):
    mesh = trimesh.creation.box(SIZE)
    mesh.apply_translation(np.add(corner, np.array(SIZE) / 2))
    return np.array(mesh.vertices), np.array(mesh.faces)


CORNER = (-0.1, -0.02, 0.002)  # seen 2 mm above the plane, as a reconstruction may be
SCENE = scene_of(
    [
        ("block", material("wood"), box_points(SIZE, SPACING, CORNER)),
        ("jelly", material("jelly"), box_points((0.04, 0.04, 0.04), SPACING, (0.0, -0.02, 0.0))),
    ],
    SPACING,
    meshes={"block": block(CORNER)},
)
OWN = SCENE.particles.body == WOOD
MASS = 700 * np.prod(SIZE)


def simulate(state, frames, *actions, gravity=(0, 0, -9.81), start=0):
    return GenesisEngine().simulate(
        SCENE, state, RoundPlan(Round(frames, actions), start, FPS, gravity), Progress()
    )


def thrown(pose):
    state = SCENE.rest_state()
    return replace(state, rigid={WOOD: pose}, time=1.0)


def test_a_resting_block_stays_where_it_is_seen():
    sim = simulate(SCENE.rest_state(), 4)
    assert np.abs(sim.trajectory.positions - SCENE.particles.positions).max() < 0.03 * SPACING
    assert np.abs(sim.trajectory.F[-1, OWN] - np.eye(3)).max() < 1e-3


def test_a_thrown_block_falls_and_spins_as_one():
    spin = np.array([0.0, 0.0, 6.0])
    pose = RigidPose(np.array([0.0, 0.0, 0.3]), np.array([1.0, 0, 0, 0]), np.array([0.3, 0, 0]), spin)
    sim = simulate(thrown(pose), 3)
    t, dt = 3 / FPS, 1 / FPS / sim.substeps
    end = sim.end.rigid[WOOD]
    np.testing.assert_allclose(end.position, [0.3 * t, 0, 0.3 - 0.5 * 9.81 * t * (t + dt)], atol=1e-4)
    np.testing.assert_allclose(end.angular_velocity, spin, atol=1e-3)
    turn = 6.0 * t
    R = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    np.testing.assert_allclose(sim.end.total_F[OWN], np.broadcast_to(R, (OWN.sum(), 3, 3)), atol=2e-3)
    before = SCENE.particles.positions[OWN].astype(float)
    centre = before.mean(0)
    np.testing.assert_allclose(
        sim.end.particles.positions[OWN], (before - centre) @ R.T + centre + end.position, atol=1e-4
    )


def test_push_and_wind_reach_a_block_in_newtons_and_seconds():
    pose = RigidPose(np.array([0.0, 0.0, 0.3]), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))
    push = Push("tap", (-0.07, 0.0, 0.322), (0, 1, 0), 0.5, reach=0.1, targets=("block",), end=1)
    sim = simulate(thrown(pose), 2, push, gravity=(0, 0, 0))
    np.testing.assert_allclose(sim.end.rigid[WOOD].velocity, [0, 0.5 / FPS / MASS, 0], rtol=0.01, atol=1e-4)
    wind = Wind("breeze", (1, 0, 0), speed=1.0, drag=5.0)
    sim = simulate(thrown(pose), 2, wind, gravity=(0, 0, 0))
    expected = 1 - np.exp(-5.0 * 2 / FPS)
    np.testing.assert_allclose(sim.end.rigid[WOOD].velocity[0], expected, rtol=0.03)


def test_a_shoved_block_shoves_the_jelly_and_a_restart_changes_nothing(tmp_path):
    push = Push("shove", (-0.1, 0.0, 0.02), (1, 0, 0), 1.2, reach=0.05, targets=("block",), end=4)
    whole = simulate(SCENE.rest_state(), 8, push)
    jelly = whole.trajectory.positions[:, ~OWN].mean(1) - whole.trajectory.positions[0, ~OWN].mean(0)
    assert jelly[-1, 0] > 0.003
    block_end = whole.trajectory.positions[-1, OWN]
    jelly_end = whole.trajectory.positions[-1, ~OWN]
    assert block_end[:, 0].max() < jelly_end[:, 0].max()
    assert abs(block_end[:, 2].min() - SCENE.particles.positions[OWN, 2].min()) < 0.3 * SPACING
    first = simulate(SCENE.rest_state(), 4, push)
    first.end.save(tmp_path / "state.npz")
    second = simulate(State.load(tmp_path / "state.npz"), 4, push, start=4)
    np.testing.assert_array_equal(second.trajectory.positions, whole.trajectory.positions[4:])
    np.testing.assert_array_equal(second.end.rigid[WOOD].quaternion, whole.end.rigid[WOOD].quaternion)


def test_an_open_surface_is_closed_by_its_hull_and_none_is_refused():
    _, faces = block(CORNER)
    opened = replace(SCENE.bodies[WOOD], faces=faces[:-2])
    shape = shape_of(replace(SCENE, bodies=[opened, SCENE.bodies[JELLY]]), WOOD)
    assert shape.mass == pytest.approx(MASS)
    empty = replace(opened, vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), np.int64))
    with pytest.raises(SimulationError, match="'block' is rigid but has no closed surface"):
        shape_of(replace(SCENE, bodies=[empty, SCENE.bodies[JELLY]]), WOOD)


def test_a_pin_leads_a_block_along_its_keys_through_what_is_in_the_way():
    path = VectorTrack((0, 6), ((-0.07, 0, 0.02), (0.01, 0, 0.02)))
    turn = RotationTrack((0, 6), ((1, 0, 0, 0), (np.cos(0.2), 0, 0, np.sin(0.2))))
    pin = Pin("hand", path, turn, reach=0.02, targets=("block",))
    first = simulate(SCENE.rest_state(), 8, pin)
    before = SCENE.particles.positions[OWN].astype(float)
    cosine, sine = np.cos(0.4), np.sin(0.4)
    R = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    expected = (before - [-0.07, 0, 0.02]) @ R.T + [0.01, 0, 0.02]
    np.testing.assert_allclose(first.trajectory.positions[6, OWN], expected, atol=1e-6)
    np.testing.assert_allclose(first.trajectory.positions[8, OWN], expected, atol=1e-6)
    assert first.trajectory.positions[-1, ~OWN, 0].mean() > 0.04  # the jelly stood at 0.02


def test_a_block_sunk_in_the_plane_is_put_on_it_and_not_thrown():
    sunk = RigidPose(np.array([0.0, 0, -0.02]), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))
    sim = simulate(thrown(sunk), 4)
    assert np.abs(sim.trajectory.positions[1:, OWN] - SCENE.particles.positions[OWN]).max() < 0.03 * SPACING


def test_a_block_that_a_pin_has_pressed_into_the_plane_stays_where_it_is_let_go():
    path = VectorTrack((0, 3), ((-0.07, 0, 0.02), (-0.07, 0, 0.005)))
    pin = Pin("hand", path, reach=0.03, end=4, targets=("block",))
    sim = simulate(SCENE.rest_state(), 9, pin)
    heights = sim.trajectory.positions[:, OWN, 2] - SCENE.particles.positions[OWN, 2]
    assert heights[3].max() < -0.01
    assert np.abs(heights[-1]).max() < 0.1 * SPACING
    assert heights.max() < 0.1 * SPACING


def test_a_block_whose_motion_is_no_number_is_named_and_the_frames_before_are_kept():
    shove = Push("shove", (-0.07, 0.0, 0.02), (1, 0.1, 0), 1e30, reach=0.1, start=1, targets=("block",))
    with pytest.raises(SimulationStopped, match=r"'block'.*Lower the strength") as stopped:
        simulate(SCENE.rest_state(), 4, shove)
    assert stopped.value.so_far.trajectory.frames == 2
    assert np.isfinite(stopped.value.so_far.end.particles.positions).all()
