"""Solids whose front is measured by a depth map; only their backs are guessed.

The guess mirrors the front at the plane through the object's outline: a ball's outline is its equator, a flat thing's the rim that it
lies on. Depth is never measured on the outline itself, where surfaces turn away, so plane and bulge are fitted to what lies inside.
What rests ends at the support plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from perpetua.errors import CaptureError
from perpetua.reconstruct.silhouette import corners_of, outline_of
from perpetua.reconstruct.solid import Solid, closed_surface
from perpetua.scene.cameras import Camera

Array = NDArray[np.float64]

LEAST_BACK = 0.5
"""Of the depth of the solid inflated from the outline, that any object has: a box seen face on shows a flat front."""
EDGE_PX = 1.5
"""Pixels from the matte's edge at which depth may be of what is behind."""
TURN_PX = 4.0
"""Pixels from the outline at which a front is wholly as measured."""
OUTLIER = 3.0
"""Median deviations of depth, within an object, beyond which a pixel shows something else."""
THINNEST = 0.05
"""Least thickness, in cells, of what is seen at all."""
MIRRORED = 0.35
"""A depth map is mirrored where the picture's edges along its outline are this small a share of those along the mirrored outline."""
CLEAR_EDGE = 20.0
"""Levels a pixel, by Sobel's operator, of an edge to speak of."""


@dataclass(frozen=True)
class MeasuredSolid(Solid):
    """enter, leave: [ny + 1, nx + 1] depths at the grid's corners, along the optical axis."""

    enter: Array
    leave: Array

    def depths(self, pixels: Array) -> tuple[Array, Array]:
        """Depths [N] along the optical axis where the rays through pixels [N, 2] enter and leave."""
        place = ((pixels - self.origin) / self.cell).T[::-1]
        enter, leave = (map_coordinates(d, place, order=1, mode="nearest") for d in (self.enter, self.leave))
        return enter, np.maximum(enter, leave)


def measured(guess: Solid, matte: NDArray[np.float32], depth: NDArray[np.float32]) -> MeasuredSolid:
    """``guess``, the solid inflated from a matte [H, W], with its front at ``depth`` [H, W] (in the solid's units, infinite where
    nothing is)."""
    inside = guess.inside
    boundary = outline_of(inside)
    corners = corners_of(inside.shape, guess.origin, guess.cell)
    filled = filled_within(depth, matte)
    enter = map_coordinates(filled, (corners.reshape(-1, 2) - 0.5).T[::-1], order=1, mode="nearest")
    enter = enter.reshape(boundary.shape)
    metres = enter / guess.camera.K[0, 0]
    half = np.sqrt(np.maximum(np.where(boundary, 0.0, guess.squared), 0.0)) * metres
    within = np.pad(inside, 1)
    within = within[:-1, :-1] & within[:-1, 1:] & within[1:, :-1] & within[1:, 1:]
    rim, bulge = _rim_plane(corners, enter, half, within, guess.camera)
    # Towards the outline, where nothing is measured, the front turns away as the fit says.
    known = np.clip(distance_transform_edt(np.pad(within, 1))[1:-1, 1:-1] * guess.cell / TURN_PX, 0.0, 1.0)
    enter = known * enter + (1 - known) * np.maximum(rim - bulge * half, enter)
    thinnest = enter + np.maximum(2 * LEAST_BACK * half, THINNEST * guess.cell * metres)
    leave = np.maximum(2 * np.maximum(rim, enter) - enter, thinnest)
    if guess.resting:
        down = guess.camera.rays(corners.reshape(-1, 2))[:, 2].reshape(enter.shape)
        plane = np.where(down < -1e-6, -guess.camera.position[2] / np.minimum(down, -1e-6), np.inf)
        leave = np.minimum(leave, plane)
        enter = np.minimum(enter, plane)
    vertices, faces = closed_surface(inside, boundary, corners, guess.camera, enter, leave, guess.resting)
    return MeasuredSolid(
        guess.camera, guess.squared, inside, guess.origin, guess.cell, float(vertices[:, 1].mean()),
        float(np.median(enter[~boundary])), guess.nearer, guess.resting, guess.depth_ratio, vertices, faces, enter, leave,
    )  # fmt: skip


def filled_within(depth: NDArray[np.float32], matte: NDArray[np.float32]) -> Array:
    """[H, W] depth of an object's own pixels, and everywhere else that of the nearest of them."""
    own = (matte > 0.5) & np.isfinite(depth)
    sure = own & (distance_transform_edt(matte > 0.5) > EDGE_PX)
    own = sure if sure.any() else own
    if not own.any():
        raise CaptureError(
            "The depth map holds nothing where the object is; give the depth map of this very picture."
        )
    middle = np.median(depth[own])
    spread = np.median(np.abs(depth[own] - middle)) + 1e-6 * middle
    own &= np.abs(depth - middle) < OUTLIER * 3 * spread
    _, (rows, columns) = distance_transform_edt(~own, return_indices=True)
    return depth[rows, columns].astype(np.float64)


def _rim_plane(
    corners: Array, enter: Array, half: Array, within: NDArray[np.bool_], camera: Camera
) -> tuple[Array, float]:
    """[ny + 1, nx + 1] depth of the plane through the outline, and k, of the fit enter = a x + b y + c - k half, with k from 0 to 1,
    to the corners ``within``. half: the solid inflated from the outline, which turns away at it like the object."""
    x = (corners - camera.K[:2, 2]) / camera.K[0, 0]
    plane = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    terms = np.concatenate([plane, -half[..., None]], -1)[within]
    wanted, weight = enter[within], np.ones(int(within.sum()))
    found = np.zeros(4)
    for _ in range(6):  # robust: most of the front, not its details
        root = np.sqrt(weight)
        found = np.linalg.lstsq(root[:, None] * terms, root * wanted, rcond=None)[0]
        bulge = float(np.clip(found[3], 0.0, 1.0))
        if bulge != found[3]:
            rest = wanted + bulge * half[within]
            flat = np.linalg.lstsq(root[:, None] * terms[:, :3], root * rest, rcond=None)[0]
            found = np.append(flat, bulge)
        wrong = np.abs(terms @ found - wanted)
        weight = 1 / np.maximum(wrong, np.median(wrong) + 1e-12)
    return np.asarray(plane @ found[:3]), float(found[3])


def check_orientation(
    depth: NDArray[np.float32], rgb: NDArray[np.uint8], matte: NDArray[np.float32], name: str
) -> None:
    """Raise ``CaptureError`` if the picture [H, W, 3] steps in colour where the mirrored depth map [H, W] steps, and less so along the
    outline [H, W] that the depth map itself gives an object."""
    rim = _rim(matte > 0.5)
    grey = cv2.GaussianBlur(rgb, (0, 0), 1.0).astype(np.float32).mean(-1)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    straight = float(np.median(edges[rim]))
    for how, axis in (("left to right", 1), ("upside down", 0)):
        turned = float(np.median(edges[np.flip(rim, axis)]))
        if turned > CLEAR_EDGE and straight < MIRRORED * turned:
            raise CaptureError(
                f"The depth map is mirrored {how}: the picture shows the outline of '{name}' only there. Write it the way round the picture is."
            )


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels on either side of an outline."""
    reach = np.ones((3, 3), np.uint8)
    mask = inside.astype(np.uint8)
    return (cv2.dilate(mask, reach) > 0) & (cv2.erode(mask, reach) == 0)
