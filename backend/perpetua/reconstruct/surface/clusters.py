"""Objects of a capture without masks: what stands on the table and hangs together in space with what the artist clicked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, label

from perpetua.errors import CaptureError, SegmentationError
from perpetua.reconstruct.capture.capture import Capture, CapturedView, unprojected
from perpetua.reconstruct.surface.plane import Plane
from perpetua_protocol.take import ObjectSpec

Array = NDArray[np.float64]

VOXELS = 96
"""Along the longest side of what stands on the table."""
RAISED = 0.01
"""Above the table, in distances of the cameras from it, that a point stands rather than lies."""
LEAST_PIXELS = 1.5
"""Pixels that a voxel is wide at least: between the points of a coarser picture voxels would stay empty."""
LEAST_POINTS = 3
"""Of all views, in a voxel that holds something."""
STRAY = 0.002
"""Share of the standing points, at either end of each axis, that may be stray."""
WALL = 1.0
"""Distances of the nearest camera from the middle of what stands, beyond which a point is of the room."""


def check_clicked(things: tuple[ObjectSpec, ...]) -> None:
    """Raise ``CaptureError`` for an object that no click shows."""
    for thing in things:
        if not any(click.inside for click in thing.clicks):
            raise CaptureError(
                f"The capture has no masks of objects, and '{thing.name}' no click: click it in the front picture, or write "
                "object_mask_path for every picture and the objects' names into transforms.json."
            )


def with_masks(capture: Capture, plane: Plane, things: tuple[ObjectSpec, ...], scale: float) -> Capture:
    """A capture with depth, and with masks of ``things``, which are clicked in its front picture (``scale`` of its pixels here for one
    of the clicks').

    Raises ``SegmentationError`` for a click that is on nothing that stands, and ``CaptureError`` where two objects hang together.
    """
    heights = np.array([view.camera.position @ plane.normal - plane.offset for view in capture.views])
    least = RAISED * float(np.median(heights))
    places = np.array([view.camera.position for view in capture.views])
    seen = [_standing(view, plane, least, places) for view in capture.views]
    points = np.concatenate([found for _, found in seen])
    if not len(points):
        raise SegmentationError(
            "Nothing stands on the table of the capture; check its depth, or give masks of the objects."
        )
    low, high = np.quantile(points, [STRAY, 1 - STRAY], axis=0)
    side = max(float((high - low).max() / VOXELS), LEAST_PIXELS * _pixel(capture))
    shape = np.ceil((high - low) / side).astype(int) + 3

    def cells(of: Array) -> NDArray[np.int64]:
        return np.clip(((of - low) / side).astype(np.int64) + 1, 0, shape - 1)

    counts = np.zeros(shape, np.int64)
    np.add.at(counts, tuple(cells(points).T), 1)
    pieces, _ = label(binary_closing(counts >= LEAST_POINTS, np.ones((3, 3, 3))), np.ones((3, 3, 3)))
    wanted = [_clicked(capture.front_view, thing, scale, cells, pieces) for thing in things]
    for index, piece in enumerate(wanted):
        if piece in wanted[:index]:
            other = things[wanted.index(piece)].name
            raise CaptureError(
                f"'{other}' and '{things[index].name}' touch, so depth cannot tell them apart; give masks of the objects."
            )
    number = np.full(int(pieces.max()) + 1, -1, np.int32)
    number[wanted] = np.arange(len(things))

    def masked(view: CapturedView, found: tuple[NDArray[np.int64], Array]) -> CapturedView:
        objects = np.full((view.camera.height, view.camera.width), -1, np.int32)
        objects[tuple(found[0].T)] = number[pieces[tuple(cells(found[1]).T)]]
        return replace(view, objects=objects)

    views = tuple(masked(view, found) for view, found in zip(capture.views, seen, strict=True))
    return replace(capture, views=views, objects=tuple(thing.name for thing in things))


def _pixel(capture: Capture) -> float:
    """m, the width of a pixel where the front view sees something, in the middle."""
    view = capture.front_view
    assert view.depth is not None
    return float(np.median(view.depth[np.isfinite(view.depth)]) / view.camera.K[0, 0])


def _standing(
    view: CapturedView, plane: Plane, least: float, cameras: Array
) -> tuple[NDArray[np.int64], Array]:
    """Pixels (row, column) [N, 2] that show what stands on the table among the cameras, and their points [N, 3]."""
    assert view.depth is not None
    pixels = np.argwhere(np.isfinite(view.depth))
    points = unprojected(view, pixels)
    middle = cameras.mean(0)
    flat = points - middle - np.outer((points - middle) @ plane.normal, plane.normal)
    around = cameras - middle - np.outer((cameras - middle) @ plane.normal, plane.normal)
    near = np.linalg.norm(flat, axis=1) < WALL * np.linalg.norm(around, axis=1).min()
    kept = (points @ plane.normal - plane.offset > least) & near
    return pixels[kept], points[kept]


def _clicked(
    view: CapturedView,
    thing: ObjectSpec,
    scale: float,
    cells: Callable[[Array], NDArray[np.int64]],
    pieces: NDArray[np.int32],
) -> int:
    """The piece that the clicks inside ``thing`` are on most often."""
    assert view.depth is not None
    pixels = np.array([[int(c.y * scale), int(c.x * scale)] for c in thing.clicks if c.inside])
    pixels = pixels[(pixels >= 0).all(1) & (pixels < view.depth.shape).all(1)]
    pixels = pixels[np.isfinite(view.depth[pixels[:, 0], pixels[:, 1]])]
    found = pieces[tuple(cells(unprojected(view, pixels)).T)]
    found = found[found > 0]
    if not len(found):
        raise SegmentationError(
            f"Nothing stands on the table where '{thing.name}' is clicked in the front picture ({view.name}); click on the object itself."
        )
    return int(np.bincount(found).argmax())
