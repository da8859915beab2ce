"""Matter of different kinds that touches: a rolling pin on dough, a shovel in sand, blocks on slopes, each world at its smallest."""

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
from perpetua_protocol.take import Collider, Mesh, Pin, RotationTrack, Round, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81


def simulate(scene, state, frames, *actions, gravity=(0, 0, -G), start=0):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def surface(mesh):
    return np.array(mesh.vertices), np.array(mesh.faces)


# -- a rolling pin on dough -------------------------------------------------------------------------------------------

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


# -- a shovel in sand -------------------------------------------------------------------------------------------------


def shovel():
    """A blade 80 x 60 mm with a back and two sides, all 6 mm thick, its foot at z = 0 and its edge at x = 0."""
    plates = [
        ((0.08, 0.06, 0.006), (-0.04, 0, 0.003)),
        ((0.006, 0.06, 0.04), (-0.083, 0, 0.02)),
        ((0.08, 0.006, 0.03), (-0.04, 0.033, 0.015)),
        ((0.08, 0.006, 0.03), (-0.04, -0.033, 0.015)),
    ]
    boxes = [
        trimesh.creation.box(size, transform=trimesh.transformations.translation_matrix(at))
        for size, at in plates
    ]
    mesh = trimesh.util.concatenate(boxes)
    return Mesh(*(tuple(map(tuple, a.tolist())) for a in (mesh.vertices, mesh.faces)))


def test_a_shovel_digs_into_sand_and_lifts_what_is_in_it():
    heap = scene_of(
        [("sand", material("wet sand"), box_points((0.1, 0.1, 0.05), SPACING, (0.0, -0.05, 0.0)))], SPACING
    )
    where = VectorTrack(
        (0, 8, 12, 20), ((-0.02, 0, 0.004), (0.07, 0, 0.004), (0.07, 0, 0.03), (0.07, 0, 0.12))
    )
    turn = tuple(Turn.from_rotvec([0, -0.3, 0]).as_quat(scalar_first=True).tolist())
    tilt = RotationTrack((8, 12), ((1, 0, 0, 0), turn))
    spade = Collider("shovel", shovel(), where, tilt, friction=0.4)
    sim = simulate(heap, replace(heap.rest_state(), time=1.0), 20, spade)
    end = sim.trajectory.positions[-1].astype(float)
    lifted = end[:, 2] > 0.1
    load = lifted.sum() * 1850 * SPACING**3
    room = 0.08 * 0.06 * 0.03 * 1850  # kg, level full
    assert 0.4 * room < load < 1.6 * room
    local = Turn.from_rotvec([0, 0.3, 0]).apply(end[lifted] - [0.07, 0, 0.12])
    assert local[:, 2].min() > 0.006 - 0.1 * SPACING  # on the blade, not in it
    assert (np.abs(local[:, 1]) < 0.033).mean() > 0.9
    assert (end[~lifted, 2] < 0.07).mean() > 0.95  # the rest stays, but for what runs off
    assert len(end) == len(heap.particles)


# -- blocks on slopes -------------------------------------------------------------------------------------------------

BOARD = trimesh.creation.box(
    (0.24, 0.08, 0.02), transform=trimesh.transformations.translation_matrix((0, 0.15, 0.01))
)
MU_SLAB, MU_BLOCK, MU_BOARD = 0.9, 0.4, 0.9
SOFT, HARD = 1, 3
SLOPES = scene_of(
    [
        ("slab", material("rubber", friction=MU_SLAB), box_points((0.24, 0.08, 0.02), SPACING, (-0.12, -0.04, 0))),
        ("on slab", material("jelly", friction=MU_BLOCK), box_points((0.05, 0.05, 0.04), SPACING, (-0.1, -0.025, 0.02))),
        ("board", material("wood", friction=MU_BOARD), box_points((0.24, 0.08, 0.02), SPACING, (-0.12, 0.11, 0))),
        ("on board", material("jelly", friction=MU_BLOCK), box_points((0.05, 0.05, 0.04), SPACING, (-0.1, 0.125, 0.02))),
    ],
    SPACING,
    meshes={"board": surface(BOARD)},
)  # fmt: skip


@pytest.mark.parametrize("beyond", [-5.0, 6.0])
def test_a_soft_block_on_a_soft_and_on_a_rigid_slope_sticks_and_slides_at_its_angle(beyond):
    """s'' = g (sin a - mu cos a) above the angle of friction, none below; two bodies share the geometric mean of their friction."""
    mu = np.sqrt(MU_SLAB * MU_BLOCK)
    angle = np.arctan(mu) + np.radians(beyond)
    gravity = (G * np.sin(angle), 0, -G * np.cos(angle))
    sim = simulate(SLOPES, replace(SLOPES.rest_state(), time=1.0), 8, gravity=gravity)
    t = np.arange(9) / FPS
    expected = max(0.0, 0.5 * G * (np.sin(angle) - mu * np.cos(angle)))
    for block, slope in ((SOFT, 0), (HARD, 2)):
        mean = [sim.trajectory.positions[:, SLOPES.particles.body == i, 0].mean(1) for i in (block, slope)]
        slid = mean[0] - mean[0][0] - (mean[1] - mean[1][0])
        if beyond > 0:
            late = (slid[-1] - 2 * slid[4] + slid[0]) / (4 / FPS) ** 2 / 2
            assert late == pytest.approx(expected, rel=0.1), block
        else:
            assert abs(slid[-1] - slid[4]) < 0.05 * 0.5 * G * np.sin(angle) * t[4] ** 2, block
