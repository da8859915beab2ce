"""Regions of pixels: growing, filling, keeping the part under a click, and how much one looks like an object.

A binary region here is a [H, W] uint8 array of zeros and ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

Region = NDArray[np.uint8]
Image = NDArray[np.float32]

EDGE_STEP = 8.0
"""Lab units per pixel that count as one unit of extra path length when a region grows."""
CLEAR_EDGE = 5.0
"""Lab units per pixel at which an outline counts as lying on an edge."""
WEAK_STRETCH = 0.08
"""Share of an outline over which it must not run without an edge: a thing cut in two has such a stretch."""
EDGE_CAP = 25.0
"""Lab units per pixel above which an edge is no better."""


def disc(radius: int) -> Region:
    """Round structuring element of ``radius`` pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)


def fill_holes(region: Region) -> Region:
    """The region with everything it encloses."""
    flooded = np.ascontiguousarray(np.pad(region, 1))
    cv2.floodFill(flooded, None, (0, 0), 2)
    return (flooded != 2).astype(np.uint8)[1:-1, 1:-1]


def part_at(region: Region, seeds: Region) -> Region:
    """The connected parts of ``region`` that touch ``seeds``; the largest part if none does."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=4)
    touched = np.unique(labels[(seeds > 0) & (region > 0)])
    if len(touched) == 0 and count > 1:
        touched = np.array([1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())])
    return np.isin(labels, touched[touched > 0]).astype(np.uint8)


def cleaned(region: Region, seeds: Region, radius: int) -> Region:
    """Without holes, without parts thinner than two ``radius``, and only where the seeds are."""
    opened = cv2.morphologyEx(np.pad(fill_holes(region), radius), cv2.MORPH_OPEN, disc(radius))
    inner = np.ascontiguousarray(opened[radius:-radius, radius:-radius], dtype=np.uint8)
    return part_at(inner | (seeds & region), seeds)


def lab(rgb: NDArray[np.uint8]) -> Image:
    """[H, W, 3] CIE L*a*b*, float32."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), dtype=np.float32)


def edge_strength(rgb: NDArray[np.uint8]) -> Image:
    """[H, W], Lab units per pixel: length of the colour gradient (Scharr)."""
    image = lab(rgb)
    squares = np.zeros(image.shape[:2], np.float32)
    for channel in range(3):
        for dx, dy in ((1, 0), (0, 1)):
            slope = np.asarray(cv2.Scharr(image[..., channel], cv2.CV_32F, dx, dy), dtype=np.float32) / 32.0
            squares += slope**2
    return np.sqrt(squares)


def grown(edges: Image, seeds: Region, count: int = 60) -> list[Region]:
    """Nested regions around the seeds, small to large: within a distance along the picture in which edges are long ways."""
    cost = 0.05 + (edges / EDGE_STEP) ** 2
    distance, _ = MCP_Geometric(cost).find_costs(np.argwhere(seeds > 0).tolist())
    levels = np.quantile(distance, np.geomspace(0.004, 0.6, count))
    regions = []
    for level in levels:
        region = fill_holes((distance < level).astype(np.uint8))
        region |= seeds
        radius = max(1, int(0.08 * np.sqrt(region.sum())))
        regions.append(cleaned(region, seeds, radius))
    return regions


def objectness(region: Region, edges: Image, forbidden: Region) -> float:
    """How much a region looks like a thing: its outline lies on clear edges all the way round, and it is compact.

    From 0 to about 15. ``forbidden`` marks pixels (the picture's border) where an outline is no evidence.
    """
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return 0.0
    outline = max(outlines, key=cv2.contourArea)
    area = cv2.contourArea(outline)
    if area < 30:
        return 0.0
    x, y = outline[:, 0].T
    strength = np.where(forbidden[y, x] > 0, 0.0, np.minimum(edges[y, x], EDGE_CAP))
    sharp = np.sqrt(strength).mean() ** 2
    clear = 1.0 - np.exp(-strength / CLEAR_EDGE)
    window = max(3, round(WEAK_STRETCH * len(clear)))
    stretches = np.convolve(
        np.concatenate([clear, clear[: window - 1]]), np.ones(window) / window, mode="valid"
    )
    closed = clear.mean() ** 2 * (0.5 + stretches.min())
    solidity = area / cv2.contourArea(cv2.convexHull(outline))
    length = cv2.arcLength(cv2.approxPolyDP(outline, 1.0, True), True)
    round_ = min(1.0, 4 * np.pi * area / length**2 / 0.6)
    return float(np.sqrt(sharp * closed) * solidity**2 * round_**0.2)


def outline_on_edges(region: Region, edges: Image) -> float:
    """Share of the outline, 0 to 1, that lies on a clear edge."""
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return 0.0
    x, y = max(outlines, key=len)[:, 0].T
    return float((1.0 - np.exp(-edges[y, x] / CLEAR_EDGE)).mean())
