"""States, trajectories and scenes: what is written is what is read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from perpetua.errors import CacheError
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, RigidPose, Scene, State, Trajectory
from perpetua.scene.presets import PRESETS


def some_state() -> State:
    random = np.random.default_rng(0)
    arrays = {
        "positions": (7, 3), "velocities": (7, 3), "F": (7, 3, 3), "C": (7, 3, 3), "plastic": (7,)
    }  # fmt: skip
    particles = Particles(
        **{name: random.normal(size=shape).astype(np.float32) for name, shape in arrays.items()},
        body=np.array([0, 0, 0, 1, 1, 10, 10], np.int32),
    )
    poses = {
        index: RigidPose(
            random.normal(size=3), random.normal(size=4), random.normal(size=3), random.normal(size=3)
        )
        for index in (1, 10)
    }
    return State(
        particles, random.normal(size=(7, 3, 3)).astype(np.float32), poses, 1.25, {"air": np.arange(3.0)}
    )


def test_a_state_is_the_same_after_a_file(tmp_path: Path) -> None:
    state = some_state()
    state.save(tmp_path / "state.npz")
    back = State.load(tmp_path / "state.npz")
    for f in fields(Particles):
        ours, theirs = getattr(state.particles, f.name), getattr(back.particles, f.name)
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    assert back.total_F.tobytes() == state.total_F.tobytes()
    assert back.time == 1.25
    np.testing.assert_array_equal(back.memory["air"], [0, 1, 2])
    assert set(back.rigid) == {1, 10}
    for index, pose in state.rigid.items():
        for f in fields(RigidPose):
            np.testing.assert_array_equal(getattr(back.rigid[index], f.name), getattr(pose, f.name))


def test_with_particles_changes_only_what_is_named() -> None:
    state = some_state()
    still = state.with_particles(velocities=np.zeros((7, 3), np.float32))
    assert not still.particles.velocities.any()
    assert still.particles.F is state.particles.F
    assert still.rigid is state.rigid
    assert state.particles.velocities.any()


def test_a_trajectory_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        Trajectory(np.zeros((3, 5, 3), np.float32), np.zeros((2, 5, 3, 3), np.float32), np.zeros(3))


@pytest.fixture
def scene() -> Scene:
    def splats(count: int) -> Gaussians:
        ones = torch.ones(count, 3)
        return Gaussians.from_colors(ones, torch.ones(count, 4), ones, ones[:, 0] * 0.5, ones * 0.5)

    positions = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    bodies = [
        Body("clay", PRESETS["clay"], np.eye(4, 3), tetrahedron),
        Body("cup", PRESETS["porcelain"], np.eye(4, 3), tetrahedron, resting=False),
    ]
    return Scene(
        splats(3),
        splats(2),
        Binding(torch.tensor([0, 3]), torch.zeros(2, 3), torch.tensor(0.01)),
        Particles.at_rest(positions, np.array([0, 0, 1, 1], np.int32)),
        bodies,
        0.01,
        Camera(np.eye(3), np.eye(4), 4, 2),
        np.zeros((2, 4, 3), np.uint8),
        np.ones((2, 4), np.float32),
        np.array([0.0, 0, 0.1]),
    )


def test_the_rest_state_is_at_rest(scene: Scene) -> None:
    state = scene.rest_state()
    assert not state.particles.velocities.any()
    np.testing.assert_array_equal(state.total_F, np.broadcast_to(np.eye(3), (4, 3, 3)))
    assert set(state.rigid) == {1}  # the porcelain
    np.testing.assert_array_equal(state.rigid[1].quaternion, [1, 0, 0, 0])
    assert state.time == 0


def test_a_scene_is_the_same_after_a_folder(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path)
    back = Scene.load(tmp_path)
    for ours, theirs in (
        (scene.background, back.background),
        (scene.foreground, back.foreground),
        (scene.binding, back.binding),
    ):
        for f in fields(ours):
            torch.testing.assert_close(getattr(theirs, f.name), getattr(ours, f.name), rtol=0, atol=0)
    for f in fields(Particles):
        np.testing.assert_array_equal(getattr(back.particles, f.name), getattr(scene.particles, f.name))
    assert [(b.name, b.material, b.resting) for b in back.bodies] == [
        (b.name, b.material, b.resting) for b in scene.bodies
    ]
    np.testing.assert_array_equal(back.bodies[1].faces, scene.bodies[1].faces)
    np.testing.assert_array_equal(back.matte, scene.matte)
    assert (back.spacing, back.camera.width, back.camera.height) == (0.01, 4, 2)


def test_a_scene_with_a_part_missing_is_refused(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path)
    (tmp_path / "foreground.means.npy").unlink()
    with pytest.raises(CacheError, match=r"foreground\.means\.npy"):
        Scene.load(tmp_path)
