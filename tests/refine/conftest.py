"""A round without pictures: two bodies, and simulation and render functions that leave a trace of what they were asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo, RoundContext
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, State, Trajectory
from perpetua.scene.presets import PRESETS

FRAMES, WIDTH, HEIGHT = 3, 8, 6


@pytest.fixture
def camera() -> Camera:
    return Camera(np.eye(3), np.eye(4), WIDTH, HEIGHT, "left")


@pytest.fixture
def scene(camera: Camera) -> Scene:
    nothing = Gaussians(*(torch.zeros(shape) for shape in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3))))
    none = (np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    bodies = [Body("jelly", PRESETS["jelly"], *none), Body("block", PRESETS["wood"], *none)]
    points = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    return Scene(
        nothing,
        nothing,
        Binding(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3), torch.tensor(0.01)),
        Particles.at_rest(points, np.array([0, 0, 0, 0, 1, 1], np.int32)),
        bodies,
        0.01,
        camera,
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.float32),
        np.zeros(3),
    )


@pytest.fixture
def video(camera: Camera) -> RenderedVideo:
    rgb = np.random.default_rng(1).random((FRAMES + 1, HEIGHT, WIDTH, 3)).astype(np.float32)
    return RenderedVideo(camera, rgb, rgb[..., 0], rgb[..., 1])


@pytest.fixture
def context_from() -> Callable[[Scene, State], RoundContext]:
    """A round whose matter rises by 1 m / stiffness a frame (in units of 10 kPa), and whose videos show the mean height."""

    def make(scene: Scene, start: State, index: int = 1) -> RoundContext:
        def simulate(
            world: Scene, state: State, refinement: float, progress: Progress
        ) -> tuple[Trajectory, State]:
            rate = np.float32(1e4 / world.bodies[0].material.youngs_modulus / refinement)
            rise = rate * np.arange(FRAMES + 1, dtype=np.float32)[:, None, None] * np.float32([0, 0, 1])
            positions = state.particles.positions[None] + rise
            F = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
            end = State(
                state.with_particles(positions=positions[-1]).particles,
                F[-1],
                state.rigid,
                state.time + FRAMES / 24,
            )
            return Trajectory(positions, F, state.time + np.arange(FRAMES + 1) / 24), end

        def render(trajectory: Trajectory, camera: Camera) -> RenderedVideo:
            height = trajectory.positions[..., 2].mean(1)
            rgb = np.broadcast_to(
                (height / 100)[:, None, None, None], (len(height), HEIGHT, WIDTH, 3)
            ).astype(np.float32)
            return RenderedVideo(camera, rgb, rgb[..., 0], rgb[..., 0])

        return RoundContext(scene, start, index, simulate, render)

    return make
