"""What the benchmark found, as text, as JSON, and as a page with tables, curves and videos that needs no other file."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.cache.export_video import write_video
from perpetua.evaluate.suite import LoopSettings, RoundFigures, SceneResult, VariantFigures
from perpetua.evaluate.variants import LABELS

COLUMNS = {
    "final_drift_mm": "final drift, mm",
    "final_drift_percent": "% of size",
    "drift_mm": "drift, mm",
    "forecast_drift_mm": "forecast drift, mm",
    "velocity_error_mm_s": "velocity error, mm/s",
    "psnr_db": "held-out PSNR, dB",
    "flicker": "flicker, /255",
}
"""Figures of a table, and their headings."""
CURVES = ("final_drift_mm", "forecast_drift_mm", "psnr_db")
PALETTE = ("#777777", "#d08a28", "#b3413a", "#2f6fb0", "#7fb2d9", "#4f9d5d", "#8a63a8", "#444444")
VIDEO_ZOOM, VIDEO_COLUMNS, CAPTION = 2, 3, 18
"""Videos are enlarged so often, stand so many in a row, under a caption of so many pixels."""
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5em}figcaption{font-size:13px;color:#555}
.best{font-weight:600}video{max-width:100%}"""


def as_json(results: Sequence[SceneResult], settings: LoopSettings) -> bytes:
    """``settings``, ``worlds.<scene>`` (what it is) and ``scenes.<scene>.<variant>`` (the figures)."""
    record: dict[str, Any] = {
        "settings": asdict(settings),
        "worlds": {
            r.world.name: {"truth": r.world.truth.says, "size_mm": r.size_mm, "particles": r.particles}
            for r in results
        },
        "scenes": {r.world.name: r.figures for r in results},
    }
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def as_rows(result: SceneResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a scene's table, one row a variant."""
    rows = []
    for name, figures in result.figures.items():
        values = [_number(getattr(figures, column)) for column in COLUMNS]
        rows.append([LABELS.get(name, name), *values])
    return ["", *COLUMNS.values()], rows


def as_html(results: Sequence[SceneResult], settings: LoopSettings) -> str:
    """The whole page."""
    spent = f"{settings.renders} renders a pass"
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>The loop against known truths</title><style>{STYLE}</style>",
        "<h1>The loop against known truths</h1>",
        "<p>Each scene is played in a true world whose physics differs from the simulator's. A variant sees only videos of the truth, "
        "made inconsistent from view to view; drifts are mean distances of particles from where they truly are. "
        "Forecast drift is that of the next round, simulated from the state that was handed on, with no video to help.</p>",
        f"<p>{settings.rounds} rounds of {settings.frames} frames, {settings.width}x{settings.height} pixels, {spent}.</p>",
    ]
    for result in results:
        parts += [
            f"<h2>{html.escape(result.world.name)}</h2>",
            f"<p>In truth: {html.escape(result.world.truth.says)}. {result.particles} particles, {result.size_mm:.0f} mm large.</p>",
            _table(result),
            *(_failure(name, figures) for name, figures in result.figures.items() if figures.failed),
            *(_figure(curves_svg(result.figures, name), f"{CURVE_TITLES[name]} by round") for name in CURVES),
            _video(side_by_side(result), settings.fps),
        ]
    return "\n".join(parts)


CURVE_TITLES = {
    "final_drift_mm": "Final drift, mm,",
    "forecast_drift_mm": "Forecast drift, mm,",
    "psnr_db": "Held-out PSNR, dB,",
}
"""Titles of the curves."""


def curves_svg(figures: dict[str, VariantFigures], name: str, width: int = 330, height: int = 210) -> str:
    """A figure over the rounds, one line a variant, as an SVG element."""
    left, bottom, top = 40, 24, 10
    lines = {label: [_value(r, name) for r in found.rounds] for label, found in figures.items()}
    values = [v for line in lines.values() for v in line if np.isfinite(v)]
    if not values:
        return ""
    high = max(values) * 1.05 or 1.0
    low = 0.0 if name != "psnr_db" else min(values) - 1.0
    count = max(len(line) for line in lines.values())

    def place(index: int, value: float) -> str:
        x = left + (width - left - 10) * (index / max(1, count - 1))
        y = height - bottom - (height - bottom - top) * (min(value, high) - low) / max(high - low, 1e-9)
        return f"{x:.1f},{y:.1f}"

    parts = [f"<svg width='{width}' height='{height}' role='img' font-size='11' font-family='sans-serif'>"]
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        y = place(0, value).split(",")[1]
        parts.append(f"<line x1='{left}' x2='{width}' y1='{y}' y2='{y}' stroke='#e4e4e4'/>")
        parts.append(f"<text x='{left - 4}' y='{y}' text-anchor='end'>{value:.3g}</text>")
    for index in range(count):
        x = place(index, low).split(",")[0]
        parts.append(f"<text x='{x}' y='{height - 8}' text-anchor='middle'>{index + 1}</text>")
    for number, line in enumerate(lines.values()):
        points = " ".join(place(i, v) for i, v in enumerate(line) if np.isfinite(v))
        colour = PALETTE[number % len(PALETTE)]
        parts.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
    return "".join(parts) + "</svg>"


def side_by_side(result: SceneResult) -> NDArray[np.uint8]:
    """[T, H, W, 3]: the held-out camera's videos of all rounds, the truth's first, each under its name."""
    strips = []
    for label, paths in result.videos.items():
        if paths:
            rounds = [np.load(path)[(index > 0) :] for index, path in enumerate(paths)]
            strips.append((LABELS.get(label, label), np.concatenate(rounds)))
    count = max(len(video) for _, video in strips)
    cells = [_captioned(label, _held(video, count)) for label, video in strips]
    while len(cells) % VIDEO_COLUMNS:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.concatenate(cells[i : i + VIDEO_COLUMNS], 2) for i in range(0, len(cells), VIDEO_COLUMNS)]
    return np.concatenate(rows, 1)


def _held(video: NDArray, count: int) -> NDArray:
    """The video with its last frame held until it has ``count`` frames."""
    return np.concatenate([video, np.repeat(video[-1:], count - len(video), 0)])


def _captioned(label: str, video: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = video.repeat(VIDEO_ZOOM, 1).repeat(VIDEO_ZOOM, 2)
    band = np.zeros((CAPTION, large.shape[2], 3), np.uint8)
    cv2.putText(
        band, label, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([np.repeat(band[None], len(large), 0), large], 1)


def _table(result: SceneResult) -> str:
    headings, rows = as_rows(result)
    head = "".join(f"<th>{html.escape(h)}</th>" for h in headings)
    body = ""
    for number, row in enumerate(rows):
        mark = f"<span style='color:{PALETTE[number % len(PALETTE)]}'>&#9632;</span> "
        cells = [mark + html.escape(row[0]), *map(html.escape, row[1:])]
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def _failure(name: str, figures: VariantFigures) -> str:
    return f"<p>{html.escape(LABELS.get(name, name))} stopped in round {len(figures.rounds) + 1}: {html.escape(figures.failed or '')}</p>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>" if svg else ""


def _video(frames: NDArray[np.uint8], fps: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "side_by_side.mp4"
        height, width = frames.shape[1:3]
        write_video(path, frames, fps, (width, height))
        data = base64.b64encode(path.read_bytes()).decode()
    return f"<p><video controls loop muted autoplay src='data:video/mp4;base64,{data}'></video></p>"


def _value(figures: RoundFigures, name: str) -> float:
    value = getattr(figures, name)
    return float("nan") if value is None else float(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
