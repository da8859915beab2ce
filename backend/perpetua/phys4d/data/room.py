"""The table and the wall around it as splats, as a picture shows them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.phys4d.data.world import balls
from perpetua.reconstruct.discs import Painted
from perpetua.scene import Camera, Gaussians

ROOM_RADIUS_M = 1.2
"""Of the table and the wall around it."""
EDGE_PIXELS = 2
"""Around objects, where pixels mix them with what is behind, nothing is taken for the background."""
PAINT_RADIUS = 4
"""pixels, of Telea's inpainting."""
SEEN_SIGMA, PAINTED_SIGMA = 0.48, 0.75
"""Standard deviation of the splat in each pixel's direction, pixels; what is painted in is smooth, and must let nothing dark through."""
BACKGROUND_OPACITY = 0.99
MOST_STRETCH = 10.0
"""Of a background splat along its ray, where the table is seen at a grazing angle."""


def background(
    camera: Camera, picture: NDArray[np.uint8], things: NDArray[np.bool_], margin: float
) -> Painted:
    """A splat on the table or the wall for each pixel of ``picture`` [H, W, 3] and of a ``margin`` around it, in its size, mirrored.
    What stands behind ``things`` [H, W] is painted in."""
    hole = cv2.dilate(things.astype(np.uint8), np.ones((2 * EDGE_PIXELS + 1,) * 2, np.uint8))
    painted = cv2.inpaint(picture, hole, PAINT_RADIUS, cv2.INPAINT_TELEA)
    wide, high = max(1, round(margin * camera.width)), max(1, round(margin * camera.height))
    painted = cv2.copyMakeBorder(painted, high, high, wide, wide, cv2.BORDER_REFLECT_101)
    near = cv2.dilate(hole, np.ones((2 * EDGE_PIXELS + 1,) * 2, np.uint8))
    shown = cv2.copyMakeBorder(1 - near, high, high, wide, wide, cv2.BORDER_CONSTANT, value=0)
    x, y = np.meshgrid(
        np.arange(camera.width + 2 * wide) - wide + 0.5, np.arange(camera.height + 2 * high) - high + 0.5
    )
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    rays = camera.rays(pixels)
    away = room_distance(camera.position, rays)
    places = camera.position + away[:, None] * rays
    own = shown.ravel() > 0
    sigma = np.where(own, SEEN_SIGMA, PAINTED_SIGMA) * away / camera.K[0, 0]
    splats = balls(places, sigma, painted.reshape(-1, 3).astype(np.float32) / 255, BACKGROUND_OPACITY)
    splats = _along(splats, rays, sigma / np.maximum(_slant(places, rays), 1 / MOST_STRETCH))
    return Painted(splats, own, pixels, np.ones(len(pixels)))


def _slant(places: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """[N]: sine of the angle at which each ray meets the table or the wall at ``places`` [N, 3] m."""
    outward = places * [1.0, 1.0, 0.0] / np.maximum(np.linalg.norm(places[:, :2], axis=1), 1e-9)[:, None]
    normal = np.where(places[:, 2:] > 1e-6, outward, [0.0, 0.0, 1.0])
    return np.abs((normal * rays).sum(1)) / np.linalg.norm(rays, axis=1)


def _along(splats: Gaussians, rays: NDArray, length: NDArray) -> Gaussians:
    """Round splats drawn out to ``length`` [N] m along ``rays`` [N, 3]: they look the same from here, and close up from nearer by."""
    way = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    # the turn of z onto the ray: half-way quaternion (1 + z.w, z x w)
    quats = np.stack([1 + way[:, 2], -way[:, 1], way[:, 0], np.zeros(len(way))], 1)
    quats[quats[:, 0] < 1e-6] = [0.0, 1.0, 0.0, 0.0]
    log_scales = splats.log_scales.clone()
    log_scales[:, 2] = torch.from_numpy(np.log(length)).float()
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    return replace(splats, quats=torch.from_numpy(unit).float(), log_scales=log_scales)


def room_distance(eye: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """[N]: how often ``rays`` [N, 3] go from ``eye`` [3] m into the table or, beyond it, the round wall."""
    down = rays[:, 2]
    table = np.where(down < -1e-9, -eye[2] / np.minimum(down, -1e-9), np.inf)
    a, b, c = (rays[:, :2] ** 2).sum(1), rays[:, :2] @ eye[:2], float((eye[:2] ** 2).sum()) - ROOM_RADIUS_M**2
    wall = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / np.maximum(a, 1e-12)
    return np.minimum(table, wall)
