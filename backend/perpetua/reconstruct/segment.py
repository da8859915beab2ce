"""Find an object from a click or a box, with classical means: edge-aware growing, GrabCut and watershed proposals, the most
object-like of which is refined at full size to a matte with a soft edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from perpetua.errors import SegmentationError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.images import blurred, denoised, enlarged, reduced
from perpetua.reconstruct.matte import mean_near, soften
from perpetua.reconstruct.regions import (
    Image,
    Region,
    cleaned,
    disc,
    edge_strength,
    grown,
    lab,
    objectness,
    outline_on_edges,
)
from perpetua.reconstruct.shadow import without_contact_shadow
from perpetua_protocol.take import ObjectSpec

SEARCH_WIDTH = 320
"""Width, pixels, at which proposals are made."""
LAB_WEIGHTS = ((1.5, 2.0), (2.0, 3.0))
"""Weights of lightness and of the two colour axes that GrabCut is tried with; more colour means less bothered by shading."""
WATERSHED_MARGINS = (0.12, 0.2, 0.3)
"""How far a watershed may move a proposal's outline, as a share of the square root of its area."""
MAX_SHARE = 0.6
"""An object larger than this share of the picture leaves no world around it."""
MIN_PIXELS = 40
"""Pixels at the search width."""
MIN_OUTLINE = 0.35
"""Share of an outline that must lie on edges before the region counts as an object."""
MIN_CONTRAST = 3.0
"""Lab units between the colours either side of most of an outline; noise gives edges but no such step."""


class GrabCutSegmenter:
    """A ``Segmenter`` without a learned model."""

    def segment(self, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
        """[H, W] coverage in [0, 1]. Clicks and boxes are in pixels of the file. Raises ``SegmentationError``."""
        height, width = picture.rgb.shape[:2]
        check_marks(thing, width / picture.scale, height / picture.scale)
        ratio = min(1.0, SEARCH_WIDTH / width)
        small = _Marked.of(picture.rgb, thing, picture.scale, ratio)
        best, score = _best_proposal(small)
        if score <= 0.0 or best.sum() < MIN_PIXELS or not _stands_out(best, small):
            raise SegmentationError(
                f"Nothing stands out from its surroundings where '{thing.name}' is marked; "
                "click on the object itself, or draw a box around it."
            )
        if best.sum() > MAX_SHARE * best.size:
            raise SegmentationError(
                f"'{thing.name}' would fill most of the picture; add clicks on what is not the object, or draw a box."
            )
        full = _Marked.of(picture.rgb, thing, picture.scale, 1.0)
        return soften(picture.rgb, _refined(full, best, 1.0 / ratio, thing.resting))


@dataclass(frozen=True)
class _Marked:
    """A picture at a working size with the artist's marks. seeds, never: regions; sharp: edge strength at its finest."""

    rgb: NDArray[np.uint8]
    seeds: Region
    never: Region
    sharp: Image

    @staticmethod
    def of(rgb: NDArray[np.uint8], thing: ObjectSpec, file_scale: float, ratio: float) -> _Marked:
        height, width = rgb.shape[:2]
        size = (max(2, round(width * ratio)), max(2, round(height * ratio)))
        image = rgb if ratio == 1.0 else reduced(rgb, *size)
        if ratio < 0.5:  # edges are judged at twice the size, so that what is in focus counts for more
            double = blurred(reduced(rgb, 2 * size[0], 2 * size[1]), 0.7)
            edges = _widened(edge_strength(double))[: 2 * size[1] : 2, : 2 * size[0] : 2]
        else:
            edges = edge_strength(image)
        seeds, never = np.zeros(size[::-1], np.uint8), np.zeros(size[::-1], np.uint8)
        scale = file_scale * ratio
        for click in thing.clicks:
            x = min(int(click.x * scale), size[0] - 1)
            y = min(int(click.y * scale), size[1] - 1)
            cv2.circle(seeds if click.inside else never, (x, y), max(1, round(2 * ratio)), 1, -1)
        if thing.box is not None:
            x0, y0, x1, y1 = (value * scale for value in thing.box)
            outside = np.ones_like(never)
            outside[max(0, int(y0)) : int(np.ceil(y1)) + 1, max(0, int(x0)) : int(np.ceil(x1)) + 1] = 0
            never |= outside
        seeds[never > 0] = 0
        return _Marked(image, seeds, never, _widened(edges))

    @property
    def rim(self) -> Region:
        """The picture's border, but its lower one: things may stand on the lower border."""
        rim = np.zeros_like(self.never)
        rim[0] = rim[:, 0] = rim[:, -1] = 1
        return rim


def _stands_out(region: Region, image: _Marked) -> bool:
    """Whether a region's outline lies on edges, and parts two colours."""
    if outline_on_edges(region, image.sharp) < MIN_OUTLINE:
        return False
    colours = lab(image.rgb)
    step = np.linalg.norm(mean_near(colours, region > 0) - mean_near(colours, region == 0), axis=-1)
    rim = (region > 0) & (cv2.erode(region, disc(1)) == 0)
    return float(np.median(step[rim])) >= MIN_CONTRAST


def _widened(edges: Image) -> Image:
    """Each pixel the strongest of its neighbours, so that an outline a pixel off still lies on its edge."""
    return np.asarray(cv2.dilate(edges, disc(1)), dtype=np.float32)


def check_marks(thing: ObjectSpec, width: float, height: float) -> None:
    """Raise ``SegmentationError`` unless ``thing`` is marked, and within a picture of ``width`` x ``height`` pixels."""
    for click in thing.clicks:
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise SegmentationError(
                f"The click at ({click.x:g}, {click.y:g}) of '{thing.name}' lies outside the picture of "
                f"{width:.0f} x {height:.0f} pixels; click inside it."
            )
    if thing.box is not None:
        x0, y0, x1, y1 = thing.box
        if not (x1 - x0 >= 4 and y1 - y0 >= 4 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
            raise SegmentationError(
                f"The box {thing.box} of '{thing.name}' is empty or outside the picture of {width:.0f} x {height:.0f} "
                "pixels; give x0, y0, x1, y1 with x0 < x1 and y0 < y1."
            )
    elif not any(click.inside for click in thing.clicks):
        raise SegmentationError(
            f"'{thing.name}' has neither a click inside it nor a box; click it in the picture."
        )


def _best_proposal(image: _Marked) -> tuple[Region, float]:
    """The most object-like of all proposals, and its score."""
    border = image.rim.copy()
    border[-1] = 1
    starts = _starts(image, border)
    values = lab(image.rgb)
    smooth = edge_strength(denoised(image.rgb, 5, 20, 3))
    best, best_score = np.zeros_like(image.seeds), 0.0
    for start in starts:
        for lightness, colour in LAB_WEIGHTS:
            region = _grab_cut(_features(values, lightness, colour), start, image)
            for proposal in [region, *_watersheds(smooth, region, image)]:
                score = objectness(proposal, image.sharp, border)
                if score > best_score:
                    best, best_score = proposal, score
    return best, best_score


def _starts(image: _Marked, border: Region, most: int = 3) -> list[Region]:
    """A few unlike regions to start GrabCut from: grown from the clicks, or the box's ellipse."""
    if not image.seeds.any():
        rows, columns = np.nonzero(image.never == 0)
        centre = (int(columns.mean()), int(rows.mean()))
        axes = (max(1, int(np.ptp(columns) * 0.42)), max(1, int(np.ptp(rows) * 0.42)))
        ellipse = np.zeros_like(image.never)
        cv2.ellipse(ellipse, centre, axes, 0, 0, 360, 1, -1)
        return [ellipse]
    edges = edge_strength(denoised(image.rgb, 7, 25, 5))
    edges = np.where(image.never > 0, np.float32(1e3), edges)
    scored = [(objectness(region, image.sharp, border), region) for region in grown(edges, image.seeds)]
    starts: list[Region] = []
    for score, region in sorted(scored, key=lambda pair: -pair[0]):
        alike = (((region & s).sum() / max(1, (region | s).sum())) >= 0.8 for s in starts)
        if score > 0 and not any(alike):
            starts.append(region)
        if len(starts) == most:
            break
    return starts


def _features(values: Image, lightness: float, colour: float) -> NDArray[np.uint8]:
    """L*a*b* with weighted axes, as the 8 bits GrabCut takes."""
    weighted = values * np.array([lightness, colour, colour]) + np.array([0.0, 128.0, 128.0])
    return np.clip(weighted, 0, 255).astype(np.uint8)


def _grab_cut(features: NDArray[np.uint8], start: Region, image: _Marked, rounds: int = 3) -> Region:
    """GrabCut (Rother et al. 2004) from ``start``, its trimap renewed around the result ``rounds`` times."""
    region = start
    for _ in range(rounds):
        unit = max(2, int(0.1 * np.sqrt(region.sum())))
        trimap = np.full(region.shape, cv2.GC_BGD, np.uint8)
        trimap[cv2.dilate(region, disc(4 * unit)) > 0] = cv2.GC_PR_BGD
        trimap[region > 0] = cv2.GC_PR_FGD
        if image.seeds.any():
            trimap[cv2.erode(region, disc(2 * unit)) > 0] = cv2.GC_FGD
        cut = _cut(features, trimap, image, 8 * unit, 3)
        region = cleaned(cut, image.seeds, max(1, int(0.04 * np.sqrt(cut.sum()))))
        if not region.any():
            break
    return region


def _cut(features: NDArray[np.uint8], trimap: Region, image: _Marked, margin: int, iterations: int) -> Region:
    """One GrabCut in a window around the trimap's unknown part; the artist's marks are kept."""
    trimap[image.seeds > 0] = cv2.GC_FGD
    trimap[(image.never | image.rim) > 0] = cv2.GC_BGD
    x, y, w, h = cv2.boundingRect((trimap > 0).astype(np.uint8))
    rows = slice(max(0, y - margin), y + h + margin)
    columns = slice(max(0, x - margin), x + w + margin)
    window = trimap[rows, columns].copy()
    if not ((window & 1) > 0).any() or not ((window & 1) == 0).any():
        return (trimap & 1).astype(np.uint8)
    cv2.setRNGSeed(0)
    crop = np.ascontiguousarray(features[rows, columns])
    whole = (0, 0, crop.shape[1], crop.shape[0])  # not used with a mask
    cv2.grabCut(crop, window, whole, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK)
    result = np.zeros_like(trimap)
    result[rows, columns] = window & 1
    return result


def _watersheds(edges: Image, region: Region, image: _Marked) -> list[Region]:
    """The region with its outline moved to the strongest edge within a margin, for a few margins."""
    found = []
    for margin in WATERSHED_MARGINS:
        radius = max(2, int(margin * np.sqrt(region.sum())))
        inner = cv2.erode(np.pad(region, radius), disc(radius))[radius:-radius, radius:-radius]
        if not inner.any():
            continue
        markers = np.zeros(region.shape, np.int32)
        markers[(cv2.dilate(region, disc(radius)) == 0) | (image.never > 0)] = 2
        markers[(inner > 0) | (image.seeds > 0)] = 1
        if (markers == 2).any():
            flooded = (watershed(np.minimum(edges, 12.0), markers) == 1).astype(np.uint8)
            found.append(cleaned(flooded, image.seeds, 2))
    return found


def _refined(image: _Marked, coarse: Region, zoom: float, resting: bool) -> Region:
    """The outline at full size: GrabCut in a band of two coarse pixels around the coarse outline."""
    size = (image.rgb.shape[1], image.rgb.shape[0])
    larger = enlarged(coarse.astype(np.float32), *size)
    region = (blurred(larger, max(0.5, 0.5 * zoom)) > 0.5).astype(np.uint8)
    band = max(2, round(2 * zoom))
    trimap = np.full(region.shape, cv2.GC_BGD, np.uint8)
    trimap[cv2.dilate(region, disc(band)) > 0] = cv2.GC_PR_BGD
    trimap[region > 0] = cv2.GC_PR_FGD
    trimap[cv2.erode(np.pad(region, band, mode="edge"), disc(band))[band:-band, band:-band] > 0] = cv2.GC_FGD
    lightness, colour = LAB_WEIGHTS[0]
    cut = _cut(_features(lab(image.rgb), lightness, colour), trimap, image, 4 * band, 2)
    smooth = (blurred(cut.astype(np.float32), max(0.6, 0.35 * zoom)) > 0.5).astype(np.uint8)
    radius = max(1, round(zoom))
    region = cleaned(smooth, image.seeds, radius)
    if not resting:
        return region
    lit = blurred(without_contact_shadow(image.rgb, region).astype(np.float32), 1.0 + 0.5 * zoom)
    return cleaned((lit > 0.5).astype(np.uint8), image.seeds, radius)
