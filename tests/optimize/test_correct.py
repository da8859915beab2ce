"""The backward pass on a ball whose true motion is known: it moves towards the truth, and stays where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perpetua.errors import Cancelled, RefinerError
from perpetua.optimize.api import Correction, ViewTarget
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.correct import optimise
from perpetua.optimize.knots import slope_weights
from perpetua.progress import Progress
from perpetua.scene import Binding, Camera, Gaussians, Particles, Scene, Trajectory

FRAMES, RENDERS = 12, 150
Film = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def jelly(make_scene: Callable[[str], Scene]) -> Scene:
    return make_scene("jelly")


def squashed(simulated: Trajectory) -> Trajectory:
    """The truth: the ball also shifts by 14 mm (5 pixels), flattens by 15% and leans, all as the square of time."""
    positions, F = simulated.positions.astype(np.float64), simulated.F.astype(np.float64)
    for t in range(simulated.frames):
        amount = (t / (simulated.frames - 1)) ** 2
        M = np.diag([1 + 0.08 * amount, 1 + 0.07 * amount, 1 - 0.15 * amount])
        M[0, 2] = 0.1 * amount
        base = positions[t].mean(0) * [1, 1, 0]
        positions[t] = (positions[t] - base) @ M.T + base + np.array([0.012, 0.008, 0.0]) * amount
        F[t] = M @ F[t]
    return Trajectory(positions.astype(np.float32), F.astype(np.float32), simulated.times)


def error(a: Trajectory, b: Trajectory) -> float:
    return float(np.linalg.norm(a.positions - b.positions, axis=-1).mean())


@pytest.fixture(scope="module")
def solved(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> tuple[Trajectory, Trajectory, Correction]:
    """(simulated, true, correction) with three views."""
    simulated = slide(jelly, FRAMES)
    truth = squashed(simulated)
    targets = [ViewTarget(camera, film(jelly, truth, camera)) for camera in cameras]
    return simulated, truth, optimise(jelly, simulated, targets, None, RENDERS, 0, Progress())


def test_particles_move_to_the_truth(jelly: Scene, solved: tuple[Trajectory, Trajectory, Correction]) -> None:
    simulated, truth, correction = solved
    corrected, _ = apply_correction(jelly, simulated, correction)
    assert error(corrected, truth) < 0.2 * error(simulated, truth)
    last = np.linalg.norm(corrected.positions[-1] - truth.positions[-1], axis=1)
    assert last.mean() < 0.0035  # about one pixel, from eight
    assert np.abs(corrected.F[-1] - truth.F[-1]).mean() < 0.7 * np.abs(simulated.F[-1] - truth.F[-1]).mean()
    assert correction.renders <= RENDERS + 9


def test_velocity_at_the_end_moves_to_the_truth(solved: tuple[Trajectory, Trajectory, Correction]) -> None:
    simulated, truth, correction = solved
    wanted = (
        (truth.positions[-1] - simulated.positions[-1]) * 2 / FRAMES
    )  # of a displacement that grows as t^2
    got = np.einsum(
        "q,qpi->pi", slope_weights(correction.knots, np.array([FRAMES]))[0], correction.displacement
    )
    assert np.linalg.norm(got - wanted, axis=1).mean() < 0.3 * np.linalg.norm(wanted, axis=1).mean()


def test_starts_at_zero_and_is_the_same_twice(
    jelly: Scene,
    solved: tuple[Trajectory, Trajectory, Correction],
    cameras: list[Camera],
    film: Film,
) -> None:
    simulated, truth, correction = solved
    assert not correction.displacement[0].any()
    target = ViewTarget(cameras[0], film(jelly, truth, cameras[0]))
    first, second = (optimise(jelly, simulated, [target], None, 12, 7, Progress()) for _ in range(2))
    assert first.displacement.tobytes() == second.displacement.tobytes()
    assert first.sh.tobytes() == second.sh.tobytes()


def test_side_views_go_on_from_the_front(
    jelly: Scene, solved: tuple[Trajectory, Trajectory, Correction], cameras: list[Camera], film: Film
) -> None:
    simulated, truth, _ = solved
    targets = [ViewTarget(camera, film(jelly, truth, camera)) for camera in cameras]
    front = optimise(jelly, simulated, targets[:1], None, 60, 0, Progress())
    both = optimise(jelly, simulated, targets, front, 90, 0, Progress())
    after_front, _ = apply_correction(jelly, simulated, front)
    after_both, _ = apply_correction(jelly, simulated, both)
    assert error(after_front, truth) < 0.6 * error(simulated, truth)
    assert error(after_both, truth) < min(0.6 * error(after_front, truth), 0.25 * error(simulated, truth))


def test_no_renders_left_keeps_the_start(
    jelly: Scene, solved: tuple[Trajectory, Trajectory, Correction], cameras: list[Camera], film: Film
) -> None:
    simulated, truth, start = solved
    target = ViewTarget(cameras[0], film(jelly, truth, cameras[0]))
    again = optimise(jelly, simulated, [target], start, 0, 0, Progress())
    assert again.displacement.tobytes() == start.displacement.tobytes()


def test_identity_changes_nothing(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    simulated = slide(jelly, FRAMES)
    targets = [ViewTarget(camera, film(jelly, simulated, camera)) for camera in cameras]
    correction = optimise(jelly, simulated, targets, None, RENDERS, 0, Progress())
    assert correction.moves_nothing
    assert correction.renders <= 9
    assert correction.sh.tobytes() == jelly.foreground.sh.numpy().tobytes()
    corrected, dressed = apply_correction(jelly, simulated, correction)
    assert corrected is simulated
    assert dressed.foreground.sh.numpy().tobytes() == jelly.foreground.sh.numpy().tobytes()


def test_identity_survives_eight_bits_and_keeps_the_start(
    jelly: Scene, solved: tuple[Trajectory, Trajectory, Correction], cameras: list[Camera], film: Film
) -> None:
    simulated, _, start = solved
    corrected, _ = apply_correction(jelly, simulated, start)
    video = film(jelly, corrected, cameras[1], start.sh)
    target = ViewTarget(cameras[1], np.round(video * 255).astype(np.float32) / 255)
    again = optimise(jelly, simulated, [target], start, RENDERS, 0, Progress())
    assert again.displacement.tobytes() == start.displacement.tobytes()
    assert again.sh.tobytes() == start.sh.tobytes()


def test_colours_move_to_the_truth(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    simulated = slide(jelly, FRAMES)
    patches = np.sin(40 * jelly.foreground.means.numpy()).prod(1)[
        :, None, None
    ]  # another light, and spots of dirt
    true_sh = jelly.foreground.sh.numpy() + np.float32([0.3, -0.1, -0.3]) + 0.3 * patches.astype(np.float32)
    targets = [ViewTarget(camera, film(jelly, simulated, camera, true_sh)) for camera in cameras]
    correction = optimise(jelly, simulated, targets, None, RENDERS, 0, Progress())
    seen = jelly.foreground.means.numpy()[:, 1] < 0  # the cameras' side
    before = np.abs(jelly.foreground.sh.numpy() - true_sh)
    after = np.abs(correction.sh - true_sh)
    assert after[seen].mean() < 0.4 * before[seen].mean()
    assert after[~seen].mean() < 0.6 * before[~seen].mean()  # the light is the same behind
    moved, _ = apply_correction(jelly, simulated, correction)
    assert error(moved, simulated) < 0.0015  # half a pixel


def test_another_white_balance_is_not_motion(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    simulated = slide(jelly, FRAMES)
    targets = [
        ViewTarget(camera, film(jelly, simulated, camera) * np.float32([0.9, 0.95, 0.85]) + np.float32(0.03))
        for camera in cameras
    ]
    correction = optimise(jelly, simulated, targets, None, 60, 0, Progress())
    moved, dressed = apply_correction(jelly, simulated, correction)
    assert error(moved, simulated) < 2e-4
    assert float((dressed.foreground.sh - jelly.foreground.sh).abs().mean()) < 0.01


def test_a_rigid_body_makes_one_motion(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    cameras: list[Camera],
    film: Film,
) -> None:
    wood = make_scene("wood")
    simulated = slide(wood, FRAMES)
    positions, F = simulated.positions.astype(np.float64), simulated.F.copy()
    for t in range(FRAMES + 1):
        amount = (t / FRAMES) ** 2
        turn = Rotation.from_rotvec([0.1 * amount, 0.3 * amount, 0.2 * amount]).as_matrix()
        centre = positions[t].mean(0)
        positions[t] = (positions[t] - centre) @ turn.T + centre + np.array([0.01, 0.0, 0.008]) * amount
        F[t] = turn
    truth = Trajectory(positions.astype(np.float32), F, simulated.times)
    targets = [ViewTarget(camera, film(wood, truth, camera)) for camera in cameras]
    correction = optimise(wood, simulated, targets, None, RENDERS, 0, Progress())
    corrected, _ = apply_correction(wood, simulated, correction)
    assert error(corrected, truth) < 0.3 * error(simulated, truth)
    rest = wood.particles.positions.astype(np.float64)
    apart = np.linalg.norm(rest[:60, None] - rest[None, :60], axis=-1)
    for frame in range(FRAMES + 1):
        now = corrected.positions[frame, :60].astype(np.float64)
        np.testing.assert_allclose(np.linalg.norm(now[:, None] - now[None], axis=-1), apart, atol=1e-6)
        R = corrected.F[frame].astype(np.float64)
        np.testing.assert_allclose(R @ R.mT, np.broadcast_to(np.eye(3), R.shape), atol=1e-5)
        np.testing.assert_allclose(R, np.broadcast_to(R[0], R.shape), atol=1e-6)


def test_a_video_of_another_size_is_refused(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    simulated = slide(jelly, 4)
    video = film(jelly, simulated, cameras[2])
    with pytest.raises(RefinerError, match="'right'"):
        optimise(jelly, simulated, [ViewTarget(cameras[2], video[:-1])], None, 5, 0, Progress())
    broken = video.copy()
    broken[1, 3, 3] = np.nan
    with pytest.raises(RefinerError, match="not numbers"):
        optimise(jelly, simulated, [ViewTarget(cameras[2], broken)], None, 5, 0, Progress())


def test_can_be_cancelled(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    simulated = slide(jelly, 4)
    target = ViewTarget(cameras[0], 1 - film(jelly, simulated, cameras[0]))
    stopping = replace(Progress(), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        optimise(jelly, simulated, [target], None, 5, 0, stopping)


def test_soft_rigid_and_lone_particles_together(
    make_scene: Callable[[str], Scene], cameras: list[Camera], film: Film
) -> None:
    """Bodies of every kind at once, one of a single particle: each moves in its own way, all stay finite."""
    jelly, wood = make_scene("jelly"), make_scene("wood")
    shift = np.float32([0.11, 0.0, 0.0])
    count = len(jelly.particles)
    positions = np.concatenate(
        [jelly.particles.positions, jelly.particles.positions + shift, [[0.0, 0.1, 0.01]]]
    )
    body = np.repeat(np.int32([0, 1, 2]), [count, count, 1])
    beside = replace(jelly.foreground, means=jelly.foreground.means + torch.from_numpy(shift))
    both = replace(
        jelly,
        foreground=Gaussians.cat([jelly.foreground, beside]),
        binding=Binding(
            torch.cat([jelly.binding.particle, jelly.binding.particle + count]),
            torch.cat([jelly.binding.offsets, jelly.binding.offsets]),
            jelly.binding.delta,
        ),
        particles=Particles.at_rest(positions, body),
        bodies=[jelly.bodies[0], wood.bodies[0], replace(jelly.bodies[0], name="crumb")],
    )
    frames = 5
    still = Trajectory(
        np.repeat(both.particles.positions[None], frames, 0),
        np.broadcast_to(np.eye(3, dtype=np.float32), (frames, len(positions), 3, 3)).copy(),
        np.arange(frames) / 24,
    )
    amount = (np.arange(frames) / (frames - 1)) ** 2
    lift = np.float32(amount)[:, None, None] * np.float32([0.0, 0.0, 0.012])
    truth = replace(still, positions=still.positions + lift)
    targets = [ViewTarget(camera, film(both, truth, camera)) for camera in cameras]
    correction = optimise(both, still, targets, None, 80, 0, Progress())
    corrected, _ = apply_correction(both, still, correction)
    assert np.isfinite(corrected.positions).all()
    assert np.isfinite(corrected.F).all()
    for index in (0, 1):
        off = np.linalg.norm((corrected.positions - truth.positions)[-1, body == index], axis=1).mean()
        assert off < 0.4 * 0.012
    wooden = corrected.F[-1, body == 1].astype(np.float64)
    np.testing.assert_allclose(wooden, np.broadcast_to(wooden[0], wooden.shape), atol=1e-6)


def test_a_known_mask_counts(
    jelly: Scene, slide: Callable[[Scene, int], Trajectory], cameras: list[Camera], film: Film
) -> None:
    """Where the colours say that nothing moved and the mask says that it did, the mask pulls too."""
    simulated = slide(jelly, 6)
    lift = np.linspace(0, 1, 7, dtype=np.float32)[:, None, None] ** 2 * np.float32([0, 0, 0.01])
    truth = replace(simulated, positions=simulated.positions + lift)
    white, black = (
        np.ones_like(jelly.foreground.sh.numpy()) * 1.77,
        np.ones_like(jelly.foreground.sh.numpy()) * -1.77,
    )
    targets = []
    for camera in cameras:
        high, low = film(jelly, truth, camera, white), film(jelly, truth, camera, black)
        alpha = (high - low).mean(-1) / (high - low).mean(-1).max()
        targets.append(ViewTarget(camera, film(jelly, simulated, camera), alpha=alpha))
    without = [replace(target, alpha=None) for target in targets]
    assert optimise(jelly, simulated, without, None, 60, 0, Progress()).moves_nothing
    tinted = [replace(target, video=target.video * np.float32(0.97)) for target in targets]
    moved, _ = apply_correction(jelly, simulated, optimise(jelly, simulated, tinted, None, 90, 0, Progress()))
    assert error(moved, truth) < error(simulated, truth)
