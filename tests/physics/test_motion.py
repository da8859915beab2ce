"""Keyed motions of pins and colliders, and the meshes of colliders, without an engine."""

import numpy as np
import pytest
import trimesh
from physics_scenes import material, scene_of
from scipy.spatial.transform import Rotation as Turn

from perpetua.errors import SimulationError
from perpetua.physics.forces import Moment
from perpetua.physics.motion import Motion, PinnedBody, fastest, moved_at, surface_of
from perpetua.physics.signed_distance import distance_grid
from perpetua.scene import RigidPose
from perpetua_protocol.take import Collider, Mesh, Pin, RotationTrack, Round, VectorTrack

FPS = 24.0
LOCATION = VectorTrack((0, 4), ((0, 0, 0), (0.4, 0, 0.2)))
ROTATION = RotationTrack((0, 4), ((1, 0, 0, 0), (0, 0, 0, 1)))  # half a turn about z


def mesh_of(mesh):
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


BODIES = scene_of(
    [("ball", material("clay"), np.zeros((1, 3))), ("cup", material("jelly"), np.zeros((1, 3)))], 0.01
).bodies
BALL = mesh_of(trimesh.creation.icosphere(3, 0.05))


def test_a_motion_follows_its_keys():
    motion = Motion.keyed(LOCATION, ROTATION, Moment(1.5, 1.0, FPS))
    np.testing.assert_allclose(motion.centre, [0.1, 0, 0.05])
    np.testing.assert_allclose(motion.velocity, np.array([0.1, 0, 0.05]) * FPS)
    np.testing.assert_allclose(motion.spin, [0, 0, np.pi / 4 * FPS])
    points = np.array([[0.1, 0.2, 0.05], [0.3, 0.0, 0.0]])
    end = Turn.from_euler("z", 45, degrees=True).apply(points - motion.centre) + np.array([0.2, 0, 0.1])
    np.testing.assert_allclose(motion.carried(points, 1 / FPS), end)
    np.testing.assert_allclose(motion.carried(points, 0.0), points)


def test_a_pinned_body_goes_where_its_points_go():
    motion = Motion.keyed(LOCATION, ROTATION, Moment(0.5, 1.0, FPS))
    centre = np.array([0.02, 0.03, 0.01])
    start = RigidPose(
        np.array([0.1, 0, 0]),
        Turn.from_rotvec([0.3, 0.2, 0]).as_quat(scalar_first=True),
        np.zeros(3),
        np.zeros(3),
    )
    held = PinnedBody(centre, start, motion)
    rest = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 3))

    def placed(pose):
        return (
            Turn.from_quat(pose.quaternion, scalar_first=True).apply(rest - centre) + centre + pose.position
        )

    np.testing.assert_allclose(
        placed(held.after(0.03)), motion.carried(placed(held.after(0.0)), 0.03), atol=1e-12
    )
    h = 1e-6
    step = (held.after(0.03 + h).position - held.after(0.03 - h).position) / (2 * h)
    np.testing.assert_allclose(held.after(0.03).velocity, step, atol=1e-6)


def test_what_moves_is_sampled_in_its_window_and_knows_what_it_reaches():
    pin = Pin("pin", LOCATION, reach=0.02, start=2.0, targets=("cup",))
    ball = Collider("ball", BALL, LOCATION)
    round_ = Round(8, (pin, ball))
    assert [x is None for x in moved_at(round_, 0, Moment(1.5, 0.25, FPS), BODIES)] == [True, False]
    held, hit = moved_at(round_, 0, Moment(2.125, 0.25, FPS), BODIES)
    at = np.array([[0.2, 0, 0.1], [0.26, 0, 0.1]])
    assert held.holds(at, np.array([1, 1])).tolist() == [True, False]
    assert not held.reaches(at, np.array([0, 0]))
    np.testing.assert_allclose(hit.distance(at), [-0.05, 0.01], atol=2e-3)  # its ball has facets
    assert hit.reaches(at, np.array([0, 0]))
    assert not hit.reaches(at + np.array([0, 0.3, 0]), np.array([0, 0]))
    assert fastest(pin, Moment(2, 1, FPS)) == pytest.approx(np.hypot(0.1, 0.05) * FPS)


def test_distances_to_a_mesh_are_exact_at_the_nodes_and_forgive_a_hole():
    box = trimesh.creation.box((0.1, 0.06, 0.02))
    grid = distance_grid(box, 32, 0.02)
    axis = grid.cell * np.arange(32)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + grid.origin
    q = np.abs(nodes) - [0.05, 0.03, 0.01]
    exact = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    np.testing.assert_allclose(grid.values.ravel(), exact, atol=1e-6)
    np.testing.assert_allclose(grid.at(nodes), exact, atol=1e-5)
    ball = trimesh.creation.icosphere(3, 0.05)
    ball.update_faces(np.arange(len(ball.faces)) > 5)
    assert distance_grid(ball, 32, 0.02).at(np.zeros((1, 3)))[0] < -0.04


def test_a_mesh_without_an_inside_is_refused():
    sheet = Mesh(((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)), ((0, 1, 2), (0, 2, 3), (0, 2, 1), (0, 3, 2)))
    with pytest.raises(SimulationError, match="'sheet' has no inside"):
        surface_of("sheet", sheet)
