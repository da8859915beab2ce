"""Cloth: its springs, bending and contact against closed forms, and a silk cloth on a ball of jelly (one world)."""

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import ball_points, material, scene_of
from scipy.spatial.transform import Rotation

from perpetua.errors import SimulationError
from perpetua.physics import runtime, worlds
from perpetua.physics.api import RoundPlan
from perpetua.physics.cloth.deformation import vertex_deformation
from perpetua.physics.cloth.layers import layer_of
from perpetua.physics.cloth.pyramid import own_share, pyramid_of
from perpetua.physics.cloth.topology import joined, topology_of
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import State
from perpetua_protocol.take import Push, Round, Wind

COTTON = material("cotton")
G = 9.81


def sheet(corner, along, up, spacing):
    """Vertices [n, 3] and faces [f, 3] of a rectangle, its diagonals in turns."""
    along, up = np.array(along, float), np.array(up, float)
    n, m = (round(np.linalg.norm(side) / spacing) + 1 for side in (along, up))
    a, b = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, m), indexing="ij")
    vertices = (np.array(corner) + a[..., None] * along + b[..., None] * up).reshape(-1, 3)
    i = np.arange(n * m).reshape(n, m)
    a, b, c, d = i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]
    odd = np.add.outer(np.arange(n - 1), np.arange(m - 1)) % 2 == 1
    corners = [(a, b, c, ~odd), (a, c, d, ~odd), (a, b, d, odd), (b, c, d, odd)]
    return vertices, np.concatenate([np.stack([p, q, r], -1)[where] for p, q, r, where in corners])


def compiled(vertices, faces, held=None, friction=0.0):
    worlds.discard()
    runtime.fresh()
    from perpetua.physics.cloth.sheet import Sheet, write

    topology = topology_of(vertices, faces, COTTON, "towel")
    cloth = Sheet(topology, 1)
    cloth.set_held(np.zeros(len(vertices), bool) if held is None else held)
    cloth.friction.from_numpy(np.full(1, friction, np.float32))
    write(cloth.x, vertices)
    step = 0.7 * float(np.sqrt(topology.mass.min() / topology.stiffness.max()))
    return cloth, topology, step, write


def test_weight_and_springs_are_those_of_the_material():
    vertices, faces = sheet((0, 0, 0), (0.2, 0, 0), (0, 0.1, 0), 0.01)
    topology = topology_of(vertices, faces, COTTON, "towel")
    assert topology.mass.sum() == pytest.approx(0.15 * 0.2 * 0.1)
    strained = vertices * [
        1.01,
        1 - 0.01 / 3,
        1,
    ]  # a Poisson ratio of 1/3 is that of any net of springs (Cauchy)
    length = np.linalg.norm(strained[topology.edges[:, 0]] - strained[topology.edges[:, 1]], axis=1)
    energy = 0.5 * (topology.stiffness * (length - topology.rest) ** 2).sum()
    thickness = COTTON.area_density / COTTON.density
    membrane = 0.5 * COTTON.youngs_modulus * thickness * 0.01**2 * 0.02
    assert energy == pytest.approx(
        11 / 9 * membrane, rel=0.01
    )  # squares with one diagonal: 1 + nu^2 + (1 - nu)^2 / 4


def test_springs_of_a_colour_share_no_vertex_also_when_sheets_are_joined():
    one = topology_of(*sheet((0, 0, 0), (0.1, 0, 0), (0, 0.1, 0), 0.01), COTTON, "a")
    two = joined([one, topology_of(*sheet((0, 0, 1), (0.05, 0, 0), (0, 0.1, 0), 0.01), COTTON, "b")])
    for topology in (one, two):
        for start, end in zip(topology.colours[:-1], topology.colours[1:], strict=True):
            used = topology.edges[start:end].ravel()
            assert len(np.unique(used)) == len(used)
        assert topology.colours[-1] == len(topology.edges)


def test_bending_a_sheet_round_a_pipe_costs_half_the_rigidity_times_curvature_squared():
    vertices, faces = sheet((0, 0, 0), (0.2, 0, 0), (0, 0.1, 0), 0.005)
    bending = topology_of(vertices, faces, COTTON, "towel").bending
    assert np.abs(bending @ vertices).max() < 1e-12
    radius = 0.05
    bent = np.stack(
        [radius * np.sin(vertices[:, 0] / radius), vertices[:, 1], radius * np.cos(vertices[:, 0] / radius)],
        1,
    )
    energy = 0.5 * (bent * (bending @ bent)).sum()
    assert energy == pytest.approx(0.5 * COTTON.bending_stiffness * 0.2 * 0.1 / radius**2, rel=0.06)


def test_a_turned_and_stretched_sheet_knows_it():
    vertices, faces = sheet((0, 0, 0), (0.1, 0, 0), (0, 0.1, 0), 0.01)
    turn = Rotation.from_rotvec([2.0, 0.5, -1.0]).as_matrix()
    F = vertex_deformation(vertices, (vertices * [1.3, 0.9, 1.0]) @ turn.T + 2.0, faces)
    np.testing.assert_allclose(F, np.broadcast_to(turn @ np.diag([1.3, 0.9, 1.0]), F.shape), atol=1e-5)


def test_a_surface_that_is_no_sheet_is_refused_by_name():
    with pytest.raises(SimulationError, match="'towel' is cloth but has no surface"):
        topology_of(np.zeros((4, 3)), np.zeros((0, 3), int), COTTON, "towel")


def test_a_hanging_sheet_stretches_by_its_weight():
    """u = rho g L^2 / (2 E) for a bar hung from its end."""
    vertices, faces = sheet((0, 0, 1.0), (0.05, 0, 0), (0, 0, 0.15), 0.01)
    top = vertices[:, 2] > 1.1499
    cloth, _, step, _ = compiled(vertices, faces, top)
    for _ in range(150):
        cloth.advance(10 * step, 10, (0, 0, -G), 0.0)
        cloth.v.from_numpy(cloth.v.to_numpy() * np.float32(0.9))
    stretch = 1.0 - cloth.x.to_numpy()[: len(vertices), 2].min()
    assert stretch == pytest.approx(COTTON.density * G * 0.15**2 / (2 * COTTON.youngs_modulus), rel=0.12)


@pytest.mark.parametrize(("degrees", "slides"), [(20.0, False), (35.0, True)])
def test_cloth_on_a_slope_holds_below_the_angle_of_friction_and_slides_above(degrees, slides):
    vertices, faces = sheet((0, 0, 0.002), (0.05, 0, 0), (0, 0.05, 0), 0.01)
    cloth, _, step, _ = compiled(vertices, faces, friction=0.5)
    slope, seconds = np.radians(degrees), 0.1
    count = round(seconds / step / 10)
    for _ in range(count):
        cloth.advance(10 * step, 10, (G * np.sin(slope), 0, -G * np.cos(slope)), 0.002)
    moved = (cloth.x.to_numpy()[: len(vertices)] - vertices)[:, 0].mean()
    expected = 0.5 * G * (np.sin(slope) - 0.5 * np.cos(slope)) * (10 * count * step) ** 2 if slides else 0.0
    assert moved == pytest.approx(expected, rel=0.03, abs=2e-5)


def test_light_cloth_falls_at_the_speed_at_which_the_air_carries_it():
    """Terminal speed: area density times g = 0.5 rho C v^2."""
    vertices, faces = sheet((0, 0, 50.0), (0.05, 0, 0), (0, 0.05, 0), 0.01)
    cloth, topology, _, _ = compiled(vertices, faces)
    for _ in range(1500):
        cloth.feel_air(1e-3)
        cloth.advance(1e-3, 1, (0, 0, -G), 0.0)
    speed = -(topology.mass * cloth.v.to_numpy()[: len(vertices), 2]).sum() / topology.mass.sum()
    assert speed == pytest.approx(np.sqrt(COTTON.area_density * G / (0.5 * 1.2 * 1.2)), rel=0.03)


# -- coarse nets over it ----------------------------------------------------------------------------------------------

SUBSTEP, STEPS = 1.0 / 960.0, 6
"""What ``ClothPart`` takes."""


class Fine:
    """Cotton at ``places`` [n, 3] m, whose rest shape is ``vertices``, in a few long steps with coarse nets."""

    def __init__(self, vertices, faces, held=None, places=None):
        held = np.zeros(len(vertices), bool) if held is None else held
        self.cloth, self.topology, _, self.write = compiled(vertices, faces, held)
        from perpetua.physics.cloth.nets import Net

        self.cloth.fill(own_share(self.topology, SUBSTEP / STEPS))
        self.cloth.set_held(held)
        layers = pyramid_of(vertices, self.topology, COTTON, held, SUBSTEP / STEPS)
        self.nets = [Net(layer, 0, self.topology.mass, held) for layer in reversed(layers)]
        self.write(self.cloth.x, vertices if places is None else places)

    def advance(self, substeps, gravity=G):
        for _ in range(substeps):
            self.cloth.advance(SUBSTEP, STEPS, (0, 0, -gravity), -9.0, self.nets)

    @property
    def x(self):
        return self.cloth.x.to_numpy()[: len(self.topology.mass)].astype(float)

    @property
    def v(self):
        return self.cloth.v.to_numpy()[: len(self.topology.mass)].astype(float)

    @property
    def kinetic(self):
        return 0.5 * (self.topology.mass * (self.v**2).sum(1)).sum()


def test_a_net_weighs_what_the_sheet_weighs_and_does_nothing_to_one_that_lies_flat():
    vertices, faces = sheet((0, 0, 0), (0.1, 0, 0), (0, 0.07, 0), 0.005)
    topology = topology_of(vertices, faces, COTTON, "towel")
    layer = layer_of(vertices, topology, COTTON, 0.0125, np.zeros(len(vertices), bool))
    assert len(layer.at) < len(vertices) / 6
    assert layer.net.mass.sum() == pytest.approx(topology.mass.sum())
    np.testing.assert_allclose(layer.shares.sum(1), 1.0)
    turn = Rotation.from_rotvec([2.0, 0.5, -1.0]).as_matrix()
    corners = layer.means @ (vertices @ turn.T)
    assert np.abs(layer.net.bending @ corners).max() < 1e-12
    a, b = corners[layer.net.edges].transpose(1, 0, 2)
    np.testing.assert_allclose(np.linalg.norm(a - b, axis=1), layer.net.rest, rtol=1e-6)
    # twice as many springs' worth of cloth would be twice as stiff
    whole = (topology.stiffness * topology.rest**2).sum()
    assert (layer.net.stiffness * layer.net.rest**2).sum() == pytest.approx(whole, rel=0.25)


def test_threads_over_a_pleated_sheet_let_it_open_out():
    flat, faces = sheet((0, 0, 0), (0.2, 0, 0), (0, 0.1, 0), 0.005)
    fold = np.abs((flat[:, 0] / 0.04) % 1.0 - 0.5) * 0.04  # pleats of 45 degrees and 2 cm
    pleated = np.stack([flat[:, 0] / np.sqrt(2), flat[:, 1], np.sqrt(2) * fold], 1)
    topology = topology_of(pleated, faces, COTTON, "skirt")
    layer = layer_of(pleated, topology, COTTON, 0.0375, np.zeros(len(flat), bool))
    a, b = (layer.means @ flat)[layer.net.edges].transpose(1, 0, 2)
    opened = np.linalg.norm(a - b, axis=1) / layer.net.rest
    assert np.median(opened) < 1.2
    assert opened.max() < 1.5


def test_a_fine_sheet_hangs_by_its_weight_in_steps_in_which_its_springs_alone_would_give():
    vertices, faces = sheet((0, 0, 1.0), (0.05, 0, 0), (0, 0, 0.15), 0.003)
    fine = Fine(vertices, faces, vertices[:, 2] > 1.1499)
    assert fine.nets
    for _ in range(100):
        fine.advance(3)
        fine.cloth.v.from_numpy(fine.cloth.v.to_numpy() * np.float32(0.9))
    stretch = 1.0 - fine.x[:, 2].min()
    assert stretch == pytest.approx(COTTON.density * G * 0.15**2 / (2 * COTTON.youngs_modulus), rel=0.3)
    a, b = fine.x[fine.topology.edges].transpose(1, 0, 2)
    assert np.abs(np.linalg.norm(a - b, axis=1) / fine.topology.rest - 1.0).max() < 0.015


def test_hung_cloth_swings_at_the_pace_of_a_chain_and_loses_little():
    """First mode of a hanging chain: 2 pi / T = 1.2024 sqrt(g / L) (Bernoulli, 1732)."""
    vertices, faces = sheet((0, 0, 0), (0.08, 0, 0), (0, 0, 0.16), 0.01)
    below, angle = 0.16 - vertices[:, 2], np.radians(30)
    tilted = np.stack([vertices[:, 0], below * np.sin(angle), 0.16 - below * np.cos(angle)], 1)
    fine = Fine(vertices, faces, below < 1e-6, tilted)
    mass = fine.topology.mass
    height = (mass * (tilted - vertices)[:, 2]).sum()
    aside, energy = [], []
    for _ in range(1100):
        fine.advance(1)
        aside.append((mass * fine.x[:, 1]).sum())
        energy.append((fine.kinetic + G * (mass * (fine.x - vertices)[:, 2]).sum()) / (G * height))
    crossing = np.flatnonzero(np.diff(np.sign(aside)))
    assert 2 * np.diff(crossing).mean() * SUBSTEP == pytest.approx(
        2 * np.pi / 1.2024 * np.sqrt(0.16 / G), rel=0.03
    )
    assert max(energy) < 1.01
    assert energy[960] > 0.95


def test_a_wildly_moving_fine_sheet_keeps_its_momentum_and_gains_no_energy():
    vertices, faces = sheet((0, 0, 0), (0.06, 0, 0), (0, 0.06, 0), 0.002)
    fine = Fine(vertices, faces)
    rng = np.random.default_rng(0)
    fine.write(fine.cloth.v, rng.normal((1.0, 0.0, 0.5), 3.0, vertices.shape))
    before, energy = fine.topology.mass @ fine.v, fine.kinetic
    for _ in range(20):
        fine.advance(10, gravity=0.0)
        assert fine.kinetic < energy
    np.testing.assert_allclose(fine.topology.mass @ fine.v, before, rtol=1e-4, atol=1e-4 * before.max())


# -- in a world with jelly --------------------------------------------------------------------------------------------

SPACING = 0.01
BALL = ball_points(0.03, SPACING, (0, 0, 0.035))
VERTICES, FACES = sheet((-0.07, -0.07, 0.09), (0.14, 0, 0), (0, 0.14, 0), SPACING)
SCENE = scene_of(
    [("ball", material("jelly"), BALL), ("cloth", material("silk"), VERTICES)],
    SPACING,
    meshes={"cloth": (VERTICES, FACES)},
)
CLOTH = SCENE.particles.body == 1


def simulate(state, frames, *actions, start=0, gravity=(0, 0, -G), scene=SCENE):
    plan = RoundPlan(Round(frames, actions), start, 24.0, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


@pytest.fixture(scope="module")
def draped():
    return simulate(SCENE.rest_state(), 8)


def test_cloth_falls_over_a_ball_and_stays_outside_of_it(draped):
    before, after = draped.trajectory.positions[0], draped.trajectory.positions[-1]
    lowest, highest = after[CLOTH, 2].min(), after[CLOTH, 2].max()
    assert lowest >= 0.0
    assert lowest < 0.03
    assert 0.055 < highest < 0.085
    distance = np.linalg.norm(after[CLOTH, None] - after[None, ~CLOTH], axis=-1).min(1)
    assert distance.min() > 0.5 * SPACING
    assert np.abs(after[~CLOTH] - before[~CLOTH]).max() < SPACING  # six grams of silk hardly dent it
    stretch = np.linalg.svd(draped.trajectory.F[-1, CLOTH], compute_uv=False)
    assert (stretch > 0.49).all()
    assert (stretch < 1.2).all()


def test_a_restart_of_cloth_and_jelly_from_a_file_changes_nothing(draped, tmp_path):
    first = simulate(SCENE.rest_state(), 5)
    first.end.save(tmp_path / "state.npz")
    second = simulate(State.load(tmp_path / "state.npz"), 3, start=5)
    np.testing.assert_array_equal(second.trajectory.positions, draped.trajectory.positions[5:])
    np.testing.assert_array_equal(second.end.particles.velocities, draped.end.particles.velocities)


def test_cloth_thrown_at_a_ball_keeps_the_momentum():
    state = SCENE.rest_state()
    velocities = np.zeros_like(state.particles.velocities)
    velocities[CLOTH] = (0, 0, -1.5)
    positions = state.particles.positions + np.float32([0, 0, 0.5])
    state = replace(state.with_particles(velocities=velocities, positions=positions), time=1.0)
    sim = simulate(state, 2, gravity=(0, 0, 0))
    mass = np.concatenate(
        [np.full(len(BALL), 1050 * SPACING**3), topology_of(VERTICES, FACES, material("silk"), "cloth").mass]
    )
    momentum = [(mass[:, None] * v.astype(float)).sum(0) for v in (velocities, sim.end.particles.velocities)]
    ball = 1050 * SPACING**3 * sim.end.particles.velocities[~CLOTH].astype(float).sum(0)
    assert ball[2] < 0.1 * momentum[0][2]  # it was hit
    assert ball[2] > momentum[0][2]
    assert abs(momentum[1][2]) < abs(momentum[0][2])  # the still air took the rest


def test_actions_reach_cloth_and_what_does_not_rest_hangs_from_its_top():
    scene = replace(SCENE, bodies=[SCENE.bodies[0], replace(SCENE.bodies[1], resting=False)])
    push = Push("tap", (0.0, 0.0, 0.09), (0, 0, 1), 0.01, reach=0.5, targets=("cloth",))
    wind = Wind("breeze", (1, 0, 0), speed=2.0, targets=("cloth",))
    for action in (push, wind):
        sim = simulate(scene.rest_state(), 1, action, scene=scene)
        assert np.abs(sim.trajectory.positions[-1] - sim.trajectory.positions[0])[CLOTH].max() < 1e-6
        assert not sim.idle  # a level sheet is all top, so it is held, but it was reached
