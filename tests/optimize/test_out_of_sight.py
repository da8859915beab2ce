"""Cameras that the objects are not in, for a while or at all: there is nothing to compare there but noise, and nobody is misled by it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.correct import nothing, optimise
from perpetua.optimize.trust import Trust
from perpetua.optimize.views import View
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory

FRAMES = 6


def aside(camera: Camera, pixels: float) -> Camera:
    """The same camera with its picture cut ``pixels`` farther to the left."""
    K = camera.K.copy()
    K[0, 2] += pixels
    return Camera(K, camera.world_to_camera, camera.width, camera.height, "aside", "side")


@pytest.fixture(scope="module")
def jelly(make_scene: Callable[[str], Scene]) -> Scene:
    return make_scene("jelly")


@pytest.fixture(scope="module")
def simulated(jelly: Scene, slide: Callable[[Scene, int], Trajectory]) -> Trajectory:
    return slide(jelly, FRAMES)


@pytest.fixture(scope="module")
def noisy(
    jelly: Scene, simulated: Trajectory, film: Callable[..., np.ndarray]
) -> Callable[[Camera], ViewTarget]:
    """What a camera sees of a ball that slides a little farther, with noise."""
    share = np.linspace(0, 1, FRAMES + 1)[:, None, None] ** 2
    away = (0.01 * share * [1.0, 0.0, 0.0]).astype(np.float32)
    truth = Trajectory(simulated.positions + away, simulated.F, simulated.times)

    def make(camera: Camera) -> ViewTarget:
        video = film(jelly, truth, camera)
        noise = np.random.default_rng(len(camera.name)).normal(0, 0.02, video.shape)
        return ViewTarget(camera, (video + noise).clip(0, 1).astype(np.float32))

    return make


def test_a_view_that_sees_no_object_says_nothing(
    jelly: Scene,
    simulated: Trajectory,
    noisy: Callable[[Camera], ViewTarget],
    cameras: list[Camera],
    quiet: Progress,
) -> None:
    seeing = [noisy(camera) for camera in cameras[:2]]
    blind = noisy(aside(cameras[2], -400))
    alone = optimise(jelly, simulated, seeing, None, 20, 0, quiet)
    beside = optimise(jelly, simulated, [seeing[0], blind, seeing[1]], None, 20, 0, quiet)
    assert alone.displacement.any()
    np.testing.assert_array_equal(alone.displacement, beside.displacement)
    np.testing.assert_array_equal(alone.sh, beside.sh)
    assert alone.loss == beside.loss
    np.testing.assert_array_equal(beside.trust[[0, 2]], alone.trust)
    assert (beside.trust[1] == 0).all()


def test_where_no_view_sees_an_object_nothing_is_corrected(
    jelly: Scene,
    simulated: Trajectory,
    noisy: Callable[[Camera], ViewTarget],
    cameras: list[Camera],
    quiet: Progress,
) -> None:
    blind = noisy(aside(cameras[0], 400))
    start = nothing(jelly, simulated, Settings())
    found = optimise(jelly, simulated, [blind], None, 20, 0, quiet)
    assert found.moves_nothing
    np.testing.assert_array_equal(found.sh, start.sh)


def test_an_object_that_leaves_the_picture_is_seen_until_then(
    jelly: Scene,
    simulated: Trajectory,
    noisy: Callable[[Camera], ViewTarget],
    cameras: list[Camera],
) -> None:
    shift = np.linspace(0, 0.5, FRAMES + 1, dtype=np.float32)[:, None, None] * np.float32([1, 0, 0])
    leaving = Trajectory(simulated.positions + shift, simulated.F, simulated.times)
    target = noisy(cameras[0])
    shows = View.of(jelly, leaving, target).shows
    assert shows.all(), "the video still shows it where the simulator has it gone"
    gone = aside(cameras[0], 400)
    empty = noisy(gone)
    there = View.of(jelly, leaving, empty).shows
    assert not there.any()


def test_views_are_judged_by_those_that_see_something() -> None:
    shows = np.ones((4, 20), bool)
    shows[0, 8:] = False
    trust = Trust(shows)
    random = np.random.default_rng(0)
    for _ in range(600):
        view, frame = random.integers(4), random.integers(1, 20)
        if shows[view, frame]:
            trust.hear(view, frame, random.uniform(0.9, 1.1) * (3.0 if view == 3 else 1.0))
    weights = trust.weights()
    assert (weights[0, 8:] == 0).all()
    assert (weights[0, :8] > 0.9).all()
    assert (weights[1:3] > 0.9).all()
    assert (weights[3] < 0.15).all()
