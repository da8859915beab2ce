"""The corrected state: nearer to the truth in positions, velocities and deformation, and untouched where nothing was corrected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.knots import knot_frames
from perpetua.optimize.rigid import PoseCorrection, rigid_fit
from perpetua.optimize.write_back import write_back
from perpetua.scene import RigidPose, Scene, State, Trajectory

FRAMES, FPS = 12, 24.0


def end_of(scene: Scene, trajectory: Trajectory) -> State:
    """A simulator's end state: it slides, is a little squeezed, and has C and plastic memory of its own."""
    count = len(scene.particles)
    speed = (trajectory.positions[-1] - trajectory.positions[-2]) * np.float32(FPS)
    random = np.random.default_rng(0)
    F = np.eye(3, dtype=np.float32) + 0.05 * random.normal(size=(count, 3, 3)).astype(np.float32)
    particles = replace(
        scene.particles,
        positions=trajectory.positions[-1].copy(),
        velocities=speed,
        F=F,
        C=random.normal(size=(count, 3, 3)).astype(np.float32),
        plastic=random.uniform(0.9, 1.1, count).astype(np.float32),
    )
    rigid = {i: RigidPose.at_rest() for i, body in enumerate(scene.bodies) if body.material.is_rigid}
    return State(particles, trajectory.F[-1].copy(), rigid, float(trajectory.times[-1]))


def affine_correction(scene: Scene, trajectory: Trajectory, A: np.ndarray, shift: np.ndarray) -> Correction:
    """u = (t / T)^2 (A (x - centre) + shift), with x where the simulator has the particles."""
    knots = knot_frames(FRAMES)
    u = np.stack(
        [
            (k / FRAMES) ** 2 * ((p - p.mean(0)) @ A.T + shift)
            for k, p in ((k, trajectory.positions[round(float(k))].astype(np.float64)) for k in knots)
        ]
    )
    return Correction(knots, u.astype(np.float32), scene.foreground.sh.numpy())


def test_zero_correction_returns_the_state_itself(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("jelly")
    trajectory = slide(scene, FRAMES)
    end = end_of(scene, trajectory)
    nothing = affine_correction(scene, trajectory, np.zeros((3, 3)), np.zeros(3))
    corrected, _ = apply_correction(scene, trajectory, nothing)
    assert write_back(end, trajectory, corrected, nothing, scene, FPS) is end


def test_an_affine_correction_is_exact(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("jelly")
    trajectory = slide(scene, FRAMES)
    end = end_of(scene, trajectory)
    A = np.array([[0.05, 0.1, 0.0], [-0.02, 0.08, 0.03], [0.0, 0.04, -0.1]])
    correction = affine_correction(scene, trajectory, A, np.array([0.01, -0.005, 0.02]))
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end, trajectory, corrected, correction, scene, FPS)

    stretch = np.eye(3) + A
    np.testing.assert_allclose(state.particles.F, stretch @ end.particles.F, atol=1e-4)
    np.testing.assert_allclose(state.total_F, stretch @ end.total_F, atol=1e-4)
    np.testing.assert_allclose(state.total_F, corrected.F[-1])
    u = correction.displacement[-1]
    np.testing.assert_allclose(state.particles.positions, end.particles.positions + u, atol=1e-6)
    rate = 2 / FRAMES * FPS  # of (t / T)^2 at its end
    np.testing.assert_allclose(state.particles.velocities, end.particles.velocities + rate * u, atol=1e-4)
    # Velocities were corrected at places that were corrected too: w = rate A (x - c) with x = (I + A)^-1 (x' - c').
    np.testing.assert_allclose(
        state.particles.C - end.particles.C,
        np.broadcast_to(rate * A @ np.linalg.inv(stretch), state.particles.C.shape),
        atol=2e-3,
    )
    assert state.particles.plastic is end.particles.plastic
    assert state.time == end.time


@pytest.mark.parametrize("preset", ["clay", "sand", "snow"])
def test_what_yields_takes_a_correction_plastically(
    preset: str, make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene(preset)
    trajectory = slide(scene, FRAMES)
    end = end_of(scene, trajectory)
    turn = Rotation.from_rotvec([0.1, -0.05, 0.2]).as_matrix()
    squash = np.diag([1.1, 1.05, 0.8])
    correction = affine_correction(scene, trajectory, turn @ squash - np.eye(3), np.zeros(3))
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end, trajectory, corrected, correction, scene, FPS)
    np.testing.assert_allclose(state.particles.F, turn @ end.particles.F, atol=1e-4)
    np.testing.assert_allclose(state.total_F, turn @ squash @ end.total_F, atol=1e-4)


def test_velocity_is_that_of_the_corrected_motion(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("clay")
    trajectory = slide(scene, FRAMES)
    correction = affine_correction(scene, trajectory, 0.1 * np.eye(3), np.array([0.0, 0.02, 0.01]))
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end_of(scene, trajectory), trajectory, corrected, correction, scene, FPS)
    # Quadratic extrapolation of the corrected frames, a frame past the end.
    x = corrected.positions[-3:].astype(np.float64)
    seen = (1.5 * x[2] - 2 * x[1] + 0.5 * x[0]) * FPS
    np.testing.assert_allclose(state.particles.velocities, seen, atol=2e-3)


def test_a_liquid_keeps_its_volume_memory(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("water")
    trajectory = slide(scene, FRAMES)
    end = end_of(scene, trajectory)
    correction = affine_correction(scene, trajectory, 0.1 * np.eye(3), np.zeros(3))
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end, trajectory, corrected, correction, scene, FPS)
    assert state.particles.F.tobytes() == end.particles.F.tobytes()


@pytest.mark.parametrize("preset", ["jelly", "wood"])
def test_nothing_goes_below_the_plane(
    preset: str, make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene(preset)
    trajectory = slide(scene, FRAMES)
    correction = affine_correction(scene, trajectory, np.zeros((3, 3)), np.array([0.0, 0.0, -0.03]))
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end_of(scene, trajectory), trajectory, corrected, correction, scene, FPS)
    assert corrected.positions[..., 2].min() >= -1e-7
    assert state.particles.positions[:, 2].min() >= -1e-7
    assert trajectory.positions[-1, :, 2].min() - 0.03 < 0  # it would have


def test_a_wild_displacement_is_no_wild_deformation(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("jelly")
    trajectory = slide(scene, FRAMES)
    correction = affine_correction(scene, trajectory, np.diag([-2.0, 3.0, 0.0]), np.array([0, 0, 0.2]))
    corrected, _ = apply_correction(scene, trajectory, correction)
    stretches = np.linalg.svd(corrected.F[-1].astype(np.float64), compute_uv=False)
    assert stretches.min() > 0.49
    assert stretches.max() < 2.01
    assert (np.linalg.det(corrected.F[-1].astype(np.float64)) > 0).all()


def test_rigid_pose_and_twist(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("wood")
    trajectory = slide(scene, FRAMES)
    end = end_of(scene, trajectory)
    velocity = np.array([0.03 * FPS / FRAMES, 0.0, 0.0])
    end = replace(end, rigid={0: replace(end.rigid[0], position=np.array([0.03, 0, 0]), velocity=velocity)})
    knots, axis = knot_frames(FRAMES), np.array([0.2, -0.3, 0.4])
    u = []
    for k in knots:
        p = trajectory.positions[round(float(k))].astype(np.float64)
        a = (k / FRAMES) ** 2
        u.append(
            (p - p.mean(0)) @ (Rotation.from_rotvec(axis * a).as_matrix() - np.eye(3)).T + [0, 0.01 * a, 0]
        )
    correction = Correction(knots, np.float32(u), scene.foreground.sh.numpy())
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end, trajectory, corrected, correction, scene, FPS)
    pose, rate = state.rigid[0], 2 / FRAMES * FPS
    np.testing.assert_allclose(pose.position, [0.03, 0.01, 0], atol=1e-6)
    np.testing.assert_allclose(
        Rotation.from_quat(pose.quaternion, scalar_first=True).as_rotvec(), axis, atol=1e-5
    )
    np.testing.assert_allclose(pose.velocity, velocity + np.array([0, 0.01 * rate, 0]), atol=1e-4)
    np.testing.assert_allclose(pose.angular_velocity, axis * rate, atol=1e-3)
    # Particles ride on the pose.
    rest = scene.particles.positions.astype(np.float64)
    turned = (rest - rest.mean(0)) @ Rotation.from_rotvec(axis).as_matrix().T + rest.mean(0) + pose.position
    np.testing.assert_allclose(state.particles.positions, turned, atol=1e-5)
    arm = turned - turned.mean(0)
    np.testing.assert_allclose(
        state.particles.velocities, pose.velocity + np.cross(pose.angular_velocity, arm), atol=1e-5
    )


def test_a_spinning_body_stays_rigid_between_knots(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("wood")
    slid = slide(scene, FRAMES)
    positions, F = slid.positions.astype(np.float64), slid.F.copy()
    for t in range(FRAMES + 1):
        F[t] = Rotation.from_rotvec([0, 0, 0.4 * t]).as_matrix()
        centre = positions[t].mean(0)
        positions[t] = (positions[t] - centre) @ F[t, 0].T + centre
    spinning = Trajectory(positions.astype(np.float32), F, slid.times)
    turn = Rotation.from_rotvec([0.2, 0.0, 0.1]).as_matrix() - np.eye(3)
    correction = affine_correction(scene, spinning, np.zeros((3, 3)), np.zeros(3))
    u = np.stack(
        [
            (k / FRAMES) * (spinning.positions[round(float(k))] - [0, 0, 0.055]) @ turn.T
            for k in correction.knots
        ]
    )
    corrected, _ = apply_correction(scene, spinning, replace(correction, displacement=u.astype(np.float32)))
    rest = scene.particles.positions[:50].astype(np.float64)
    apart = np.linalg.norm(rest[:, None] - rest[None], axis=-1)
    for frame in corrected.positions[:, :50].astype(np.float64):
        np.testing.assert_allclose(np.linalg.norm(frame[:, None] - frame[None], axis=-1), apart, atol=2e-6)


def test_rigid_fit_recovers_a_motion_and_refuses_mirrors() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3))
    turn = Rotation.from_rotvec([0.5, -1.0, 0.3])
    found, shift = rigid_fit(points, turn.apply(points - points.mean(0)) + points.mean(0) + [1, 2, 3])
    np.testing.assert_allclose(found, turn.as_rotvec(), atol=1e-9)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-9)
    mirrored, _ = rigid_fit(points, points * [-1, 1, 1])
    assert np.isfinite(mirrored).all()
    alone, moved = rigid_fit(points[:1], points[:1] + 1.0)
    assert not alone.any()
    np.testing.assert_allclose(moved, 1.0)


def test_pose_rates_are_derivatives() -> None:
    knots = knot_frames(FRAMES)
    pose = PoseCorrection(
        knots, np.outer((knots / FRAMES) ** 2, [0.0, 0.0, 0.6]), np.outer(knots**2, [0.0, 0.001, 0.0])
    )
    spin, velocity = pose.end_rates()
    np.testing.assert_allclose(spin, [0, 0, 1.2 / FRAMES], atol=1e-6)
    np.testing.assert_allclose(velocity, [0, 0.002 * FRAMES, 0], atol=1e-6)


def test_corrected_colours_are_the_foreground_s(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene("jelly")
    trajectory = slide(scene, FRAMES)
    correction = affine_correction(scene, trajectory, np.zeros((3, 3)), np.zeros(3))
    _, dressed = apply_correction(scene, trajectory, replace(correction, sh=correction.sh + np.float32(0.1)))
    torch.testing.assert_close(dressed.foreground.sh, scene.foreground.sh + 0.1)
    assert dressed.foreground.means is scene.foreground.means
    assert dressed.binding is scene.binding


def test_correction_is_the_same_after_a_file(
    tmp_path: object, make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    from pathlib import Path

    scene = make_scene("jelly")
    correction = affine_correction(scene, slide(scene, FRAMES), 0.1 * np.eye(3), np.zeros(3))
    path = Path(str(tmp_path)) / "correction.npz"
    replace(correction, loss=0.25, renders=7).save(path)
    back = Correction.load(path)
    assert back.displacement.tobytes() == correction.displacement.tobytes()
    assert back.knots.tobytes() == correction.knots.tobytes()
    assert (back.loss, back.renders) == (0.25, 7)
