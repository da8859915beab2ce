"""Liquids that colliders hold: columns between walls on the plane, and a cup that is carried and tilted.

At rest a liquid keeps its volume, so the column's centre stays at half its height, and the pressure grows by rho g a metre (Batchelor,
An Introduction to Fluid Dynamics, 4.1).
"""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of
from scipy.spatial.transform import Rotation as Turn

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Collider, Mesh, RotationTrack, Round, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81
LIQUIDS = ("water", "honey", "jam")
SIDE, HIGH, APART = 0.06, 0.08, 0.12
PLACES = [(APART * i, 0.0, 0.0) for i in range(len(LIQUIDS))]


def mesh_of(mesh):
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


def tube(side, wall, height):
    """Four walls around a square of ``side`` m, open below and above."""
    inner, outer = (np.sqrt(0.5) * width for width in (side, side + 2 * wall))
    profile = [(inner, 0), (outer, 0), (outer, height), (inner, height), (inner, 0)]
    mesh = trimesh.creation.revolve(np.array(profile), sections=4)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 4, (0, 0, 1)))
    return mesh


def disordered(points, seed=0):
    """As liquids are: a quarter of a spacing off their lattice at most."""
    return points + np.random.default_rng(seed).uniform(-0.25, 0.25, points.shape) * SPACING


def speeds(sim):
    """[T - 1, P] m/s"""
    return np.linalg.norm(np.diff(sim.trajectory.positions, axis=0), axis=2) * FPS


WALLS = mesh_of(tube(SIDE, 0.015, 0.11))
HELD = Round(24, tuple(Collider(f"walls {i}", WALLS, place, friction=0.0) for i, place in enumerate(PLACES)))


@pytest.fixture(scope="module")
def columns():
    """A second of a column of each liquid, 8 cm high between walls on the plane."""
    corner = np.array([-SIDE / 2, -SIDE / 2, 0])
    parts = [
        (name, material(name), disordered(box_points((SIDE, SIDE, HIGH), SPACING, tuple(corner + place))))
        for name, place in zip(LIQUIDS, PLACES, strict=True)
    ]
    scene = scene_of(parts, SPACING)
    plan = RoundPlan(HELD, 0, FPS, (0, 0, -G))
    return scene, GenesisEngine().simulate(scene, scene.rest_state(), plan, Progress())


def held(scene, sim, name):
    """A liquid's positions [T, P, 3] m about its column's foot, which keep its height and its walls, and which particles are its."""
    own = scene.particles.body == LIQUIDS.index(name)
    positions = sim.trajectory.positions[:, own].astype(float) - PLACES[LIQUIDS.index(name)]
    assert 2 * positions[..., 2].mean(1) == pytest.approx(HIGH, rel=0.03)
    assert np.abs(positions[..., :2]).max() < SIDE / 2 + 0.05 * SPACING
    assert positions[..., 2].min() > -0.1 * SPACING
    return positions, own


@pytest.mark.parametrize("name", LIQUIDS)
def test_a_hydrostatic_column_keeps_its_height_and_comes_to_rest(columns, name):
    scene, sim = columns
    positions, own = held(scene, sim, name)
    energy = (speeds(sim)[:, own] ** 2).mean(1)
    assert energy[-4:].mean() < 0.6 * energy[:4].mean()  # of particles that were disordered
    assert energy[-1] < 0.01**2
    J = np.linalg.det(sim.end.particles.F[own].astype(float))
    pressure = material(name).lame[0] * J * (1 - J)
    slope = np.polyfit(HIGH - positions[-1, :, 2], pressure, 1)[0]
    assert slope == pytest.approx(material(name).density * G, rel=0.25)  # it breathes a little


@pytest.mark.slow
def test_a_hydrostatic_column_keeps_its_height_for_three_seconds(columns):
    scene, sim = columns
    for start in (24, 48):
        sim = GenesisEngine().simulate(scene, sim.end, RoundPlan(HELD, start, FPS, (0, 0, -G)), Progress())
        for name in LIQUIDS:
            held(scene, sim, name)


CUP_RADIUS, CUP_WALL, CUP_HIGH = 0.05, 0.008, 0.1
FILLED = 0.05


@pytest.fixture(scope="module")
def carried():
    """A cup of water that stands for half a second, is carried 12 cm in one and tilted by 20 degrees as it goes."""
    bore = CUP_RADIUS - CUP_WALL
    inside = [(bore, CUP_HIGH), (bore, CUP_WALL), (0, CUP_WALL)]
    profile = [(0, 0), (CUP_RADIUS, 0), (CUP_RADIUS, CUP_HIGH), *inside]
    cup = trimesh.creation.revolve(np.array(profile, float), sections=48)
    points = disordered(box_points((0.08, 0.08, FILLED), SPACING, (-0.04, -0.04, CUP_WALL)))
    points = points[np.hypot(points[:, 0], points[:, 1]) < bore] + [0, 0, 0.2]
    scene = scene_of([("water", material("water"), points)], SPACING, resting=False)
    tilt = tuple(Turn.from_rotvec([0, np.radians(20), 0]).as_quat(scalar_first=True).tolist())
    motion = VectorTrack((12, 36), ((0, 0, 0.2), (0.12, 0, 0.23)))
    turn = RotationTrack((12, 36), ((1, 0, 0, 0), tilt))
    act = Collider("cup", mesh_of(cup), motion, turn, friction=0.0)
    plan = RoundPlan(Round(60, (act,)), 0, FPS, (0, 0, -G))
    sim = GenesisEngine().simulate(scene, replace(scene.rest_state(), time=1.0), plan, Progress())
    return sim


def in_the_cup(positions, frame):
    share = np.clip((frame - 12) / 24, 0, 1)
    place = np.array([0, 0, 0.2]) + share * np.array([0.12, 0, 0.03])
    return Turn.from_rotvec([0, share * np.radians(20), 0]).inv().apply(positions - place)


def test_a_cup_that_is_carried_and_tilted_keeps_its_water(carried):
    bore = CUP_RADIUS - CUP_WALL
    for frame, positions in enumerate(carried.trajectory.positions):
        own = in_the_cup(positions.astype(float), frame)
        assert np.hypot(own[:, 0], own[:, 1]).max() < bore + 0.1 * SPACING, frame
        assert own[:, 2].min() > CUP_WALL - 0.1 * SPACING, frame
        assert own[:, 2].max() < CUP_HIGH, frame
    own = in_the_cup(carried.trajectory.positions[12].astype(float), 12)
    height = len(own) * SPACING**3 / (np.pi * bore**2)
    assert 2 * (own[:, 2].mean() - CUP_WALL) == pytest.approx(height, rel=0.05)
    assert speeds(carried)[-1].mean() < 0.02
    end = carried.trajectory.positions[-1].astype(float)
    tops = []
    for aside in np.linspace(-0.03, 0.03, 5):
        near = np.abs(end[:, 0] - 0.13 - aside) < 0.008
        tops.append(np.quantile(end[near, 2], 0.95))
    assert np.ptp(tops) < 0.5 * SPACING  # level, where the cup leans by 2 cm
