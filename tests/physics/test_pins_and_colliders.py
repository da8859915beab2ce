"""Pins and colliders in the engine, on one small block of jelly and a little water."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of
from scipy.spatial.transform import Rotation as Turn

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import State
from perpetua_protocol.take import Collider, Mesh, Pin, RotationTrack, Round, VectorTrack

SPACING, FPS, SIZE = 0.01, 24.0, 0.05
SCENE = scene_of(
    [("jelly", material("jelly"), box_points((SIZE, SIZE, SIZE), SPACING, (-0.025, -0.025, 0.0)))], SPACING
)
REST = SCENE.particles.positions.astype(float)


def simulate(scene, state, frames, *actions, gravity=(0, 0, -9.81), start=0):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def mesh_of(mesh):
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


def placed(positions):
    """The jelly elsewhere, at rest, some time after the picture (so nothing settles)."""
    return replace(SCENE.rest_state().with_particles(positions=positions.astype(np.float32)), time=1.0)


LIFT = VectorTrack((0, 3, 6), ((0, 0, 0.04), (0.02, 0, 0.08), (0.02, 0, 0.08)))
TWIST = RotationTrack((0, 6), ((1, 0, 0, 0), (np.cos(0.4), 0, 0, np.sin(0.4))))
PIN = Pin("hand", LIFT, TWIST, reach=0.018)


@pytest.fixture(scope="module")
def lifted():
    return simulate(SCENE, SCENE.rest_state(), 6, PIN)


def test_a_pin_carries_what_is_in_its_ball_along_its_keys(lifted):
    held = np.linalg.norm(REST - [0, 0, 0.04], axis=1) <= 0.018
    assert 5 < held.sum() < len(REST) / 4
    expected = Turn.from_rotvec([0, 0, 0.8]).apply(REST[held] - [0, 0, 0.04]) + np.array([0.02, 0, 0.08])
    np.testing.assert_allclose(lifted.trajectory.positions[-1, held], expected, atol=2e-5)
    assert lifted.trajectory.positions[-1, :, 2].min() > 0.02  # the rest hangs from it
    assert lifted.idle == ()


def test_a_pin_holds_on_over_a_restart(lifted, tmp_path):
    first = simulate(SCENE, SCENE.rest_state(), 4, PIN)
    first.end.save(tmp_path / "state.npz")
    second = simulate(SCENE, State.load(tmp_path / "state.npz"), 2, PIN, start=4)
    np.testing.assert_array_equal(second.trajectory.positions[-1], lifted.trajectory.positions[-1])


def test_a_pin_on_nothing_is_idle():
    assert simulate(SCENE, placed(REST), 1, Pin("air", (0, 0, 0.5))).idle == ("air",)


PLATE = trimesh.creation.box(
    (0.5, 0.2, 0.04), transform=trimesh.transformations.translation_matrix((0, 0, -0.02))
)
SLOPE = np.radians(25.0)
DOWN = Turn.from_rotvec([0, SLOPE, 0])
TILT = tuple(DOWN.as_quat(scalar_first=True).tolist())


@pytest.mark.parametrize("mu", [0.0, 0.2, 0.8])
def test_a_block_slides_down_a_tilted_collider_as_friction_lets_it(mu):
    """s'' = g (sin a - mu cos a) where mu < tan a, else it sticks."""
    state = placed(DOWN.apply(REST - [0.12, 0, 0]) + np.array([0, 0, 0.3]))
    sim = simulate(SCENE, state, 6, Collider("ramp", mesh_of(PLATE), (0, 0, 0.3), TILT, friction=mu))
    along = DOWN.inv().apply((sim.trajectory.positions[3:] - [0, 0, 0.3]).reshape(-1, 3)).reshape(4, -1, 3)
    speed = np.diff(along[:, :, 0].mean(1)) * FPS
    if mu < np.tan(SLOPE):
        expected = 9.81 * (np.sin(SLOPE) - mu * np.cos(SLOPE))
        assert (speed[2] - speed[0]) * FPS / 2 == pytest.approx(expected, rel=0.03)
    else:
        assert abs(speed.mean()) < 0.005  # it quivers, but goes nowhere
    assert abs(along[:, :, 2].min(1) - 0.5 * SPACING).max() < 0.15 * SPACING  # neither floats nor sinks


def test_a_collider_pushes_matter_along_and_is_never_entered():
    ball = trimesh.creation.icosphere(3, 0.02)
    path = VectorTrack((0, 8), ((-0.06, 0, 0.025), (0.02, 0, 0.025)))
    sim = simulate(SCENE, SCENE.rest_state(), 10, Collider("fist", mesh_of(ball), path, friction=0.0))
    for frame in range(11):
        centre = [-0.06 + 0.01 * min(frame, 8), 0, 0.025]
        distance = np.linalg.norm(sim.trajectory.positions[frame] - centre, axis=1)
        assert distance.min() > 0.02 + 0.2 * SPACING
    assert sim.trajectory.positions[-1, :, 0].mean() > 0.03


def test_a_thin_bowl_holds_water_and_gives_it_no_energy():
    turn = np.linspace(-np.pi / 2, 0.0, 12)
    profile = [(r * np.cos(a), r * np.sin(a)) for r, way in ((0.056, 1), (0.050, -1)) for a in turn[::way]]
    profile[0], profile[-1] = (0.0, -0.056), (0.0, -0.050)
    bowl = trimesh.creation.revolve(np.array(profile), sections=32)  # walls of a third of a grid cell
    water = scene_of(
        [("water", material("water"), box_points((0.05, 0.05, 0.04), SPACING, (-0.025, -0.025, 0.04)))],
        SPACING,
        resting=False,
    )
    state = replace(water.rest_state(), time=1.0)
    sim = simulate(water, state, 12, Collider("bowl", mesh_of(bowl), (0, 0, 0.07), friction=0.0))
    positions = sim.trajectory.positions
    inside = np.linalg.norm(positions - [0, 0, 0.07], axis=2) < 0.05
    assert inside.all()
    velocities = np.diff(positions, axis=0) * FPS
    middles = 0.5 * (positions[1:] + positions[:-1])
    energy = (0.5 * (velocities**2).sum(2) + 9.81 * middles[..., 2]).mean(1)  # J/kg
    assert (np.diff(energy) < 0.005).all()
