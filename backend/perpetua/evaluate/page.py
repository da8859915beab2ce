"""Pieces of a report's page that needs no other file: tables, curves, videos side by side, and how it all looks."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.mp4 import write_video

PALETTE = ("#777777", "#d08a28", "#b3413a", "#2f6fb0", "#7fb2d9", "#4f9d5d", "#8a63a8", "#444444")
VIDEO_ZOOM, VIDEO_COLUMNS, CAPTION = 2, 3, 18
"""Small videos are enlarged so often, stand so many in a row, under a caption of so many pixels."""
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
div.table{overflow-x:auto}table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .6em;border-bottom:1px solid #ddd;text-align:right}td{white-space:nowrap}
td:first-child,th:first-child{text-align:left;white-space:nowrap}figure{display:inline-block;margin:.5em}figcaption{font-size:13px;color:#555}
.best{font-weight:600}.ours td{background:#eef4fb}video,img{max-width:100%}"""


def line_chart(
    lines: Mapping[str, Sequence[float]],
    from_zero: bool = True,
    width: int = 330,
    height: int = 210,
    first: float = 1,
    step: float = 1,
) -> str:
    """Values at ``first``, ``first`` + ``step`` and so on, one line a name, as an SVG element; empty if no value is finite."""
    left, bottom, top = 58, 24, 10
    values = [v for line in lines.values() for v in line if np.isfinite(v)]
    if not values:
        return ""
    high = max(values) * 1.05 or 1.0
    low = 0.0 if from_zero else min(values) - 1.0
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
    for index in range(0, count, -(-count // 12)):
        x = place(index, low).split(",")[0]
        parts.append(f"<text x='{x}' y='{height - 8}' text-anchor='middle'>{first + index * step:g}</text>")
    for number, line in enumerate(lines.values()):
        points = " ".join(place(i, v) for i, v in enumerate(line) if np.isfinite(v))
        colour = PALETTE[number % len(PALETTE)]
        parts.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
    return "".join(parts) + "</svg>"


def table_element(headings: Sequence[str], rows: Sequence[Sequence[str]], ours: int = 0) -> str:
    """A table, its last ``ours`` rows marked; one that is wider than the page is scrolled by itself."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in headings)
    body = ""
    for index, row in enumerate(rows):
        mark = " class='ours'" if index >= len(rows) - ours else ""
        body += f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
    return f"<div class='table'><table><tr>{head}</tr>{body}</table></div>"


def legend_element(names: Sequence[str]) -> str:
    """Which colour is whose, in the order of a chart's lines."""
    marks = (
        f"<span style='color:{PALETTE[i % len(PALETTE)]}'>&#9632;</span> {html.escape(name)}"
        for i, name in enumerate(names)
    )
    return f"<p>{' '.join(marks)}</p>"


def tiled(
    videos: Mapping[str, NDArray[np.uint8]], zoom: int = VIDEO_ZOOM, columns: int = VIDEO_COLUMNS
) -> NDArray[np.uint8]:
    """[T, H', W', 3]: videos [T, H, W, 3] of one size side by side, each under its name, the shorter held on their last frame."""
    count = max(len(video) for video in videos.values())
    cells = [_captioned(label, _held(video, count), zoom) for label, video in videos.items()]
    columns = min(columns, len(cells))
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.concatenate(cells[i : i + columns], 2) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, 1)


def figure_element(svg: str, caption: str) -> str:
    """A chart with its caption, or nothing without a chart."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>" if svg else ""


def video_element(frames: NDArray[np.uint8], fps: float) -> str:
    """A video [T, H, W, 3] that lies in the page itself and plays without end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "side_by_side.mp4"
        height, width = frames.shape[1:3]
        write_video(path, frames, fps, (width, height))
        data = base64.b64encode(path.read_bytes()).decode()
    return f"<p><video controls loop muted autoplay src='data:video/mp4;base64,{data}'></video></p>"


def picture_element(picture: NDArray[np.uint8]) -> str:
    """A picture [H, W, 3] that lies in the page itself."""
    encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
    return f"<img src='data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}'>"


def _held(video: NDArray, count: int) -> NDArray:
    """The video with its last frame held until it has ``count`` frames."""
    return np.concatenate([video, np.repeat(video[-1:], count - len(video), 0)])


def _captioned(label: str, video: NDArray[np.uint8], zoom: int) -> NDArray[np.uint8]:
    large = video.repeat(zoom, 1).repeat(zoom, 2)
    band = np.zeros((CAPTION, large.shape[2], 3), np.uint8)
    cv2.putText(
        band, label, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([np.repeat(band[None], len(large), 0), large], 1)
