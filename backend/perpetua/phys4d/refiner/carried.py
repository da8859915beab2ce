"""A coarse video whose shapes are right: the fine first frame's colours carried along by the true motion, over what the picture shows behind.

Splats fitted to a picture look like it and keep its texture, better than the data set's coarse films do; what they cannot know is how light
and shadow change. A network that never saw such videos would repair outlines and texture that need no repair.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perpetua.phys4d.data.clip import ClipArrays

EDGE_PIXELS = 2
"""Around objects, where pixels mix them with what is behind, nothing is taken for the background."""
PAINT_RADIUS = 4
"""pixels, of Telea's inpainting."""
SOFT_EDGE = (3, 3)
"""pixels, of the mean that an outline is softened by."""


def can_carry(clip: ClipArrays, category: str) -> bool:
    """Whether ``carry`` is possible: the camera stands still, and what is seen has a surface."""
    return category != "gas" and bool((clip.world_to_camera == clip.world_to_camera[0]).all())


def carry(clip: ClipArrays) -> NDArray[np.uint8]:
    """[T, H, W, 3] sRGB. Frame 0 is the fine one; light and shadow stay as they are in it."""
    first = clip.rgb[0]
    things = (clip.masks[0] > 0).astype(np.uint8)
    hole = cv2.dilate(things, np.ones((2 * EDGE_PIXELS + 1,) * 2, np.uint8))
    behind = cv2.inpaint(first, hole, PAINT_RADIUS, cv2.INPAINT_TELEA).astype(np.float32)
    frames = [first]
    for mask, origin in zip(clip.masks[1:], origins(clip)[1:], strict=True):
        origin = _on_its_thing(origin, mask, clip.masks[0])
        coloured = cv2.remap(
            first.astype(np.float32), origin[..., 0], origin[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )  # fmt: skip
        cover = cv2.blur((mask > 0).astype(np.float32), SOFT_EDGE)[..., None]
        frames.append((cover * coloured + (1 - cover) * behind + 0.5).astype(np.uint8))
    return np.stack(frames)


def origins(clip: ClipArrays) -> NDArray[np.float32]:
    """[T, H, W, 2]: the column and row of the first frame that what a pixel sees came from. What was not in sight then has its
    neighbours', of its own thing if that was seen."""
    count, height, width = clip.masks.shape
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    here = np.stack([columns, rows], -1)
    found = [here]
    depth = clip.depth
    for t in range(count - 1):
        to = here + clip.flow[t].astype(np.float32)
        landed = np.rint(to).astype(int)
        inside = ((landed >= 0) & (landed < (width, height))).all(-1) & (clip.masks[t] > 0)
        from_far = np.argsort(-depth[t][inside], kind="stable")  # so that the nearest is written last
        x, y = landed[inside][from_far].T
        following = np.full((height, width, 2), np.nan, np.float32)
        following[y, x] = (found[-1][inside] + (landed - to)[inside])[from_far]
        whose = np.zeros((height, width), np.uint8)
        whose[y, x] = clip.masks[t][inside][from_far]
        found.append(_filled(following, whose, clip.masks[t + 1], here))
    return np.stack(found)


def _on_its_thing(
    origin: NDArray[np.float32], mask: NDArray[np.uint8], first: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """``origin`` moved to the nearest pixel within its own thing in the ``first`` frame's mask, where it lies outside of it."""
    out = origin.copy()
    height, width = first.shape
    for thing in np.unique(mask[mask > 0]):
        there = (first == thing).astype(np.uint8)
        inner = cv2.erode(there, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
        inside = inner if inner.any() else there
        if not inside.any():
            continue
        row, column = distance_transform_edt(inside == 0, return_distances=False, return_indices=True)
        mine = mask == thing
        x, y = np.rint(origin[mine]).astype(int).T
        x, y = x.clip(0, width - 1), y.clip(0, height - 1)
        nearest = np.stack([column[y, x], row[y, x]], -1).astype(np.float32)
        out[mine] = np.where((inside[y, x] > 0)[:, None], origin[mine], nearest)
    return out


def _filled(
    origin: NDArray[np.float32], whose: NDArray[np.uint8], mask: NDArray[np.uint8], here: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``origin`` for every pixel of ``mask``, taken from the nearest that has one of the same thing; ``here`` where there is none."""
    out = here.copy()
    for thing in np.unique(mask[mask > 0]):
        known = (whose == thing) & np.isfinite(origin[..., 0])
        if known.any():
            row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
            mine = mask == thing
            from_there = origin[row, column] + (here - np.stack([column, row], -1))
            near = np.hypot(*(here - np.stack([column, row], -1)).transpose(2, 0, 1)) <= EDGE_PIXELS
            out[mine] = np.where(near[..., None], from_there, origin[row, column])[mine]
    return out.astype(np.float32)
