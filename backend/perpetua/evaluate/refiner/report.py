"""What was measured of refiners, as rows of a table, as JSON with documented keys, and as a page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.page import STYLE, picture_element, table_element, tiled, video_element
from perpetua.evaluate.refiner.figures import METRICS
from perpetua.evaluate.refiner.suite import COARSE, ClipResult, Estimate, RefinerResult
from perpetua.evaluate.video.report import WIDE_PX, number

SHEET_FRAMES = 4
"""Of a video on a sheet, evenly spread."""
PAIR_COLUMNS = ("psnr", "psnr_object", "ssim", "epe", "chamfer_4d", "epe_seen", "flicker")
"""Differences of two refiners that are told of in a row."""
CLIP_COLUMNS = ("psnr", "psnr_object", "ssim", "epe", "chamfer_4d")
"""Paired differences that the list of clips shows."""


def as_json(result: RefinerResult) -> bytes:
    """The keys are described in docs/evaluation.md."""
    record: dict[str, Any] = {
        "judged": result.judged,
        "count": {"clips": len(result.clips), "scenes": len({c.about.scene for c in result.clips})},
        "paired": result.paired(result.judged),
        "against": {name: result.paired(result.judged, name) for name in result.others},
        "compared": [
            {"of": one, "less": other, "paired": result.paired(one, other)} for one, other in result.compared
        ],
        "categories": result.by_category(),
        "refiners": {
            name: {"means": result.means(name), "paired": result.paired(name)} for name in result.names
        },
        "clips": {
            clip.about.clip: {
                "scene": clip.about.scene,
                "category": clip.about.category,
                "figures": clip.figures,
            }
            for clip in result.clips
        },
        "worst_first": [clip.about.clip for clip in result.worst_first()],
    }
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def as_rows(result: RefinerResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each metric's mean for every refiner."""
    means = {name: result.means(name) for name in result.names}
    rows = []
    for key, figure in METRICS.items():
        if any(key in of for of in means.values()):
            cells = [number(of[key].mean) if key in of else "-" for of in means.values()]
            rows.append([figure.title, figure.unit, *cells])
    return ["", "unit", *result.names], rows


def paired_rows(result: RefinerResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each metric's difference to the coarse video with its interval, for every refiner but itself and the truth."""
    names = [name for name in result.names[:-1] if name != COARSE]
    apart = {name: result.paired(name) for name in names}
    rows = []
    for key, figure in METRICS.items():
        if any(key in of for of in apart.values()):
            cells = [_said(of[key]) if key in of else "-" for of in apart.values()]
            rows.append([figure.title, f"{figure.unit}, {figure.better} is better", *cells])
    return ["less the coarse video", "", *names], rows


def against_rows(result: RefinerResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: how far the judged refiner is from each of the others, with the interval."""
    return _pair_rows(result, [(result.judged, name) for name in result.others])


def compared_rows(result: RefinerResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: the same of the pairs that the result names."""
    return _pair_rows(result, result.compared)


def _pair_rows(result: RefinerResult, pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for one, other in pairs:
        apart = result.paired(one, other)
        rows.append(
            [f"{one} less {other}", *(_said(apart[key]) if key in apart else "-" for key in PAIR_COLUMNS)]
        )
    return ["", *(_column(key) for key in PAIR_COLUMNS)], rows


def _column(key: str) -> str:
    figure = METRICS[key]
    return f"{figure.title}, {figure.unit}" if figure.unit else figure.title


def as_html(result: RefinerResult) -> str:
    """The whole page; it needs no other file."""
    scenes = len({clip.about.scene for clip in result.clips})
    order = result.worst_first()
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>Refiners</title><style>{STYLE}</style><h1>Refiners against the truth</h1>",
        f"<p>{len(order)} clips of {scenes} scenes. Each scene counts once, as the mean of its clips; intervals are 95%, of the mean, by "
        f"bootstrap of the scenes. EPE and 4D Chamfer measure the flow and depth that a refiner says its picture has; filters change only "
        f"the picture. {html.escape(result.judged)} is judged.</p>",
        table_element(*as_rows(result)),
        "<h2>Differences</h2>",
        table_element(*paired_rows(result)),
        f"<h2>{html.escape(result.judged)} against each of the others</h2>",
        table_element(*against_rows(result)),
        *(("<h2>Compared</h2>", table_element(*compared_rows(result))) if result.compared else ()),
        "<h2>By category</h2>",
        table_element(*_category_rows(result)),
        "<h2>Clips, the least gain in PSNR first</h2>",
        table_element(*_clip_rows(result, order)),
    ]
    for clip in order:
        name = clip.about.clip
        if name in result.videos:
            videos = result.videos[name]
            zoom = max(1, WIDE_PX // clip.about.width)
            parts += [
                f"<h3>{html.escape(name)}</h3>",
                picture_element(sheet(videos)),
                video_element(tiled(videos, zoom), clip.about.fps),
            ]
    return "\n".join(parts)


def sheet(videos: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """[H', W', 3]: a few frames of each video [T, H, W, 3] in a row, the videos below each other, each under its name."""
    rows = []
    for name, video in videos.items():
        chosen = np.linspace(0, len(video) - 1, SHEET_FRAMES).round().astype(int)
        frames = {f"{name}, frame {at}": video[at : at + 1] for at in chosen}
        rows.append(tiled(frames, columns=SHEET_FRAMES)[0])
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _category_rows(result: RefinerResult) -> tuple[list[str], list[list[str]]]:
    found = result.by_category()
    rows = [
        [name, *(_said(of[key]) if key in of else "-" for key in CLIP_COLUMNS)] for name, of in found.items()
    ]
    return [f"{result.judged} less {COARSE}", *(METRICS[key].title for key in CLIP_COLUMNS)], rows


def _clip_rows(result: RefinerResult, order: list[ClipResult]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for clip in order:
        ours, coarse = clip.figures[result.judged], clip.figures[COARSE]
        apart = (
            number(ours[key] - coarse[key]) if key in ours and key in coarse else "-" for key in CLIP_COLUMNS
        )
        rows.append([clip.about.clip, *apart])
    return [f"{result.judged} less {COARSE}", *(METRICS[key].title for key in CLIP_COLUMNS)], rows


def _said(found: Estimate) -> str:
    if found.ci95 is None:
        return number(found.mean)
    return f"{number(found.mean)} ({number(found.ci95[0])} to {number(found.ci95[1])})"
