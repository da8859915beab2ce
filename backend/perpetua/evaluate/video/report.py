"""What was measured, as rows of a table, as JSON with documented keys, and as a page."""

from __future__ import annotations

import html
from typing import Any

import msgspec
import numpy as np

from perpetua.evaluate.page import (
    STYLE,
    figure_element,
    legend_element,
    line_chart,
    table_element,
    tiled,
    video_element,
)
from perpetua.evaluate.video.clip_figures import ClipFigures
from perpetua.evaluate.video.figures import CURVES, FIGURES
from perpetua.evaluate.video.intervals import Interval
from perpetua.evaluate.video.picture import PSNR_LIMIT_DB
from perpetua.evaluate.video.published import TABLES, PublishedTable
from perpetua.evaluate.video.suite import SetFigures, worst_first
from perpetua.evaluate.video.worldlines import FAIL_CURVE_M

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
    headings = ["", "unit", "better", "mean", "95% interval", "clips"]
    if result.baseline:
        headings += ["baseline", "difference", "95% interval"]
    rows = []
    for key, found in result.means.items():
        figure = FIGURES[key]
        row = [
            figure.title,
            figure.unit,
            figure.better,
            number(found.mean),
            _interval(found),
            str(found.clips),
        ]
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
        table_element(*as_rows(result)),
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
    return f"<h3>{html.escape(table.title)}</h3>{table_element(headings, rows, len(own))}<p>{html.escape(table.note)}</p>"


def _unavailable(result: SetFigures) -> str:
    why = dict(result.unavailable)
    for clip in result.clips:
        for key, reason in clip.unavailable.items():
            why.setdefault(key, f"{reason} (in {clip.name})")
    by_reason: dict[str, list[str]] = {}
    for key, reason in sorted(why.items()):
        by_reason.setdefault(reason, []).append(key)
    said = (f"{', '.join(keys)}: {reason}" for reason, keys in by_reason.items())
    items = "".join(f"<li>{html.escape(line)}</li>" for line in said)
    return f"<p>Unavailable:</p><ul>{items}</ul>" if items else ""


def _clips(result: SetFigures, order: list[str]) -> str:
    by_name = {clip.name: clip for clip in result.clips}
    columns = [c for c in WORST_COLUMNS if c in result.means]
    rows = [[name, *(number(by_name[name].figures.get(c)) for c in columns)] for name in order]
    units = (FIGURES[c].title + (f", {FIGURES[c].unit}" if FIGURES[c].unit else "") for c in columns)
    return table_element(["", *units], rows)


def _curves(result: SetFigures, name: str) -> list[str]:
    sets = {"prediction": result.clips, "baseline": result.baseline}
    clips = {label: clip for label, found in sets.items() for clip in found if clip.name == name}
    charts = []
    for key, title in CURVES.items():
        lines = {label: clip.curves[key] for label, clip in clips.items() if key in clip.curves}
        if not lines:
            continue
        if key == "worldlines.fail_curve":
            first, step = FAIL_CURVE_M[0], FAIL_CURVE_M[1] - FAIL_CURVE_M[0]
            charts.append(figure_element(line_chart(lines, first=first, step=step), title))
        elif key == "picture.psnr":
            chart = line_chart({k: _unequal(v) for k, v in lines.items()}, from_zero=False, first=0)
            charts.append(figure_element(chart, f"{title}, by frame, without equal ones"))
        else:
            charts.append(figure_element(line_chart(lines, first=0), f"{title}, by frame"))
    if len(clips) > 1:
        charts.append(legend_element(list(clips)))
    return charts


def _unequal(psnr: list[float]) -> list[float]:
    """Without frames that are equal, such as a first one that was given: their 100 dB would flatten the curve."""
    return [np.nan if value >= PSNR_LIMIT_DB else value for value in psnr]
