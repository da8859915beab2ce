"""A rigid rolling pin on dough, led by a pin and lying free: one world."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of
from scipy.spatial.transform import Rotation as Turn

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import RigidPose
from perpetua_protocol.take import Pin, RotationTrack, Round, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81


def simulate(scene, state, frames, *actions, gravity=(0, 0, -G), start=0):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def surface(mesh):
    return np.array(mesh.vertices), np.array(mesh.faces)


RADIUS, LENGTH, THICK = 0.025, 0.1, 0.03
ROLLER = trimesh.creation.cylinder(RADIUS, LENGTH, sections=48)
ROLLER.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
ROLLER.apply_translation((-0.1, 0, RADIUS))
_GRID = box_points((2 * RADIUS, LENGTH, 2 * RADIUS), SPACING, (-0.1 - RADIUS, -LENGTH / 2, 0))
ROLLER_POINTS = _GRID[np.hypot(_GRID[:, 0] + 0.1, _GRID[:, 2] - RADIUS) <= RADIUS]
BAKERY = scene_of(
    [
        ("pin", material("wood"), ROLLER_POINTS),
        ("dough", material("dough"), box_points((0.1, 0.08, THICK), SPACING, (-0.05, -0.04, 0.0))),
    ],
    SPACING,
    meshes={"pin": surface(ROLLER)},
)
DOUGH = BAKERY.particles.body == 1


def rolled(heavier=1.0):
    """The bakery with a pin of ``heavier`` times the density of wood."""
    stuff = material("wood", density=700.0 * heavier)
    return replace(BAKERY, bodies=[replace(BAKERY.bodies[0], material=stuff), BAKERY.bodies[1]])


def test_a_rolling_pin_flattens_dough_which_keeps_its_volume_and_stays_flat():
    way, low = 0.2, 0.018
    frames = np.arange(13)
    places = [(-0.1 + way * f / 12, 0.0, RADIUS + low) for f in frames]
    turns = [
        tuple(Turn.from_rotvec([0, way * f / 12 / RADIUS, 0]).as_quat(scalar_first=True)) for f in frames
    ]
    state = replace(BAKERY.rest_state(), time=1.0)
    lifted = RigidPose(np.array([0, 0, low]), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))
    roll = Pin(
        "hands",
        VectorTrack(tuple(map(float, frames)), tuple(places)),
        RotationTrack(tuple(map(float, frames)), tuple(turns)),
        reach=None,
        targets=("pin",),
    )
    sim = simulate(BAKERY, replace(state, rigid={0: lifted}), 12, roll)
    before, after = (sim.trajectory.positions[t, DOUGH].astype(float) for t in (0, -1))
    middle = np.abs(after[:, 0]) < 0.02
    height = after[middle, 2].max() + 0.5 * SPACING
    assert low - 0.2 * SPACING < height < low + 0.5 * SPACING  # it springs back a little
    assert after[:, 2].min() > -0.05 * SPACING
    assert np.ptp(after[:, 0]) > 1.15 * np.ptp(before[:, 0])
    volume = np.linalg.det(sim.end.particles.F[DOUGH].astype(float))
    assert volume.mean() == pytest.approx(1.0, abs=0.01)
    for positions in sim.trajectory.positions[::4]:  # nothing in the pin
        centre = positions[~DOUGH].astype(float).mean(0)
        away = positions[DOUGH].astype(float) - centre
        assert np.hypot(away[:, 0], away[:, 2]).min() > RADIUS + 0.5 * SPACING - 0.15 * SPACING


def test_a_heavier_pin_sinks_deeper_into_dough():
    depths = []
    for heavier in (1.0, 10.0):
        scene = rolled(heavier)
        above = RigidPose(
            np.array([0.1, 0, THICK + 1e-3]), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3)
        )
        sim = simulate(scene, replace(scene.rest_state(), rigid={0: above}, time=1.0), 6)
        depths.append(THICK - sim.end.rigid[0].position[2])
    assert 0 < depths[0] < 0.003  # 1.4 N on some 10 cm^2 is a little below its yield
    assert depths[1] > depths[0] + 0.003
