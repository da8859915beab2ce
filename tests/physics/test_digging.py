"""Thin colliders in grains: a tray that rises under sand, and a blade that is driven into a block of damp sand and lifts what lies on it."""

from dataclasses import replace

import numpy as np
import trimesh
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Collider, Mesh, Round, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81
LONG, WIDE, HIGH = 0.14, 0.08, 0.08
SCENE = scene_of(
    [
        (
            "sand",
            material("wet sand", cohesion=300.0),
            box_points((LONG, WIDE, HIGH), SPACING, (-LONG / 2, -WIDE / 2, 0)),
        )
    ],
    SPACING,
)
REST = SCENE.particles.positions.astype(float)


def plates(*boxes):
    """Boxes from a lower to an upper corner, as one mesh."""
    meshes = [trimesh.creation.box(bounds=np.array(bounds)) for bounds in boxes]
    mesh = trimesh.util.concatenate(meshes)
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


def simulate(frames, collider, above=0.0):
    """[T, P, 3] m of the block that stands ``above`` m over the plane, some time after the picture, so that nothing settles."""
    positions = (REST + np.array([0, 0, above])).astype(np.float32)
    state = replace(SCENE.rest_state().with_particles(positions=positions), time=1.0)
    plan = RoundPlan(Round(frames, (collider,)), 0, FPS, (0, 0, -G))
    sim = GenesisEngine().simulate(SCENE, state, plan, Progress())
    return sim.trajectory.positions.astype(float)


def test_a_rising_tray_carries_its_sand_and_lets_none_through():
    x, y, thick, rim = LONG / 2 + 0.01, WIDE / 2 + 0.01, 0.005, 0.03
    tray = plates(
        ((-x, -y, -thick), (x, y, 0)),
        ((-x - thick, -y, -thick), (-x, y, rim)),
        ((x, -y, -thick), (x + thick, y, rim)),
        ((-x, -y - thick, -thick), (x, -y, rim)),
        ((-x, y, -thick), (x, y + thick, rim)),
    )
    track = VectorTrack((0, 3, 12), ((0, 0, 0.1), (0, 0, 0.1), (0, 0, 0.25)))
    end = simulate(12, Collider("tray", tray, track, friction=0.4), above=0.1)[-1]
    held = (np.abs(end[:, 0]) < x) & (np.abs(end[:, 1]) < y) & (end[:, 2] > 0.25)
    assert held.all()
    assert end[:, 2].mean() - 0.25 < HIGH / 2 + 0.5 * SPACING  # it lies on the floor


def test_a_shovel_slips_under_sand_and_lifts_what_lies_on_it():
    long, wide, thick, low = 0.08, 0.06, 0.005, 0.008
    shovel = plates(
        ((-long, -wide / 2, 0), (0, wide / 2, thick)),
        ((-long - thick, -wide / 2 - thick, 0), (-long, wide / 2 + thick, 0.035)),
        ((-long, -wide / 2 - thick, 0), (0, -wide / 2, 0.014)),
        ((-long, wide / 2, 0), (0, wide / 2 + thick, 0.014)),
    )
    track = VectorTrack((0, 8, 18), ((-LONG / 2 - 0.01, 0, low), (0.01, 0, low), (0.01, 0, low + 0.12)))
    positions = simulate(18, Collider("shovel", shovel, track, friction=0.4))
    driven, lifted = positions[8] - positions[0], positions[-1, :, 2] > low + 0.12
    assert driven[:, 0].mean() < 0.3 * long  # a wall would take the block along, nearly as far as it goes
    assert lifted.sum() * SPACING**3 > 0.7 * long * wide * (HIGH - low)
