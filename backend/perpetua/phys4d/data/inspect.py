"""A look at a data set: a sheet of its clips, and what is in it in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import Entry, read_clips

COLUMNS = 4
LABEL_HEIGHT = 14
"""pixels"""
LEAST_WIDTH = 160
"""pixels a frame is shown wide, by whole factors."""
PAPER, INK = (24, 24, 26), (220, 220, 220)
MOVING_PIXELS = 0.3
HALF = 127
"""Of 255: from there on a pixel is shown as covered."""
NEAR_M, FAR_M = 0.2, 1.6
"""Range of depth that the sheet shows, from white to black."""


@dataclass(frozen=True)
class Statistics:
    """counts: of clips by category, template, camera path and split.  psnr: dB, coarse against fine, by category.  moving: share of
    pixels that move, by category.  bytes_a_clip: on disk.  seconds: a scene, by stage, mean."""

    counts: dict[str, dict[str, int]]
    psnr: dict[str, float]
    moving: dict[str, float]
    bytes_a_clip: float
    seconds: dict[str, float]


def contact_sheet(entries: Sequence[Entry], path: Path) -> Path:
    """Write a PNG: two rows a clip, the truth (four frames, its depth, flow and masks) and the coarse video."""
    rows = []
    for about, clip in read_clips(entries):
        factor = max(1, -(-LEAST_WIDTH // about.width))
        chosen = np.linspace(0, about.frames - 1, COLUMNS).round().astype(int)
        last = about.frames - 2
        true = [clip.rgb[i] for i in chosen] + [
            _depth(clip.depth[last]),
            _flow(clip.flow[last]),
            _masks(clip.masks[last]),
        ]
        coarse = [clip.coarse_rgb[i] for i in chosen]
        coarse += [
            _depth(clip.coarse_depth[last]),
            _flow(clip.coarse_flow[last]),
            _masks(clip.coarse_alpha[last] > HALF),
        ]
        rows.append((f"{about.clip}  {about.template}  {about.path}  {about.split}", true, coarse, factor))
    cells = [(factor * true[0].shape[1], factor * true[0].shape[0]) for _, true, _, factor in rows]
    width = max(w for w, _ in cells) * (COLUMNS + 3)
    sheet = Image.new("RGB", (width, sum(2 * h + LABEL_HEIGHT for _, h in cells)), PAPER)
    draw, top = ImageDraw.Draw(sheet), 0
    for (label, true, coarse, _), (w, h) in zip(rows, cells, strict=True):
        draw.text((4, top + 1), label, fill=INK)
        for line, pictures in enumerate((true, coarse)):
            for column, picture in enumerate(pictures):
                cell = Image.fromarray(picture).resize((w, h), Image.Resampling.NEAREST)
                sheet.paste(cell, (column * w, top + LABEL_HEIGHT + line * h))
        top += 2 * h + LABEL_HEIGHT
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def statistics(entries: Sequence[Entry]) -> Statistics:
    """Of all ``entries``; reads every clip."""
    counts: dict[str, Counter] = {name: Counter() for name in ("category", "template", "path", "split")}
    psnr, moving = defaultdict(list), defaultdict(list)
    seconds: dict[str, dict[str, float]] = {}
    for about, clip in read_clips(entries):
        for name, counter in counts.items():
            counter[getattr(about, name)] += 1
        psnr[about.category].append(_psnr(clip))
        moving[about.category].append(
            float((np.linalg.norm(clip.flow.astype(np.float32), axis=-1) > MOVING_PIXELS).mean())
        )
        seconds[about.scene] = msgspec.json.decode(about.seconds, type=dict[str, float])
    stages = {stage for of in seconds.values() for stage in of}
    shards = {entry.shard for entry in entries}
    return Statistics(
        {name: dict(sorted(counter.items())) for name, counter in counts.items()},
        {name: float(np.mean(values)) for name, values in psnr.items()},
        {name: float(np.mean(values)) for name, values in moving.items()},
        sum(shard.stat().st_size for shard in shards) / max(len(entries), 1),
        {stage: float(np.mean([of.get(stage, 0.0) for of in seconds.values()])) for stage in sorted(stages)},
    )


def _psnr(clip: ClipArrays) -> float:
    error = ((clip.rgb.astype(np.float32) - clip.coarse_rgb) / 255) ** 2
    return float(-10 * np.log10(error.mean() + 1e-10))


def _depth(depth: NDArray) -> NDArray[np.uint8]:
    near = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    share = (near - 1 / FAR_M) / (1 / NEAR_M - 1 / FAR_M)
    return np.repeat((255 * share.clip(0, 1)).astype(np.uint8)[..., None], 3, 2)


def _flow(flow: NDArray) -> NDArray[np.uint8]:
    """Direction as hue, length as strength of colour, on white."""
    import cv2

    x, y = flow.astype(np.float32)[..., 0], flow.astype(np.float32)[..., 1]
    length = np.hypot(x, y)
    hue = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 179).astype(np.uint8)
    strength = (255 * (length / max(float(np.quantile(length, 0.99)), 0.5)).clip(0, 1)).astype(np.uint8)
    coloured = cv2.cvtColor(np.stack([hue, strength, np.full_like(hue, 255)], -1), cv2.COLOR_HSV2RGB)
    return coloured.astype(np.uint8)


def _masks(masks: NDArray) -> NDArray[np.uint8]:
    colours = np.array(
        [
            (30, 30, 34),
            (230, 120, 90),
            (110, 180, 230),
            (150, 210, 110),
            (230, 200, 90),
            (190, 130, 220),
            (120, 220, 200),
        ]
    )
    return colours[np.where(masks == 0, 0, 1 + (masks.astype(int) - 1) % (len(colours) - 1))].astype(np.uint8)
