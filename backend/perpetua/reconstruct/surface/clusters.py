"""Objects of a capture without masks: what stands on the table and hangs together in space with what the artist clicked or boxed.

Where objects touch, what hangs together is shared out: each part of it goes to the object whose outline in the front picture, found by
its colours, shows a part nearest to it. So it is where depth is rough, since then much hangs together that does not touch; and what the front
picture shows outside of all outlines takes its share too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, distance_transform_edt, label
from scipy.spatial import cKDTree

from perpetua.errors import CaptureError, SegmentationError
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.capture.capture import Capture, CapturedView, unprojected
from perpetua.reconstruct.fit.start import looked_at
from perpetua.reconstruct.segment import GrabCutSegmenter
from perpetua.reconstruct.surface.plane import ROUGH_TOLERANCE, Plane
from perpetua_protocol.take import ObjectSpec

Array = NDArray[np.float64]

VOXELS = 96
"""Along the longest side of what stands on the table."""
RAISED = 0.01
"""Above the table, in distances of the cameras from it, that a point stands rather than lies."""
NOISE = 4.0
"""Roughness of the table above which a point stands."""
LEAST_PIXELS = 1.5
"""Pixels that a voxel is wide at least: between the points of a coarser picture voxels would stay empty."""
ROUGHNESS_STRIDE = 7
LEAST_POINTS = 3
"""Of all views, in a voxel that holds something."""
STRAY = 0.002
"""Share of the standing points, at either end of each axis, that may be stray."""
MOST_SHARED = 0.5
"""Of the smaller of two outlines: share that the other may cover before they count as one."""
BESIDE = 0.015
"""Of the picture's width: distance from all outlines beyond which what stands is something else."""
STRANGE = 0.05
"""Share of such pixels of a piece from which it holds something else."""
INSIDE = 0.5
"""Coverage from which a pixel is of an outline."""
WALL = 1.0
"""Distances of the nearest camera from what is looked at, along the table, beyond which a point is of the room."""


def check_clicked(things: tuple[ObjectSpec, ...]) -> None:
    """Raise ``CaptureError`` for an object that neither a click nor a box shows."""
    for thing in things:
        if thing.outline:
            raise CaptureError(
                f"'{thing.name}' is marked by its outline, which counts in a single picture only; click on the object itself."
            )
        if thing.box is None and not any(click.inside for click in thing.clicks):
            raise CaptureError(
                f"The capture has no masks of objects, and '{thing.name}' no click: click it in the front picture, box it, or write "
                "object_mask_path for every picture and the objects' names into transforms.json."
            )


def with_masks(
    capture: Capture,
    plane: Plane,
    things: tuple[ObjectSpec, ...],
    scale: float,
    rough: bool = False,
    segmenter: Segmenter | None = None,
) -> Capture:
    """A capture with depth, and with masks of ``things``, which are clicked in its front picture (``scale`` of its pixels here for one
    of the clicks'). rough: the depth is a fit's.  segmenter: finds outlines where they are needed; None takes the embedded one.

    Raises ``SegmentationError`` for a click that is on nothing that stands, and ``CaptureError`` where two objects hang together.
    """
    heights = np.array([view.camera.position @ plane.normal - plane.offset for view in capture.views])
    least = max(
        RAISED * float(np.median(heights)), NOISE * _roughness(capture, plane, float(np.median(heights)))
    )
    seen = [_standing(view, plane, least, *_room(capture, plane)) for view in capture.views]
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
    front = _Front(capture.front_view, scale, cells, *seen[capture.front], segmenter or GrabCutSegmenter())
    wanted = [_marked(front, thing, pieces) for thing in things]
    whose = np.full(shape, -1, np.int32)
    for piece in set(wanted):
        own = [index for index, other in enumerate(wanted) if other == piece]
        voxels = np.argwhere(pieces == piece)
        shares = np.zeros(len(voxels), np.int64)
        if rough or len(own) > 1:
            shares = _shared_out(voxels, pieces == piece, front, [things[index] for index in own])
        whose[tuple(voxels.T)] = np.array([*own, -1])[shares]

    def masked(view: CapturedView, found: tuple[NDArray[np.int64], Array]) -> CapturedView:
        objects = np.full((view.camera.height, view.camera.width), -1, np.int32)
        objects[tuple(found[0].T)] = whose[tuple(cells(found[1]).T)]
        return replace(view, objects=objects)

    views = tuple(masked(view, found) for view, found in zip(capture.views, seen, strict=True))
    return replace(capture, views=views, objects=tuple(thing.name for thing in things))


@dataclass(frozen=True)
class _Front:
    """The view that is clicked in; scale: its pixels for one of the clicks'; cells: of points.  pixels (row, column) [N, 2] and points
    [N, 3]: what stands in it."""

    view: CapturedView
    scale: float
    cells: Callable[[Array], NDArray[np.int64]]
    pixels: NDArray[np.int64]
    points: Array
    segmenter: Segmenter

    def outline(self, thing: ObjectSpec) -> NDArray[np.bool_]:
        """[H, W] the object by its colours. Raises ``SegmentationError``."""
        return (
            self.segmenter.segment(Picture(self.view.rgb, self.scale, None, Path(self.view.name)), thing)
            > INSIDE
        )


def _shared_out(
    voxels: NDArray[np.int64], piece: NDArray[np.bool_], front: _Front, things: list[ObjectSpec]
) -> NDArray[np.int64]:
    """[N] whose of ``things`` each of the voxels [N, 3] of a ``piece`` of space is; len(things) if it is no one's.

    Raises ``CaptureError`` if their outlines are one, and ``SegmentationError``.
    """
    outlines = [front.outline(thing) for thing in things]
    for (one, first), (other, second) in combinations(zip(things, outlines, strict=True), 2):
        if (first & second).sum() > MOST_SHARED * min(first.sum(), second.sum()):
            raise CaptureError(
                f"'{one.name}' and '{other.name}' touch and look alike, so they cannot be told apart; box each of them, or give "
                "masks of the objects."
            )
    shown = front.cells(front.points)
    here = piece[tuple(shown.T)]
    away = []
    for index, thing in enumerate(things):
        others = np.any([np.zeros_like(outlines[0]), *outlines[:index], *outlines[index + 1 :]], axis=0)
        seeds = shown[here & (outlines[index] & ~others)[tuple(front.pixels.T)]]
        if not len(seeds):
            raise CaptureError(
                f"No part of '{thing.name}' was found in the front picture; click on the object itself."
            )
        away.append(cKDTree(np.unique(seeds, axis=0)).query(voxels)[0])
    beside = distance_transform_edt(~np.any(outlines, axis=0)) > BESIDE * front.view.camera.width
    strange = here & beside[tuple(front.pixels.T)]
    if strange.sum() > STRANGE * here.sum():
        away.append(cKDTree(np.unique(shown[strange], axis=0)).query(voxels)[0])
    return np.argmin(away, axis=0)


def _roughness(capture: Capture, plane: Plane, height: float) -> float:
    """m, the median distance from the plane of what is seen of it; ``height``: of the cameras."""
    points = np.concatenate([unprojected(view)[::ROUGHNESS_STRIDE] for view in capture.views])
    away = np.abs(points @ plane.normal - plane.offset)
    near = away[away < ROUGH_TOLERANCE * height]
    return float(np.median(near)) if len(near) else 0.0


def _pixel(capture: Capture) -> float:
    """m, the width of a pixel where the front view sees something, in the middle."""
    view = capture.front_view
    assert view.depth is not None
    return float(np.median(view.depth[np.isfinite(view.depth)]) / view.camera.K[0, 0])


def _room(capture: Capture, plane: Plane) -> tuple[Array, float]:
    """[3] m what the cameras look at, and how far from it along the plane things are of the scene and not of the room."""
    middle = looked_at(capture)
    away = np.array([view.camera.position for view in capture.views]) - middle
    return middle, WALL * float(_level(away, plane).min())


def _level(away: Array, plane: Plane) -> Array:
    """[N] m, the lengths of vectors [N, 3] along the plane."""
    return np.asarray(np.linalg.norm(away - np.outer(away @ plane.normal, plane.normal), axis=1))


def _standing(
    view: CapturedView, plane: Plane, least: float, middle: Array, reach: float
) -> tuple[NDArray[np.int64], Array]:
    """Pixels (row, column) [N, 2] that show what stands on the table around ``middle``, and their points [N, 3]."""
    assert view.depth is not None
    pixels = np.argwhere(np.isfinite(view.depth))
    points = unprojected(view, pixels)
    kept = (points @ plane.normal - plane.offset > least) & (_level(points - middle, plane) < reach)
    return pixels[kept], points[kept]


def _marked(front: _Front, thing: ObjectSpec, pieces: NDArray[np.int32]) -> int:
    """The piece that the clicks inside ``thing`` are on most often; without clicks, the one that fills most of its box."""
    depth = front.view.depth
    assert depth is not None
    clicks = [click for click in thing.clicks if click.inside]
    if clicks:
        pixels = np.array([[int(c.y * front.scale), int(c.x * front.scale)] for c in clicks])
        pixels = pixels[(pixels >= 0).all(1) & (pixels < depth.shape).all(1)]
        points = unprojected(front.view, pixels[np.isfinite(depth[pixels[:, 0], pixels[:, 1]])])
    else:
        assert thing.box is not None
        x0, y0, x1, y1 = (front.scale * edge for edge in thing.box)
        points = front.points[
            ((front.pixels >= [min(y0, y1), min(x0, x1)]) & (front.pixels <= [max(y0, y1), max(x0, x1)])).all(
                1
            )
        ]
    found = pieces[tuple(front.cells(points).T)]
    found = found[found > 0]
    if not len(found):
        how = "clicked" if clicks else "boxed"
        raise SegmentationError(
            f"Nothing stands on the table where '{thing.name}' is {how} in the front picture ({front.view.name}); mark the object itself."
        )
    return int(np.bincount(found).argmax())
