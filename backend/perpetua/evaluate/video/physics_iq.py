"""Physics-IQ: does matter move where, when and as much as it truly did? (Motamed et al. 2025, and the benchmark's published program.)

A pixel moves in a frame where its blurred grey value differs from its running mean. The masks of movement of a generated video are
compared with those of the true one, and everything is measured against how much two takes of the same true scene differ, so that
100 means: as good as a second take.

The program writes its masks into an MPEG-4 file and reads them back, which moves some of their edges. ``as_filed`` does the same,
because scores are comparable only with it. The score is of a whole set of clips, from means over it, with the program's roundings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SECONDS = 5.0
"""Only so much of a video is looked at."""
BLUR, MEAN_WEIGHT, DIFFERENCE, OPENING = 5, 0.3, 10, 5
"""Side of the blur in pixels, share of the current frame in the running mean, levels of 255, side of the opening and closing."""
REDUCTION = 4
"""Masks and pictures are compared at a quarter of their size."""
HALF = 127


@dataclass(frozen=True)
class Agreement:
    """How alike two videos move. Per frame: ``spatiotemporal`` IoU of the masks and ``mse`` of the pictures in [0, 1]; over all
    frames: ``spatial`` IoU of where anything ever moved, ``weighted`` IoU of how often it moved there."""

    spatiotemporal: NDArray[np.float64]
    spatial: float
    weighted: float
    mse: NDArray[np.float64]


def motion_masks(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[T, H, W], 0 or 255: where a video [T, H, W, 3] moves. The first frame has nothing to differ from and is empty."""
    square = np.ones((OPENING, OPENING), np.uint8)
    masks = np.zeros(rgb.shape[:3], np.uint8)
    mean: NDArray[np.float64] | None = None
    for number, frame in enumerate(rgb):
        grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (BLUR, BLUR), 0)
        if mean is None:
            mean = grey.astype(np.float64)
            continue
        cv2.accumulateWeighted(grey, mean, MEAN_WEIGHT)
        apart = cv2.absdiff(grey, cv2.convertScaleAbs(mean))
        moved = cv2.threshold(apart, DIFFERENCE, 255, cv2.THRESH_BINARY)[1]
        masks[number] = cv2.morphologyEx(
            cv2.morphologyEx(moved, cv2.MORPH_OPEN, square), cv2.MORPH_CLOSE, square
        )
    return masks


def as_filed(masks: NDArray[np.uint8], fps: float) -> NDArray[np.uint8]:
    """Masks [T, H, W] as they come back from the MPEG-4 file that the published program keeps them in. Sides must be even."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "masks.mp4")
        writer = cv2.VideoWriter(
            path, cv2.VideoWriter.fourcc(*"mp4v"), max(1, round(fps)), masks.shape[:0:-1], isColor=False
        )
        for mask in masks:
            writer.write(mask)
        writer.release()
        reader, frames = cv2.VideoCapture(path), []
        while (read := reader.read())[0]:
            frames.append(read[1][..., 0])
        reader.release()
    return np.stack(frames)


def agreement(video: NDArray[np.uint8], truth: NDArray[np.uint8], fps: float) -> Agreement:
    """Of two videos [T, H, W, 3] at one frame rate; the shorter, and five seconds, decide how many frames count."""
    count = min(len(video), len(truth), round(SECONDS * fps))
    height, width = (side - side % 2 for side in truth.shape[1:3])
    pair = [v[:, :height, :width] for v in (video, truth)]
    masks = [_quarter(as_filed(motion_masks(v), fps)[:count]) > HALF for v in pair]
    pictures = [_quarter(v[:count]).astype(np.float64) / 255 for v in pair]
    return Agreement(
        np.array([_iou(a, b) for a, b in zip(*masks)]),
        _iou(*(np.asarray(m.any(0)) for m in masks)),
        _weighted_iou(masks[0].mean(0), masks[1].mean(0)),
        ((pictures[0] - pictures[1]) ** 2).mean((1, 2, 3)),
    )


def score(clips: Sequence[Agreement], variances: Sequence[Agreement]) -> float | None:
    """0 to 100 for a set: ``clips`` are predictions against take 1, ``variances`` take 2 against take 1 of the same scenes. None where
    the two takes never move in the same places, so that there is nothing to measure against.

    100 clip[(ST / ST_var + S / S_var + WS / WS_var) / 3 - (MSE - MSE_var), 0, 1], of means over the set; rounded where the
    published program rounds: each frame's figures and the variances to 4 digits (spatial 5), the score to 2.
    """
    found = [_mean([np.round(c.spatiotemporal, 4).mean() for c in clips]), _mean([c.spatial for c in clips])]
    found.append(_mean([c.weighted for c in clips]))
    chance = [
        round(_mean([np.round(v.spatiotemporal, 4).mean() for v in variances]), 4),
        round(_mean([v.spatial for v in variances]), 5),
        round(_mean([v.weighted for v in variances]), 4),
    ]
    mse = _mean([np.round(c.mse, 4).mean() for c in clips])
    mse_chance = round(_mean([np.round(v.mse, 4).mean() for v in variances]), 4)
    if min(chance) <= 0:
        return None
    alike = sum(a / b for a, b in zip(found, chance)) / 3
    return round(100 * min(max(alike - (mse - mse_chance), 0.0), 1.0), 2)


def at_rate(rgb: NDArray[np.uint8], fps: float, wanted: float) -> NDArray[np.uint8]:
    """The first five seconds of a video [T, H, W, 3] at another frame rate, each new frame blended from its two neighbours."""
    seconds = min(SECONDS, len(rgb) / fps)
    old = rgb[: max(1, int(seconds * fps))]
    count = max(1, int(seconds * wanted))
    places = np.arange(count) * (len(old) - 1) / max(count - 1, 1)
    out = np.empty((count, *rgb.shape[1:]), np.uint8)
    for number, place in enumerate(places):
        before = int(place)
        after, share = min(before + 1, len(old) - 1), np.float32(place - before)
        out[number] = (1 - share) * old[before].astype(np.float32) + share * old[after].astype(np.float32)
    return out


def _quarter(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (frames.shape[2] // REDUCTION, frames.shape[1] // REDUCTION)
    return np.stack([cv2.resize(f, size) for f in frames])


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def _weighted_iou(a: NDArray, b: NDArray) -> float:
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union else 1.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
