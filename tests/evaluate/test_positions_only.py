"""The backward pass to compare with follows its videos, and writes back what it says: positions, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from perpetua.evaluate.positions_only import _unlikeness, optimise_positions, positions_written_back
from perpetua.evaluate.worlds import Solid, ball, block, look, make_scene
from perpetua.loop.film import film
from perpetua.optimize.api import ViewTarget
from perpetua.progress import Progress
from perpetua.render import render_layers
from perpetua.render.film import compose
from perpetua.render.similarity import structural_similarity
from perpetua.scene import RigidPose, Scene, State, Trajectory
from perpetua.scene.materials import resolve
from perpetua_protocol.take import MaterialSpec

FRAMES = 3


def small_scene(preset: str) -> Scene:
    mesh = ball(0.05, (0, 0, 0.05)) if preset == "jelly" else block((0.08, 0.06, 0.06), (0, 0, 0.03))
    return make_scene([Solid("thing", resolve(MaterialSpec(preset)), mesh, (0.7, 0.4, 0.3))], 0.014, 80, 48)


def still(scene: Scene) -> Trajectory:
    positions = np.repeat(scene.particles.positions[None], FRAMES, 0)
    F = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
    return Trajectory(positions, F, np.arange(FRAMES) / 24)


def fitted(scene: Scene, passes: int):
    """(simulated, true, fitted): in truth the thing moves 4 mm a frame to the right."""
    simulated = still(scene)
    shift = np.arange(FRAMES, dtype=np.float32)[:, None, None] * np.float32([0.004, 0, 0])
    truth = Trajectory(simulated.positions + shift, simulated.F, simulated.times)
    cameras = [scene.camera, look(scene.centre, 40, 80, 48, "right")]
    targets = [ViewTarget(c, film(scene, truth, c, Progress()).rgb) for c in cameras]
    return simulated, truth, optimise_positions(scene, simulated, targets, Progress(), passes)


def errors(a: Trajectory, b: Trajectory) -> np.ndarray:
    return np.linalg.norm(a.positions - b.positions, axis=-1).mean(1)


@pytest.mark.parametrize("preset", ["jelly", "wood"])
def test_it_moves_towards_its_videos_and_counts_its_renders(preset):
    scene = small_scene(preset)
    simulated, truth, result = fitted(scene, 20)
    assert result.renders == 20 * (FRAMES - 1) * 2
    np.testing.assert_allclose(result.trajectory.positions[0], simulated.positions[0], atol=1e-7)
    before, after = errors(simulated, truth)[1:], errors(result.trajectory, truth)[1:]
    assert after[-1] < (0.9 if preset == "wood" else 0.95) * before[-1]
    camera = scene.camera
    shown = [film(scene, t, camera, Progress()).rgb for t in (simulated, truth)]
    shown.append(
        film(replace(scene, foreground=result.foreground), result.trajectory, camera, Progress()).rgb
    )
    assert np.abs(shown[2] - shown[1]).mean() < 0.8 * np.abs(shown[0] - shown[1]).mean()
    if preset == "wood":
        points = result.trajectory.positions[-1].astype(np.float64)
        rest = scene.particles.positions.astype(np.float64)
        np.testing.assert_allclose(
            np.linalg.norm(points - points[0], axis=1), np.linalg.norm(rest - rest[0], axis=1), atol=1e-5
        )


def test_the_gradient_of_the_cropped_loss_is_that_of_the_whole_picture():
    scene = small_scene("jelly")
    camera = scene.camera
    backdrop = render_layers(scene.background, camera)
    video = torch.rand(48, 80, 3, generator=torch.Generator().manual_seed(0))
    gradients = []
    for cropped in (True, False):
        opacity = scene.foreground.opacity_logits.clone().requires_grad_()
        splats = type(scene.foreground)(
            scene.foreground.means,
            scene.foreground.quats,
            scene.foreground.log_scales,
            opacity,
            scene.foreground.sh,
        )
        layer = compose(render_layers(splats, camera), backdrop)
        if cropped:
            loss = _unlikeness(layer, video)
        else:
            loss = (layer.rgb - video).abs().mean() + 1 - structural_similarity(layer.rgb, video).mean()
        loss.backward()
        gradients.append(opacity.grad)
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-3)


def test_positions_go_back_and_nothing_else():
    scene = small_scene("jelly")
    simulated = still(scene)
    moved = Trajectory(simulated.positions + np.float32([0.01, 0, 0]), simulated.F * 1.1, simulated.times)
    rng = np.random.default_rng(0)
    count = len(scene.particles)
    end = State(scene.particles, simulated.F[-1], {}, 1.0).with_particles(
        velocities=rng.normal(size=(count, 3)).astype(np.float32),
        F=rng.normal(size=(count, 3, 3)).astype(np.float32),
        C=rng.normal(size=(count, 3, 3)).astype(np.float32),
        plastic=np.full(count, 0.5, np.float32),
    )
    state = positions_written_back(end, simulated, moved, scene)
    np.testing.assert_array_equal(state.particles.positions, moved.positions[-1])
    np.testing.assert_array_equal(state.particles.velocities, end.particles.velocities)
    assert (np.eye(3) == state.particles.F).all()
    assert not state.particles.C.any()
    assert (state.particles.plastic == 1).all()
    assert state.time == 1.0


def test_a_rigid_body_goes_back_by_its_pose():
    scene = small_scene("wood")
    simulated = still(scene)
    moved = Trajectory(simulated.positions + np.float32([0.01, 0.02, 0]), simulated.F, simulated.times)
    pose = RigidPose(np.zeros(3), np.array([1.0, 0, 0, 0]), np.array([0.3, 0, 0]), np.array([0, 0, 1.0]))
    end = State(scene.particles, simulated.F[-1], {0: pose}, 1.0)
    state = positions_written_back(end, simulated, moved, scene)
    np.testing.assert_allclose(state.rigid[0].position, [0.01, 0.02, 0], atol=1e-6)
    np.testing.assert_allclose(state.rigid[0].quaternion, [1, 0, 0, 0], atol=1e-5)
    np.testing.assert_array_equal(state.rigid[0].velocity, pose.velocity)
    np.testing.assert_array_equal(state.rigid[0].angular_velocity, pose.angular_velocity)


def test_soft_matter_that_was_moved_into_the_table_is_lifted_out_of_it():
    scene = small_scene("jelly")
    simulated, down = still(scene), sunk(scene)
    end = State(scene.particles, simulated.F[-1], {}, 1.0)
    found = positions_written_back(end, simulated, down, scene).particles.positions
    np.testing.assert_array_equal(found, np.maximum(down.positions[-1], [-9, -9, 0]))


def test_a_rigid_body_that_was_moved_into_the_table_is_lifted_out_as_a_whole_and_by_its_surface():
    scene = small_scene("wood")
    simulated, down = still(scene), sunk(scene)
    pose = RigidPose(np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))
    end = State(scene.particles, simulated.F[-1], {0: pose}, 1.0)
    state = positions_written_back(end, simulated, down, scene)
    np.testing.assert_allclose(state.particles.positions, scene.particles.positions, atol=1e-6)
    np.testing.assert_allclose(state.rigid[0].position, 0, atol=1e-5)


def sunk(scene: Scene) -> Trajectory:
    """The scene's thing, 2 cm deep in the table."""
    simulated = still(scene)
    return Trajectory(simulated.positions - np.float32([0, 0, 0.02]), simulated.F, simulated.times)
