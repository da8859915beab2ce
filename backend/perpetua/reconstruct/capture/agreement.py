"""Whether the cameras of a capture without depth agree with what its pictures have in common.

What two pictures both show, by features that some motion of a camera explains, must lie where the motion between their given cameras
puts it (Hartley and Zisserman 2004, chapter 9). Pictures too plain for features say nothing here; a fit to them does later.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.reconstruct.capture.capture import Capture, CapturedView, neighbours
from perpetua.reconstruct.epipolar import sampson_distance
from perpetua.reconstruct.images import reduced
from perpetua.scene.cameras import Camera

Array = NDArray[np.float64]

WIDTH = 640
"""Pixels across, at which features are looked for."""
FEATURES = 1500
RATIO = 0.75
"""Of the distances to the best and the second match, below which one stands out (Lowe 2004)."""
INLIER_PX = 1.5
"""From the epipolar line of the motion that two pictures themselves tell."""
FEWEST = 24
"""Matches that one motion explains, and their share of all matches, for two pictures to tell anything."""
LEAST_SHARE = 0.4
ASTRAY_PX = 3.0
"""From the epipolar line of the given cameras, median over matches, at WIDTH: what a pose that was found well stays far below."""
MOST_ASTRAY = 0.5
"""Share of the neighbours that may contradict a view."""


def check_epipolar(capture: Capture) -> None:
    """Raise ``CaptureError`` that names the view whose camera the other pictures contradict most, if one is contradicted by most."""
    features = [_features(view) for view in capture.views]
    told: dict[tuple[int, int], float] = {}
    for index in range(len(capture.views)):
        for other in neighbours(capture, index):
            pair = (min(index, other), max(index, other))
            if pair not in told:
                told[pair] = _astray(capture, features, *pair)
    found = []
    for index in range(len(capture.views)):
        off = np.array([value for pair, value in told.items() if index in pair and np.isfinite(value)])
        contradicting = int((off > ASTRAY_PX).sum())
        if contradicting > MOST_ASTRAY * len(off):
            found.append((contradicting, float(np.median(off)), capture.views[index].name))
    if found:
        _, size, name = max(found)
        raise CaptureError(
            f"The cameras disagree: what {name} has in common with its neighbours lies {size:.0f} pixels (of {WIDTH} "
            "across) from where their cameras put it. Check its pose in transforms.json (camera to world, Blender's axes) and the focal length, "
            "or leave the picture out; pictures without cameras (`scene: {views: ...}`) have theirs found."
        )


def _features(view: CapturedView) -> tuple[Array, NDArray[np.float32]]:
    """[N, 2] pixels of the view and [N, 128] descriptors (SIFT)."""
    width = min(WIDTH, view.camera.width)
    height = max(2, round(view.camera.height * width / view.camera.width))
    grey = cv2.cvtColor(reduced(view.rgb, width, height), cv2.COLOR_RGB2GRAY)
    points, values = cv2.SIFT.create(nfeatures=FEATURES).detectAndCompute(grey, None)
    if not points:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    scale = view.camera.width / width
    return np.array([point.pt for point in points]) * scale, np.asarray(values, dtype=np.float32)


def _astray(
    capture: Capture, features: list[tuple[Array, NDArray[np.float32]]], first: int, second: int
) -> float:
    """Pixels at WIDTH, median distance of what two views have in common from where their cameras put it; NaN if they tell nothing."""
    (a, one), (b, two) = features[first], features[second]
    if len(a) < FEWEST or len(b) < FEWEST:
        return float("nan")
    best = cv2.BFMatcher(cv2.NORM_L2).knnMatch(one, two, k=2)
    pairs = [(m.queryIdx, m.trainIdx) for m, n in best if m.distance < RATIO * n.distance]
    if len(pairs) < FEWEST:
        return float("nan")
    left, right = a[[i for i, _ in pairs]], b[[j for _, j in pairs]]
    unit = capture.views[first].camera.width / min(WIDTH, capture.views[first].camera.width)
    cv2.setRNGSeed(0)
    _, kept = cv2.findFundamentalMat(left, right, cv2.FM_RANSAC, INLIER_PX * unit, 0.999)
    if kept is None or kept.sum() < max(FEWEST, LEAST_SHARE * len(pairs)):
        return float("nan")
    inliers = kept.ravel() == 1
    here, there = capture.views[first].camera, capture.views[second].camera
    relative = there.world_to_camera @ here.camera_to_world
    away = sampson_distance(_directions(left[inliers], here), _directions(right[inliers], there), relative)
    return float(np.median(away)) * here.K[0, 0] * WIDTH / here.width


def _directions(pixels: Array, camera: Camera) -> Array:
    """[N, 3] (x, y, 1) in the camera's axes."""
    return (np.concatenate([pixels, np.ones((len(pixels), 1))], 1)) @ np.linalg.inv(camera.K).T
