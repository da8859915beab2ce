"""Colliders and pins against rigid bodies, cloth and gas: one world of a wooden block, a cotton towel and steam."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of
from scipy.spatial.transform import Rotation as Turn

from perpetua.errors import SimulationError
from perpetua.physics import worlds
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import RigidPose, State
from perpetua_protocol.take import Collider, Mesh, Pin, RotationTrack, Round, VectorTrack

SPACING, FPS, G = 0.01, 24.0, 9.81
BLOCK, TOWEL, STEAM = range(3)
SIZE = (0.06, 0.04, 0.04)
HALF = np.array(SIZE) / 2


def net(size, spacing):
    """Vertices [n, 3] m of a level square about the origin, and its faces."""
    n = round(size / spacing) + 1
    a, b = np.meshgrid(*2 * [np.linspace(-size / 2, size / 2, n)], indexing="ij")
    i = np.arange(n * n).reshape(n, n)
    p, q, r, s = (corner.ravel() for corner in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    vertices = np.stack([a, b, np.zeros_like(a)], -1).reshape(-1, 3)
    return vertices, np.concatenate([np.stack([p, q, r], 1), np.stack([p, r, s], 1)])


SHEET, FACES = net(0.14, SPACING)
SHEET = SHEET + np.array([0.5, 0.0, 0.12])
WOOD = trimesh.creation.box(SIZE, transform=trimesh.transformations.translation_matrix(HALF * [0, 0, 1]))
SCENE = scene_of(
    [
        ("block", material("wood"), box_points(SIZE, SPACING, (-0.03, -0.02, 0.0))),
        ("towel", material("cotton"), SHEET),
        ("steam", material("steam"), box_points((0.04, 0.04, 0.04), SPACING, (-0.52, -0.02, 0.02))),
    ],
    SPACING,
    meshes={"block": (np.array(WOOD.vertices), np.array(WOOD.faces)), "towel": (SHEET, FACES)},
)
OWN = [SCENE.particles.body == i for i in range(3)]


def simulate(state, frames, *actions, gravity=(0, 0, -G), start=0, scene=SCENE):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def mesh_of(mesh):
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


def quaternion(turn):
    return tuple(turn.as_quat(scalar_first=True).tolist())


# -- the block --------------------------------------------------------------------------------------------------------

PLATE = mesh_of(
    trimesh.creation.box(
        (0.5, 0.2, 0.04), transform=trimesh.transformations.translation_matrix((0, 0, -0.02))
    )
)
SLOPE = np.radians(25.0)
DOWN = Turn.from_rotvec([0, SLOPE, 0])
CENTRE = np.array([0.0, 0.0, 0.02])


def laid(turn, centre):
    """The block with its centre at ``centre`` [3] m, at rest."""
    pose = RigidPose(np.asarray(centre) - CENTRE, np.array(quaternion(turn)), np.zeros(3), np.zeros(3))
    positions = SCENE.particles.positions.copy()
    positions[OWN[BLOCK]] = turn.apply(positions[OWN[BLOCK]] - CENTRE) + centre
    state = SCENE.rest_state().with_particles(positions=positions)
    return replace(state, rigid={BLOCK: pose}, time=1.0)


@pytest.mark.parametrize("mu", [0.0, 0.2, 0.8])
def test_a_block_slides_down_a_tilted_collider_as_friction_lets_it(mu):
    """s'' = g (sin a - mu cos a) where mu < tan a, else it sticks (Coulomb). It neither sinks in nor floats by 0.1 mm."""
    state = laid(DOWN, DOWN.apply([-0.12, 0, 0.02]) + np.array([0, 0, 0.3]))
    ramp = Collider("ramp", PLATE, (0, 0, 0.3), quaternion(DOWN), friction=mu, targets=("block",))
    sim = simulate(state, 6, ramp)
    body = sim.trajectory.positions[:, OWN[BLOCK]].astype(float)
    along = DOWN.inv().apply((body - [0, 0, 0.3]).reshape(-1, 3)).reshape(7, -1, 3)
    moved = along[:, :, 0].mean(1) - along[0, :, 0].mean()
    expected = max(0.0, 0.5 * G * (np.sin(SLOPE) - mu * np.cos(SLOPE)))
    np.testing.assert_allclose(moved, expected * (np.arange(7) / FPS) ** 2, atol=4e-4)
    np.testing.assert_allclose(along[:, :, 2].min(1), 0.5 * SPACING, atol=1e-4)


def test_a_block_bounces_off_a_collider_by_its_restitution_and_a_moving_one_carries_it():
    """It leaves at e times its speed of arrival (Newton); what a plate lifts goes where the plate goes."""
    state = laid(Turn.identity(), (0, 0, 0.36))
    floor = Collider("floor", PLATE, (0, 0, 0.3))
    heights = simulate(state, 12, floor).trajectory.positions[:, OWN[BLOCK], 2].mean(1) - 0.32
    down = np.sqrt(2 * 0.04 / G) * FPS
    rise = heights[int(down) + 1 :].max()
    assert np.sqrt(rise / 0.04) == pytest.approx(SCENE.bodies[BLOCK].material.restitution, abs=0.08)
    assert heights[-1] == pytest.approx(0.0, abs=3e-4)
    lift = VectorTrack((0, 6, 12), ((0, 0, 0.3), (0.1, 0, 0.4), (0.1, 0, 0.4)))
    lifted = simulate(laid(Turn.identity(), (0, 0, 0.32)), 16, Collider("tray", PLATE, lift, friction=0.8))
    end = lifted.trajectory.positions[-1, OWN[BLOCK]].astype(float)
    assert end.mean(0)[2] == pytest.approx(0.42, abs=5e-4)
    flight = 0.4 * (
        2 * 0.4 / G
    )  # the tray stops at 0.4 m/s along x and up: the block flies on, and lands with more grip than speed
    assert end.mean(0)[0] == pytest.approx(0.1 + flight, abs=5e-3)


def test_a_spike_between_the_corners_of_a_block_stops_it():
    """A cone's tip meets the middle of a face, where the block has no corner; turned onto its point the block falls off."""
    cone = trimesh.creation.cone(0.03, 0.06, sections=24)
    sim = simulate(laid(Turn.identity(), (0.0, 0, 0.4)), 6, Collider("spike", mesh_of(cone), (0, 0, 0.3)))
    local = sim.trajectory.positions[:, OWN[BLOCK]].astype(float)
    assert local[-1].mean(0)[2] > 0.375  # the tip is at 0.36 and half the block 0.02


# -- the towel --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def draped():
    ball = mesh_of(trimesh.creation.icosphere(4, 0.04))
    state = replace(SCENE.rest_state(), time=1.0)
    return simulate(state, 10, Collider("ball", ball, (0.5, 0, 0.06), targets=("towel",)))


def test_cloth_falls_over_a_collider_and_stays_outside_of_it(draped):
    towel = draped.trajectory.positions[:, OWN[TOWEL]].astype(float)
    away = np.linalg.norm(towel - [0.5, 0, 0.06], axis=-1)
    assert away.min() > 0.04
    top = towel[-1, np.hypot(towel[-1, :, 0] - 0.5, towel[-1, :, 1]).argmin()]
    assert top[2] == pytest.approx(0.10 + 0.2 * SPACING, abs=0.1 * SPACING)
    assert towel[-1, :, 2].min() < 0.06
    assert draped.idle == ()


def test_a_pin_carries_what_it_holds_of_cloth_along_its_keys_and_a_restart_changes_nothing(tmp_path):
    path = VectorTrack((0, 4, 8), ((0.43, -0.07, 0.12), (0.43, -0.07, 0.2), (0.5, -0.07, 0.2)))
    turn = RotationTrack((4, 8), ((1, 0, 0, 0), quaternion(Turn.from_rotvec([0, 0, 0.6]))))
    pin = Pin("hand", path, turn, reach=0.012, targets=("towel",))
    state = replace(SCENE.rest_state(), time=1.0)
    whole = simulate(state, 8, pin)
    held = np.linalg.norm(SHEET - [0.43, -0.07, 0.12], axis=1) <= 0.012
    assert held.sum() == 3
    arm = SHEET[held] - [0.43, -0.07, 0.12]
    expected = Turn.from_rotvec([0, 0, 0.6]).apply(arm) + np.array([0.5, -0.07, 0.2])
    towel = whole.trajectory.positions[:, OWN[TOWEL]]
    np.testing.assert_allclose(towel[-1, held], expected, atol=2e-5)
    assert 0.1 < towel[-1, ~held, 2].mean() < 0.2  # it hangs and swings from there
    simulate(state, 5, pin).end.save(tmp_path / "state.npz")
    second = simulate(State.load(tmp_path / "state.npz"), 3, pin, start=5)
    np.testing.assert_array_equal(second.trajectory.positions, whole.trajectory.positions[5:])
    fallen = simulate(whole.end, 6, start=8)  # let go, it falls
    assert fallen.trajectory.positions[-1, OWN[TOWEL]][held, 2].max() < 0.1


# -- the steam --------------------------------------------------------------------------------------------------------


def test_steam_goes_round_a_lid_and_none_through_it():
    lid = trimesh.creation.box((0.07, 0.07, 0.004))
    above = Collider("lid", mesh_of(lid), (-0.5, 0, 0.085), targets=("steam",))
    state = replace(SCENE.rest_state(), time=1.0)
    free = simulate(state, 12).trajectory.positions[:, OWN[STEAM]].astype(float) + np.array([0.5, 0, 0])
    stopped = simulate(state, 12, above)
    steam = stopped.trajectory.positions[:, OWN[STEAM]].astype(float) + np.array([0.5, 0, 0])
    assert (np.abs(steam - [0, 0, 0.085]) < np.array([0.035, 0.035, 0.002]) - 2e-4).all(-1).sum() == 0
    over = np.abs(steam[-1, :, :2]).max(-1) < 0.03  # above the middle of the lid
    assert free[-1, :, 2].max() > 0.1
    assert steam[-1, over, 2].max() < 0.085
    assert stopped.idle == ()


def test_a_pin_that_is_to_hold_steam_is_refused():
    hand = Pin("hand", (-0.5, 0, 0.04), targets=("steam",))
    with pytest.raises(SimulationError, match=r"'hand' cannot hold 'steam', which is steam, a gas; .*wind"):
        simulate(replace(SCENE.rest_state(), time=1.0), 1, hand)


# -- the world --------------------------------------------------------------------------------------------------------


def test_a_changed_friction_density_and_restitution_of_a_rigid_body_take_over_the_living_world():
    """The same motion, but for rounding, as in a world built for them, without building one."""
    angle = np.radians(20.0)
    tilted = (G * np.sin(angle), 0, -G * np.cos(angle))
    state = replace(SCENE.rest_state(), time=1.0)
    assert simulate(state, 4, gravity=tilted).end.rigid[BLOCK].position[0] == pytest.approx(0, abs=1e-3)
    before = worlds.living()
    smooth = material("wood", friction=0.1, density=900.0, restitution=0.1)
    slippery = replace(SCENE, bodies=[replace(SCENE.bodies[BLOCK], material=smooth), *SCENE.bodies[1:]])
    taken = simulate(state, 4, gravity=tilted, scene=slippery)
    assert worlds.living() is before
    expected = 0.5 * G * (np.sin(angle) - 0.1 * np.cos(angle)) * (4 / FPS) ** 2
    assert taken.end.rigid[BLOCK].position[0] == pytest.approx(expected, rel=0.03)
    worlds.discard()
    built = simulate(state, 4, gravity=tilted, scene=slippery)
    np.testing.assert_allclose(taken.trajectory.positions, built.trajectory.positions, rtol=0, atol=1e-7)
