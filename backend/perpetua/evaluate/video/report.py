"""What was measured, as rows of a table, as JSON with documented keys, and as a page."""

from __future__ import annotations

import html
from typing import Any

import msgspec
import numpy as np

from perpetua.evaluate.page import PALETTE, STYLE, figure_element, line_chart, tiled, video_element
from perpetua.evaluate.video.clip_figures import ClipFigures
from perpetua.evaluate.video.figures import CURVES, FIGURES
from perpetua.evaluate.video.intervals import Interval
from perpetua.evaluate.video.published import TABLES, PublishedTable
from perpetua.evaluate.video.suite import SetFigures, worst_first

WIDE_PX = 320
"""Videos narrower than this are enlarged on the page."""
WORST_COLUMNS = (
    "picture.psnr",
    "depth.abs_rel",
    "flow.epe",
    "chamfer_4d.table",
    "worldlines.l2",
    "physics_iq.st_iou",
)
"""What the list of clips shows of each."""


def as_json(result: SetFigures) -> bytes:
    """The keys are described in docs/evaluation.md."""
    record: dict[str, Any] = {
        "clips": {c.name: _clip(c) for c in result.clips},
        "means": result.means,
        "physics_iq_score": result.score,
        "fvd": result.fvd,
        "unavailable": result.unavailable,
        "worst_first": worst_first(result),
    }
    if result.baseline:
        record["baseline"] = {
            "clips": {c.name: _clip(c) for c in result.baseline},
            "means": result.baseline_means,
            "physics_iq_score": result.baseline_score,
        }
        record["paired"] = result.paired
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def _clip(clip: ClipFigures) -> dict[str, Any]:
    return {"figures": clip.figures, "curves": clip.curves, "unavailable": clip.unavailable}


def as_rows(result: SetFigures) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: every figure's mean and interval, the baseline's and the paired difference where there is one."""
    headings = ["", "unit", "mean", "95% interval", "clips"]
    if result.baseline:
        headings += ["baseline", "difference", "95% interval"]
    rows = []
    for key, found in result.means.items():
        figure = FIGURES[key]
        row = [figure.title, figure.unit, number(found.mean), _interval(found), str(found.clips)]
        if result.baseline:
            other, apart = result.baseline_means.get(key), result.paired.get(key)
            row += [
                "-" if other is None else number(other.mean),
                "-" if apart is None else number(apart.mean),
            ]
            row.append("-" if apart is None else _interval(apart))
        rows.append(row)
    return headings, rows


def as_html(result: SetFigures) -> str:
    """The whole page; it needs no other file."""
    order = worst_first(result)
    score = "unavailable" if result.score is None else f"{result.score:.2f} of 100"
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>Videos against the truth</title><style>{STYLE}</style>",
        "<h1>Videos against the truth</h1>",
        f"<p>{len(order)} clips. Physics-IQ score: {score}. Intervals are of the mean over clips (bootstrap); differences are paired, clip by "
        "clip, prediction minus baseline.</p>",
        element(*as_rows(result)),
        _unavailable(result),
        "<h2>Beside the published figures</h2><p>The paper measured other scenes, at another scale, with other "
        "models: its rows show the order of things and do not rank ours.</p>",
        *(_published(table, result) for table in TABLES),
        "<h2>Clips, the worst first</h2>",
        _clips(result, order),
    ]
    for name in order:
        if name in result.videos:
            parts += [f"<h3>{html.escape(name)}</h3>", *_curves(result, name)]
            videos = result.videos[name]
            zoom = max(1, WIDE_PX // videos["truth"].shape[2])
            parts.append(video_element(tiled(videos, zoom), result.fps))
    return "\n".join(parts)


def element(headings: list[str], rows: list[list[str]], ours: int = 0) -> str:
    """A table, its last ``ours`` rows marked."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in headings)
    body = ""
    for index, row in enumerate(rows):
        mark = " class='ours'" if index >= len(rows) - ours else ""
        body += f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def number(value: float | None) -> str:
    """Four digits that count, or a dash."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.4g}"


def _interval(found: Interval) -> str:
    return "-" if found.ci95 is None else f"{number(found.ci95[0])} to {number(found.ci95[1])}"


def _published(table: PublishedTable, result: SetFigures) -> str:
    rows = [[name, *map(number, values)] for name, values in table.rows.items()]
    own = {"ours": (result.means, result.score, result.fvd)}
    if result.baseline:
        own["ours, baseline"] = (result.baseline_means, result.baseline_score, None)
    for name, (means, score, fvd) in own.items():
        cells = []
        for column in table.columns:
            found = {"physics_iq.score": score, "fvd": None if fvd is None else fvd.value}.get(column.key)
            if column.key in means:
                found = means[column.key].mean * column.factor
            cells.append("unavailable" if found is None else number(found))
        rows.append([name, *cells])
    headings = ["", *(c.heading for c in table.columns)]
    return f"<h3>{html.escape(table.title)}</h3>{element(headings, rows, len(own))}<p>{html.escape(table.note)}</p>"


def _unavailable(result: SetFigures) -> str:
    why = dict(result.unavailable)
    for clip in result.clips:
        for key, reason in clip.unavailable.items():
            why.setdefault(key, f"{reason} (in {clip.name})")
    if not why:
        return ""
    items = "".join(f"<li>{html.escape(k)}: {html.escape(v)}</li>" for k, v in sorted(why.items()))
    return f"<p>Unavailable:</p><ul>{items}</ul>"


def _clips(result: SetFigures, order: list[str]) -> str:
    by_name = {clip.name: clip for clip in result.clips}
    columns = [c for c in WORST_COLUMNS if c in result.means]
    rows = [[name, *(number(by_name[name].figures.get(c)) for c in columns)] for name in order]
    units = (FIGURES[c].title + (f", {FIGURES[c].unit}" if FIGURES[c].unit else "") for c in columns)
    return element(["", *units], rows)


def _curves(result: SetFigures, name: str) -> list[str]:
    sets = {"prediction": result.clips, "baseline": result.baseline}
    clips = {label: clip for label, found in sets.items() for clip in found if clip.name == name}
    charts = []
    for key, title in CURVES.items():
        lines = {label: clip.curves[key] for label, clip in clips.items() if key in clip.curves}
        if lines:
            charts.append(
                figure_element(
                    line_chart(lines, from_zero=key != "picture.psnr", first=0),
                    f"{title}, by frame" if key != "worldlines.fail_curve" else title,
                )
            )
    if len(clips) > 1:
        marks = (f"<span style='color:{PALETTE[i]}'>&#9632;</span> {label}" for i, label in enumerate(clips))
        charts.append(f"<p>{' '.join(marks)}</p>")
    return charts
