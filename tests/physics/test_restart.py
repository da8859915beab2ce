"""A state survives the round: saved, loaded, corrected and written back, matter goes on as if nothing had stopped it.

A jelly ball, and blocks of clay and jelly, on particles 10 mm apart. A state that is written back "unchanged" goes the whole way of a
corrected one: a correction of a millimetre is written into it, and its inverse into the result.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from physics_scenes import ball_points, box_points, material, scene_of

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.knots import knot_frames
from perpetua.optimize.write_back import write_back
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import State
from perpetua_protocol.take import Push, Round

SPACING, FPS = 0.01, 24.0
GRAVITY = (0.0, 0.0, -9.81)
RADIUS = 0.05
BALL = scene_of(
    [("ball", material("jelly", viscosity=0.0), ball_points(RADIUS, SPACING, (0, 0, RADIUS + 0.005)))],
    SPACING,
)
BLOCKS = scene_of(
    [
        ("clay", material("clay"), box_points((0.05, 0.05, 0.05), SPACING, (-0.07, -0.025, 0.0))),
        ("jelly", material("jelly"), box_points((0.05, 0.05, 0.05), SPACING, (0.02, -0.025, 0.0))),
    ],
    SPACING,
)
IS_CLAY = BLOCKS.particles.body == 0
MILLIMETRE = 1e-3
STRAY_MM = 0.2
"""What a corrected ball may stray from the unbroken run in ten frames."""


def simulate(scene, state, frames, *actions, start=0, gravity=GRAVITY):
    plan = RoundPlan(Round(frames, actions), start, FPS, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def moving(scene, positions, velocities):
    """The scene some time after the picture, so that nothing settles."""
    state = scene.rest_state().with_particles(
        positions=positions.astype(np.float32), velocities=velocities.astype(np.float32)
    )
    return replace(state, time=1.0)


def bend(scene, size):
    """[P, 3] m: a field that shifts, shears and bends a body by ``size`` m, smoothly over the material."""
    x, y, z = ((scene.particles.positions - scene.particles.positions.mean(0)) / RADIUS).astype(np.float64).T
    return size * np.stack([1.0 + np.sin(2 * z), np.cos(3 * x) * y, 0.3 + np.sin(3 * y)], 1)


def written_back(scene, simulation, field):
    """The round's end after a correction that grows with t^2 to ``field`` [P, 3] m at its last frame, as the loop writes it."""
    frames = simulation.trajectory.frames - 1
    knots = knot_frames(frames)
    displacement = np.stack([(k / frames) ** 2 * field for k in knots]).astype(np.float32)
    correction = Correction(knots, displacement, scene.foreground.sh.numpy())
    corrected, _ = apply_correction(scene, simulation.trajectory, correction)
    end = write_back(simulation.end, simulation.trajectory, corrected, correction, scene, FPS)
    return replace(simulation, trajectory=corrected, end=end)


def there_and_back(scene, simulation, size=MILLIMETRE):
    """The end of a round written back twice: corrected, and corrected back to where it was."""
    field = bend(scene, size)
    there = written_back(scene, simulation, field)
    assert np.abs(there.end.particles.positions - simulation.end.particles.positions).max() > 0.5 * size
    return written_back(scene, there, -field).end


def stray(trajectory, unbroken):
    """[T] mm: mean distance of the particles of one run from those of another."""
    return 1e3 * np.linalg.norm(trajectory.positions - unbroken.positions, axis=2).mean(1)


def energy(particles, scene):
    """Kinetic and elastic energy, J, of a body of neo-Hookean matter (Bonet and Wood 2008, eq. 6.27):
    W = mu/2 (tr F^T F - 3) - mu ln J + lambda/2 (ln J)^2 per volume at rest."""
    made_of = scene.bodies[0].material
    lam, mu = made_of.lame
    F = particles.F.astype(np.float64)
    log_J = np.log(np.linalg.det(F))
    density = 0.5 * mu * ((F**2).sum((1, 2)) - 3) - mu * log_J + 0.5 * lam * log_J**2
    speed2 = (particles.velocities.astype(np.float64) ** 2).sum(1)
    return float((density + 0.5 * made_of.density * speed2).sum() * SPACING**3)


@pytest.fixture(scope="module")
def squashed():
    """A ball thrown at the plane, until its greatest squash, and the run that never stopped."""
    positions = BALL.particles.positions + np.float32([0.003, 0.002, 0.02])
    thrown = moving(BALL, positions, np.broadcast_to([0.0, 0.0, -2.0], positions.shape))
    unbroken = simulate(BALL, thrown, 11)
    height = np.ptp(unbroken.trajectory.positions[..., 2], axis=1)
    assert height[1] == height.min() < 0.65 * height[0]
    return simulate(BALL, thrown, 1), unbroken.trajectory


def goes_on(state, unbroken):
    sim = simulate(BALL, state, 10, start=1)
    return stray(
        sim.trajectory,
        replace(unbroken, positions=unbroken.positions[1:], F=unbroken.F[1:], times=unbroken.times[1:]),
    )


def test_a_ball_at_its_greatest_squash_goes_on_from_a_corrected_state(squashed):
    stopped, unbroken = squashed
    assert goes_on(stopped.end, unbroken).max() == 0.0
    assert goes_on(there_and_back(BALL, stopped), unbroken).max() < STRAY_MM


def test_what_a_restart_without_deformation_would_lose(squashed):
    stopped, unbroken = squashed
    count = len(BALL.particles)
    forgetful = stopped.end.with_particles(
        F=np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3)).copy(),
        C=np.zeros((count, 3, 3), np.float32),
    )
    assert goes_on(forgetful, unbroken).max() > 100 * STRAY_MM


def test_a_body_at_rest_written_back_unchanged_stays_at_rest(pressed):
    rest = simulate(BLOCKS, BLOCKS.rest_state(), 1)
    nothing = written_back(BLOCKS, rest, np.zeros((len(BLOCKS.particles), 3)))
    assert nothing.end is rest.end
    moved_mm = []
    for state in (rest.end, there_and_back(BLOCKS, rest)):
        sim = simulate(BLOCKS, state, 6, start=1)
        moved_mm.append(1e3 * np.abs(sim.trajectory.positions - BLOCKS.particles.positions).max())
    assert max(moved_mm) < 0.05


def test_a_swinging_body_written_back_in_mid_swing_keeps_phase_and_energy():
    away = BALL.particles.positions - BALL.particles.positions.mean(0)
    swing = moving(
        BALL, BALL.particles.positions + np.float32([0, 0, 0.1]), away / RADIUS * np.array([0.5, 0.5, -1.0])
    )
    frames = 4

    def length(simulation):
        """[T] m: standard deviation of the height of its particles in every frame after the first."""
        return np.sqrt(simulation.trajectory.positions[1:, :, 2].var(1))

    unbroken = simulate(BALL, swing, frames, gravity=(0, 0, 0))
    state, lengths = swing, []
    for first in range(frames):
        sim = simulate(BALL, state, 1, start=first, gravity=(0, 0, 0))
        lengths.append(length(sim))
        state = there_and_back(BALL, sim)
        assert energy(state.particles, BALL) == pytest.approx(energy(sim.end.particles, BALL), rel=0.02)
    assert energy(state.particles, BALL) == pytest.approx(energy(unbroken.end.particles, BALL), rel=0.02)
    once, often = length(unbroken), np.concatenate(lengths)
    assert np.ptp(once) > 0.1 * once.mean()
    np.testing.assert_allclose(often, once, atol=0.02 * np.ptp(once))


@pytest.fixture(scope="module")
def pressed():
    """A thumb in clay: two frames, and the six that follow them without a stop."""
    thumb = Push("thumb", (-0.045, 0.0, 0.06), (0, 0, -1), 20.0, reach=0.03, end=2, targets=("clay",))
    return (
        thumb,
        simulate(BLOCKS, BLOCKS.rest_state(), 2, thumb),
        simulate(BLOCKS, BLOCKS.rest_state(), 6, thumb),
    )


def test_plastic_strain_survives_three_rounds(pressed):
    thumb, first, unbroken = pressed
    state = there_and_back(BLOCKS, first)
    for start in (2, 4):
        state = there_and_back(BLOCKS, simulate(BLOCKS, state, 2, thumb, start=start))
    kept, lost_nothing = state, unbroken.end
    dent_mm = 1e3 * np.abs(lost_nothing.particles.positions - BLOCKS.particles.positions)[IS_CLAY].max()
    away_mm = 1e3 * np.abs(kept.particles.positions - lost_nothing.particles.positions)[IS_CLAY].max()
    assert away_mm < 0.05 < 10.0 < dent_mm
    strains = [s.total_F[IS_CLAY].mT @ s.total_F[IS_CLAY] - np.eye(3) for s in (kept, lost_nothing)]
    np.testing.assert_allclose(strains[0], strains[1], atol=0.02 * np.abs(strains[1]).max())
    # The whole strain is many times what a clay can bear elastically: it is plastic.
    assert (
        np.abs(strains[0]).max()
        > 10 * np.abs(kept.particles.F[IS_CLAY].mT @ kept.particles.F[IS_CLAY] - np.eye(3)).max()
    )


GO_ON = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_restart import BALL, simulate
from perpetua.scene import State
folder = Path(sys.argv[2])
simulate(BALL, State.load(folder / "state.npz"), 3, start=1).end.save(folder / "end.npz")
"""


def test_a_state_from_disk_goes_on_in_a_new_process_bit_for_bit(squashed, tmp_path):
    stopped, unbroken = squashed
    stopped.end.save(tmp_path / "state.npz")
    subprocess.run(
        [sys.executable, "-c", GO_ON, str(Path(__file__).parent), str(tmp_path)], check=True, timeout=300
    )
    np.testing.assert_array_equal(State.load(tmp_path / "end.npz").particles.positions, unbroken.positions[4])
