"""What the benchmark found, as text, as JSON, and as a page with tables, curves and videos that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.page import PALETTE, STYLE, figure_element, line_chart, tiled, video_element
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
            *(
                figure_element(curves_svg(result.figures, name), f"{CURVE_TITLES[name]} by round")
                for name in CURVES
            ),
            video_element(side_by_side(result), settings.fps),
        ]
    return "\n".join(parts)


CURVE_TITLES = {
    "final_drift_mm": "Final drift, mm,",
    "forecast_drift_mm": "Forecast drift, mm,",
    "psnr_db": "Held-out PSNR, dB,",
}
"""Titles of the curves."""


def curves_svg(figures: dict[str, VariantFigures], name: str) -> str:
    """A figure over the rounds, one line a variant, as an SVG element."""
    lines = {label: [_value(r, name) for r in found.rounds] for label, found in figures.items()}
    return line_chart(lines, from_zero=name != "psnr_db")


def side_by_side(result: SceneResult) -> NDArray[np.uint8]:
    """[T, H, W, 3]: the held-out camera's videos of all rounds, the truth's first, each under its name."""
    strips = {}
    for label, paths in result.videos.items():
        if paths:
            rounds = [np.load(path)[(index > 0) :] for index, path in enumerate(paths)]
            strips[LABELS.get(label, label)] = np.concatenate(rounds)
    return tiled(strips)


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


def _value(figures: RoundFigures, name: str) -> float:
    value = getattr(figures, name)
    return float("nan") if value is None else float(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
