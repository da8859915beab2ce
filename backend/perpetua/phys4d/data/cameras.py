"""The ways of a scene's cameras: three that stand, two that move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from perpetua.phys4d.data.spec import CameraPlan, SceneSpec
from perpetua.scene import Camera

TRACKING_SMOOTHING = 3.0
"""Frames, of how a tracking camera follows what moves."""
STEP_SWAY = 0.004
"""m that a first person's eyes rise and sink at a step, and how many frames a step takes."""
STEP_FRAMES = 12.0
EYE_HEIGHT = 0.1
"""m, of a first person on the table."""


def camera_path(spec: SceneSpec, plan: CameraPlan, followed: NDArray) -> list[Camera]:
    """The camera in each of the scene's frames. followed: [T, 3] m, the middle of what moves, which a tracking camera looks at."""
    share = _eased(np.linspace(0.0, 1.0, spec.frames))
    azimuth, elevation, distance = (
        np.radians(a + share * (b - a)) if turned else a + share * (b - a)
        for (a, b), turned in ((plan.azimuth, True), (plan.elevation, True), (plan.distance, False))
    )
    target = np.tile(np.asarray(spec.middle, float), (spec.frames, 1))
    if plan.path == "tracking":
        target = gaussian_filter1d(followed, TRACKING_SMOOTHING, axis=0, mode="nearest")
    away = np.stack(
        [np.cos(elevation) * np.sin(azimuth), -np.cos(elevation) * np.cos(azimuth), np.sin(elevation)], 1
    )
    eye = target + distance[:, None] * away
    if plan.path == "tracking":  # it looks after what moves from where it stands, half carried along
        eye = 0.5 * (eye + eye[:1])
    if plan.path == "first person":
        eye[:, 2] = EYE_HEIGHT + STEP_SWAY * np.sin(2 * np.pi * np.arange(spec.frames) / STEP_FRAMES)
    return [
        look_at(e, t, spec.width, spec.height, plan.field_of_view, plan.name) for e, t in zip(eye, target)
    ]


def look_at(
    eye: NDArray, target: NDArray, width: int, height: int, field_of_view: float, name: str
) -> Camera:
    """An upright camera at ``eye`` [3] m that looks at ``target`` [3] m; ``field_of_view`` in degrees, horizontal."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ eye
    focal = width / (2 * np.tan(np.radians(field_of_view / 2)))
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(K, matrix, width, height, name, "front")


def _eased(share: NDArray) -> NDArray[np.float64]:
    """From 0 to 1 with a soft start and stop."""
    return np.asarray(share * share * (3 - 2 * share))
