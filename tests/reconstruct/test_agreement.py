"""Cameras that contradict what the pictures have in common are refused by name, without any depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from drawn_captures import Ball, Box, capture_of, grained, paint

from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.capture.agreement import check_epipolar
from perpetua.reconstruct.capture.capture import Capture
from perpetua.reconstruct.from_views import ViewsReconstructor
from perpetua.scene.cameras import Camera
from perpetua_protocol.take import Click, ObjectSpec, Take

SOLIDS: dict = {
    "ball": [Ball((-0.07, 0.02, 0.05), 0.05)],
    "box": [Box((0.03, -0.04, 0), (0.12, 0.05, 0.06))],
}


def drawn(painted: Callable) -> Capture:
    made = capture_of(SOLIDS, 24, (240, 180), paint=painted)
    bare = tuple(replace(view, depth=None, objects=None) for view in made.views[:12])
    return Capture(bare, metric=True)


@pytest.fixture(scope="module")
def capture() -> Capture:
    return drawn(grained)


def changed(capture: Capture, change: Callable[[Camera], Camera]) -> Capture:
    """The capture with another camera for 5.png."""
    views = list(capture.views)
    views[5] = replace(views[5], camera=change(views[5].camera))
    return replace(capture, views=tuple(views))


def elsewhere(camera: Camera) -> Camera:
    pose = camera.world_to_camera.copy()
    pose[:3, 3] += [0.03, 0.01, 0.02]
    return replace(camera, world_to_camera=pose)


def rolled(camera: Camera) -> Camera:
    c, s = np.cos(np.radians(3)), np.sin(np.radians(3))
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    return replace(camera, world_to_camera=turn @ camera.world_to_camera)


def zoomed(camera: Camera) -> Camera:
    return replace(
        camera,
        K=camera.K * np.array([[1.15], [1.15], [1.0]]) * [[1, 1, 1 / 1.15], [1, 1, 1 / 1.15], [1, 1, 1]],
    )


def test_true_cameras_agree(capture: Capture) -> None:
    check_epipolar(capture)


@pytest.mark.parametrize("change", [elsewhere, rolled, zoomed])
def test_a_wrong_camera_is_named(capture: Capture, change: Callable[[Camera], Camera]) -> None:
    with pytest.raises(CaptureError, match=r"what 5\.png has in common with its neighbours"):
        check_epipolar(changed(capture, change))


def test_swapped_cameras_are_named(capture: Capture) -> None:
    a, b = capture.views[5:7]
    swapped = (
        *capture.views[:5],
        replace(a, camera=b.camera),
        replace(b, camera=a.camera),
        *capture.views[7:],
    )
    with pytest.raises(CaptureError, match=r"what [56]\.png has"):
        check_epipolar(replace(capture, views=swapped))


def test_plain_pictures_tell_nothing() -> None:
    check_epipolar(changed(drawn(paint), elsewhere))


def test_it_is_said_before_the_fit_begins(capture: Capture) -> None:
    take = Take("t", "p", (ObjectSpec("ball", (Click(100.0, 90.0),)),))
    with pytest.raises(CaptureError, match="cameras disagree"):
        ViewsReconstructor().reconstruct(changed(capture, elsewhere), take, Progress())
