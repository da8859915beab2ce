"""Objects whose outline the artist draws, corner by corner: what no segmenter tells from what is behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from perpetua.errors import SegmentationError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.matte import soften
from perpetua.reconstruct.segment import check_marks
from perpetua_protocol.take import ObjectSpec

FEWEST_PIXELS = 40


def matte(picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
    """[H, W] coverage in [0, 1] of ``thing``, soft at its edge. Raises ``SegmentationError``."""
    return soften(picture.rgb, inside(picture, thing).astype(np.uint8))


def inside(picture: Picture, thing: ObjectSpec) -> NDArray[np.bool_]:
    """[H, W] the pixels within the polygon whose corners are the clicks of ``thing``, pixels of the file. Raises ``SegmentationError`` if a
    corner lies outside the picture, or the corners enclose nothing."""
    height, width = picture.rgb.shape[:2]
    check_marks(thing, width / picture.scale, height / picture.scale)
    corners = np.array([[click.x, click.y] for click in thing.clicks]) * picture.scale
    region = np.zeros((height, width), bool)
    region[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, region.shape)] = (
        True  # pixels whose centres are inside
    )
    if region.sum() < FEWEST_PIXELS:
        raise SegmentationError(
            f"The outline of '{thing.name}' encloses next to nothing; click its corners in the order in which they follow each other."
        )
    return region
