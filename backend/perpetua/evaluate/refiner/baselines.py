"""What a refiner has to beat. Filters change only the picture: what they show has the coarse video's depth and flow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.clips.clip import Clip
from perpetua.clips.motion import lift, turned
from perpetua.evaluate.video.warping import HIDDEN_SHARE, backward, inside
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import About
from perpetua.phys4d.data.unpack import coarse_clip
from perpetua.refine.space_time.anchor import anchored

UNCOVERED = 0.02
"""A pixel of the first frame is background if things cover less of it."""
FAR_M = 1e3
"""How far away what has no depth is taken to be."""
NEIGHBOUR = 0.25
"""Weight of the frame before and of the frame after in the filter, against 0.5 of the frame itself (a binomial kernel)."""


def kept_background(about: About, clip: ClipArrays) -> Clip:
    """Wherever no thing is, what the fine first frame shows at that place of the room, and the coarse video elsewhere.

    Places are found by the coarse video's depth and its cameras, so that cameras may move.
    """
    coarse = coarse_clip(about, clip)
    alpha, first = clip.coarse_alpha / np.float32(255), clip.rgb[0].astype(np.float32)
    bare = (alpha[0] < UNCOVERED).astype(np.float32)
    out = np.empty_like(coarse.rgb)
    for t, frame in enumerate(coarse.rgb):
        x, y = _seen_from_first(clip, t)
        within = (x >= 0) & (y >= 0) & (x <= x.shape[1] - 1) & (y <= x.shape[0] - 1)
        shown = cv2.remap(first, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = within & (cv2.remap(bare, x, y, cv2.INTER_LINEAR) > 1 - UNCOVERED)
        share = (known * (1 - alpha[t]))[..., None]
        out[t] = np.rint(share * shown + (1 - share) * frame).astype(np.uint8)
    return replace(coarse, rgb=out)


def carried(about: About, clip: ClipArrays) -> Clip:
    """What the coarse first frame lacks of the fine one, carried along the coarse flow and added: all that a refiner can know without
    having learned anything."""
    coarse = coarse_clip(about, clip)
    assert coarse.flow is not None
    video, first, alpha = (
        part.astype(np.float32) / np.float32(255) for part in (coarse.rgb, clip.rgb[0], clip.coarse_alpha)
    )
    found = anchored(video, first, alpha, coarse.flow.forward)
    return replace(coarse, rgb=np.rint(255 * found).astype(np.uint8))


def temporal_filter(about: About, clip: ClipArrays) -> Clip:
    """Each frame mixed with its neighbours, 1 : 2 : 1, carried along the coarse flow; what they do not see stays as it is."""
    coarse = coarse_clip(about, clip)
    assert coarse.flow is not None
    video, depth, flow = coarse.rgb.astype(np.float32), clip.coarse_depth, coarse.flow.forward
    out = np.empty_like(video)
    for t, frame in enumerate(video):
        total, weight = 0.5 * frame, np.full(frame.shape[:2], 0.5, np.float32)
        neighbours = [(t + 1, flow[t], inside(flow[t]))] if t < len(flow) else []
        if t:
            neighbours.append((t - 1, *turned(flow[t - 1], depth[t - 1])))
        for other, step, known in neighbours:
            share = NEIGHBOUR * (known & _same_depth(depth[t], depth[other], step))
            total = total + share[..., None] * backward(video[other], step)
            weight = weight + share
        out[t] = total / weight[..., None]
    return replace(coarse, rgb=np.rint(out).astype(np.uint8))


def _seen_from_first(clip: ClipArrays, t: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y [H, W], in pixels from the first one's centre, of where the first frame's camera sees what each pixel of frame t does."""
    depth = clip.coarse_depth[t]
    height, width = depth.shape
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x.ravel(), y.ravel()], 1) + 0.5
    away = np.where(depth > 0, depth, FAR_M).ravel().astype(np.float64)
    points = lift(pixels, away, clip.K[t], clip.world_to_camera[t])
    first = clip.world_to_camera[0]
    seen = (points @ first[:3, :3].T + first[:3, 3]) @ clip.K[0].T
    z = np.where(seen[:, 2] > 0, seen[:, 2], np.nan)  # behind the camera: nowhere
    place = (seen[:, :2] / z[:, None] - 0.5).astype(np.float32).reshape(height, width, 2)
    place = np.nan_to_num(place, nan=-1e4)
    return np.ascontiguousarray(place[..., 0]), np.ascontiguousarray(place[..., 1])


def _same_depth(depth: NDArray, other: NDArray, flow: NDArray) -> NDArray[np.bool_]:
    """[H, W]: whether what the other frame sees where ``flow`` leads is as far away as what a pixel sees."""
    found = backward(other, flow, nearest=True)
    return np.asarray(np.abs(found - depth) <= HIDDEN_SHARE * depth)
