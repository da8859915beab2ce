"""A round with a small video for a refiner that needs one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from perpetua.refine.api import RenderedVideo, RoundContext
from perpetua.refine.diffusion import loading
from perpetua.scene import Camera, Scene

FRAMES, HEIGHT, WIDTH = 7, 12, 20
"""Of the video; a length that no model counts in, and too small to be recognised, as random models make no pictures."""


@pytest.fixture(autouse=True)
def nothing_held() -> object:
    yield
    loading.let_go()


@pytest.fixture
def camera() -> Camera:
    return Camera(np.eye(3), np.eye(4), WIDTH, HEIGHT, "front", "front")


@pytest.fixture
def video(camera: Camera) -> RenderedVideo:
    """A bright block that moves one pixel to the right a frame over noise."""
    rng = np.random.default_rng(1)
    rgb = np.tile(rng.random((1, HEIGHT, WIDTH, 3)).astype(np.float32) * 0.5, (FRAMES, 1, 1, 1))
    alpha = np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
    flow = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    for frame in range(FRAMES):
        block = np.s_[frame, 3:9, 4 + frame : 11 + frame]
        rgb[block], alpha[block] = (0.9, 0.6, 0.2), 1
        if frame < FRAMES - 1:
            flow[block] = (1, 0)
    return RenderedVideo(camera, rgb, alpha, 3 - alpha, flow, alpha[..., None], "key")


@pytest.fixture
def context(scene: Scene, camera: Camera, context_from: Callable[..., RoundContext]) -> RoundContext:
    pictured = replace(scene, camera=camera, picture=np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    return context_from(pictured, pictured.rest_state())
