"""How much darker an object makes the table around it, from the picture alone: contact shadow, cast shadow, dark reflection.

Row by row, the table's own colour is taken from the columns on both sides that the object cannot have shaded, and the darkening
is the logarithm of that colour over the picture's. Only darkening that stands out of the table's own unevenness, that the eye
can follow to the object's outline, and that lies near it counts; all else is the table's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.morphology import reconstruction

from perpetua.reconstruct.images import blurred
from perpetua.reconstruct.regions import disc

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

RIM = 2
"""Cells around an outline whose colours mix object and table."""
FINE, COARSE = (2.5, 0.8), (8.0, 3.0)
"""Standard deviations, in cells along and across rows, over which the picture is compared with the table's own colour: at the
outline, where a contact shadow ends sharply, and away from it, where a shadow is soft and grain is not."""
SOFT_FROM, SOFT_TO = 4.0, 16.0
"""Cells from the outline over which the comparison goes from fine to coarse."""
DARKEST = 0.01
"""Brightness (0 to 1) added before logarithms: the noise of an 8-bit picture's shadows."""
FITS = 4
"""Reweighted least squares for a row's own colour; what differs by more than ``OUTLIER`` counts ever less."""
OUTLIER, DARK_OUTLIER = 0.1, 0.05
"""Logarithm of brightness, above and below the row's own: shadows are dark."""
SHARED = 0.06
"""Standard deviation, in the picture's heights, over which rows share their slope."""
LEVEL = 0.02
"""Pull of a row's slope towards none, in weights: a row known on one side only is continued level."""
UNEVEN = 2.5
"""Darkening stands out from so many times the table's own unevenness."""
QUIET = 0.02
"""Least unevenness that is assumed, logarithm: what the eye does not see."""
MOST = 3.0
"""Greatest darkening, logarithm: what is darker is black."""
ENOUGH = 0.1
"""Share of a row's cells on the table that must be free of the object's reach to know the row's own colour."""
TRACED = 5
"""Cells from the outline within which darkening must begin."""


@dataclass(frozen=True)
class Darkening:
    """log: [H, W, 3] >= 0, the logarithm of the table's own colour over the picture's.  known: [H, W], where the picture shows
    the table itself.  table: [H, W, 3], the smooth colour of the table without the object."""

    log: Image
    known: Mask
    table: Image


def find_darkening(
    image: Image, covered: Image, on_table: Mask, nearness: Image, unshaded: Mask
) -> Darkening:
    """The darkening in a picture [H, W, 3] (0 to 1) whose objects cover ``covered`` [H, W].

    on_table: [H, W], the table, also where it is hidden.  nearness: [H, W], one at the objects' foot, zero where they shade
    nothing.  unshaded: [H, W], where most of the table has its own colour.
    """
    hidden = cv2.dilate((covered > 0.01).astype(np.uint8), disc(RIM)) > 0
    known = on_table & ~hidden
    logs = np.log(image.astype(np.float64) + DARKEST)
    free = known & unshaded
    own, sure = _own_colour(logs, free)
    outside = np.asarray(cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, 5), dtype=np.float64)
    soft = np.clip((outside - SOFT_FROM) / (SOFT_TO - SOFT_FROM), 0.0, 1.0)[..., None]
    seen = soft * _mean_of(logs - own, known, COARSE) + (1 - soft) * _mean_of(logs - own, known, FINE)
    unevenness = np.full(3, np.inf)
    if free.any():
        unevenness = np.maximum(QUIET, 1.4826 * np.median(np.abs(seen[free]), 0))
    strength = np.max(-seen / unevenness, -1) * on_table
    standing_out = np.clip(1 - (UNEVEN / np.maximum(strength, 1e-6)) ** 2, 0.0, 1.0)
    dark = standing_out * strength * nearness * sure[:, None]
    traced = _from_the_outline(dark, covered)
    share = np.divide(traced, dark, out=np.zeros_like(dark), where=dark > 1e-6)
    weight = sure[:, None] * standing_out * nearness * share
    log = np.clip(-seen, 0.0, MOST) * weight[..., None]
    return Darkening(log.astype(np.float32), known, (np.exp(own) - DARKEST).clip(0, 1).astype(np.float32))


def _own_colour(logs: Array, free: Mask) -> tuple[Array, Array]:
    """[H, W, 3] a straight line along each row through its ``free`` cells, and [H] how surely they tell it.

    Neighbouring rows share their slope, so that a shadow which leaves the picture on one side does not tilt its rows.
    """
    height, width = free.shape
    x = np.linspace(-1.0, 1.0, width)[None, :, None]
    weight = np.repeat(free[..., None].astype(np.float64), 3, -1)
    slope = np.zeros((height, 1, 3))
    middle = (weight * logs).sum(1, keepdims=True) / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    for _ in range(FITS):
        off = logs - middle - slope * x
        trust = weight / (1 + (off / np.where(off < 0, DARK_OUTLIER, OUTLIER)) ** 2)
        total = trust.sum(1, keepdims=True) + 1e-9
        mean_x = (trust * x).sum(1, keepdims=True) / total
        mean_y = (trust * logs).sum(1, keepdims=True) / total
        dx = x - mean_x
        tilt = gaussian_filter1d((trust * dx * (logs - mean_y)).sum(1, keepdims=True), SHARED * height, 0)
        spread = gaussian_filter1d((trust * dx**2).sum(1, keepdims=True), SHARED * height, 0)
        slope = tilt / (spread + LEVEL * width)
        middle = mean_y - slope * mean_x
    sure = np.clip(free.mean(1) / ENOUGH, 0.0, 1.0)
    return middle + slope * x, sure


def _mean_of(values: Array, where: Mask, blur: tuple[float, float]) -> Array:
    """[H, W, 3]: values blurred over the cells ``where`` only, continued a little beyond them."""
    weight = where.astype(np.float32)
    total = np.zeros(values.shape)
    share = np.zeros(where.shape)
    trust = 1.0
    for times in (1.0, 3.0):
        x, y = blur[0] * times, blur[1] * times
        near = cv2.GaussianBlur((values * weight[..., None]).astype(np.float32), (0, 0), x, sigmaY=y)
        total += trust * np.asarray(near, dtype=np.float64)
        share += trust * np.asarray(cv2.GaussianBlur(weight, (0, 0), x, sigmaY=y), dtype=np.float64)
        trust *= 1e-3
    return total / (share[..., None] + 1e-7)


def _from_the_outline(dark: Array, covered: Image) -> Array:
    """``dark`` [H, W] cut down to what can be followed from the objects' outline without a brighter gap."""
    near = cv2.dilate((covered > 0.01).astype(np.uint8), disc(RIM + TRACED)) > 0
    seed = np.where(near, dark, 0.0)
    traced = np.asarray(reconstruction(seed, dark), dtype=np.float64)
    return np.minimum(dark, blurred(traced.astype(np.float32), 1.0))
