"""Rigid bodies against closed forms: bounce, friction on an incline, a hollow shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import ball_points, box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.physics.rigid import damping_ratio
from perpetua.physics.signed_distance import distance_grid
from perpetua.progress import Progress
from perpetua.scene import RigidPose
from perpetua_protocol.take import Round

SPACING = 0.01


def surface(mesh):
    return np.array(mesh.vertices), np.array(mesh.faces)


def simulate(scene, state, frames, fps=24.0, gravity=(0.0, 0.0, -9.81)):
    return GenesisEngine().simulate(scene, state, RoundPlan(Round(frames), 0, fps, gravity), Progress())


@pytest.mark.parametrize("restitution", [0.0, 0.7])
def test_a_dropped_ball_rebounds_by_its_restitution(restitution):
    """It leaves at e times its speed of arrival, so it rises to e^2 h (Newton)."""
    radius, height = 0.03, 0.2
    mesh = trimesh.creation.icosphere(3, radius)
    mesh.apply_translation((0, 0, radius))
    points = ball_points(radius, SPACING, (0, 0, radius))
    stuff = material("wood", restitution=restitution)
    scene = scene_of([("ball", stuff, points)], SPACING, meshes={"ball": surface(mesh)})
    up = RigidPose(np.array([0, 0, height]), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))
    sim = simulate(scene, replace(scene.rest_state(), rigid={0: up}, time=1.0), 48, 96.0)
    heights = sim.trajectory.positions[1:, :, 2].mean(1) - radius
    rebound = heights[heights[:28].argmin() :].max()
    assert np.sqrt(max(rebound, 0.0) / height) == pytest.approx(restitution, abs=0.06)


@pytest.mark.parametrize(("beyond", "slides"), [(-3.0, False), (6.0, True)])
def test_stacked_blocks_stick_below_the_friction_angle_and_slide_above_it(beyond, slides):
    """They slide with g (sin a - mu cos a) where tan a > mu, and rest where not (Coulomb), the rougher upper with the lower. The incline is a
    tilted gravity."""
    mu, frames = 0.5, 8
    parts, meshes = [], {}
    for name, z, rough in (("lower", 0.0, mu), ("upper", 0.03, 2 * mu)):
        mesh = trimesh.creation.box((0.06, 0.04, 0.03))
        mesh.apply_translation((0, 0, z + 0.015))
        points = box_points((0.06, 0.04, 0.03), SPACING, (-0.03, -0.02, z))
        parts.append((name, material("wood", friction=rough), points))
        meshes[name] = surface(mesh)
    scene = scene_of(parts, SPACING, meshes=meshes)
    angle = np.arctan(mu) + np.radians(beyond)
    gravity = (9.81 * np.sin(angle), 0.0, -9.81 * np.cos(angle))
    sim = simulate(scene, replace(scene.rest_state(), time=1.0), frames, gravity=gravity)
    time = frames / 24.0
    expected = 0.5 * 9.81 * (np.sin(angle) - mu * np.cos(angle)) * time**2
    for pose in sim.end.rigid.values():
        assert pose.position[0] == pytest.approx(expected if slides else 0.0, rel=0.03, abs=1e-3)
        assert pose.position[2] == pytest.approx(0.0, abs=1e-3), "the stack stands"


def test_the_damping_ratio_gives_back_its_restitution():
    """A spring and dashpot, integrated until it would pull."""
    for restitution in (0.3, 0.6, 0.9):
        z, dt, x, v = damping_ratio(restitution), 1e-5, 0.0, -1.0
        force = 1.0
        while force > 0:
            force = -x - 2 * z * v
            v += force * dt
            x += v * dt
        assert v == pytest.approx(restitution, abs=0.01)


def test_the_distance_of_a_hollow_shape_is_that_to_its_wall():
    profile = np.array(
        [[0, 0], [0.04, 0], [0.04, 0.09], [0.03, 0.09], [0.03, 0.01], [0, 0.01]]
    )  # a cup, about its axis
    grid = distance_grid(trimesh.creation.revolve(profile, sections=64), 48, 0.01)

    def at(*point):
        i, j, k = np.round((np.array(point) - grid.origin) / grid.cell).astype(int)
        node = grid.origin + grid.cell * np.array([i, j, k])
        return grid.values[i, j, k], node

    for point in ((0.0, 0.0, 0.05), (0.02, 0.0, 0.06), (0.0, 0.01, 0.02)):  # in the hollow
        value, node = at(*point)
        wall = min(0.03 - np.hypot(*node[:2]), node[2] - 0.01)
        assert value == pytest.approx(wall, abs=4e-4)
    value, node = at(0.034, 0.0, 0.05)  # in the wall
    radius = np.hypot(*node[:2])
    assert value == pytest.approx(-min(radius - 0.03, 0.04 - radius), abs=4e-4)
