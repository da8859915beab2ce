"""What was measured of a baked take, as rows of a table, as JSON with documented keys, and as a page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from perpetua.evaluate.page import STYLE, figure_element, line_chart, table_element, tiled, video_element
from perpetua.evaluate.take.suite import CURVES, TITLES, TakeResult


def as_json(result: TakeResult) -> bytes:
    """``mean.<figure>``, ``rounds.<number>.<figure>`` and ``curves.<number>.<figure>``."""
    record: dict[str, Any] = {
        "mean": result.mean,
        "rounds": {str(k): v.figures for k, v in result.rounds.items()},
        "curves": {str(k): v.curves for k, v in result.rounds.items()},
        "worst_first": result.worst_first(),
    }
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def as_rows(result: TakeResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, one a round, and the mean."""
    named = {f"round {k}": v.figures for k, v in result.rounds.items()}
    rows = []
    for name, figures in {**named, "mean": result.mean}.items():
        values = asdict(figures)
        rows.append([name, *("-" if values[k] is None else f"{values[k]:.3g}" for k in TITLES)])
    return ["", *TITLES.values()], rows


def as_html(result: TakeResult) -> str:
    """The whole page; it needs no other file."""
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>A baked take</title><style>{STYLE}</style><h1>A baked take by itself</h1>",
        "<p>There is no truth here: the videos are judged by whether they show one world from the cameras that were asked for. "
        "docs/evaluation.md has the definitions. The rounds with the largest reprojection error come first.</p>",
        table_element(*as_rows(result)),
    ]
    for number in result.worst_first():
        parts.append(f"<h2>Round {number}</h2>")
        for key in CURVES:
            chart = line_chart({key: result.rounds[number].curves[key]}, first=1)
            parts.append(figure_element(chart, f"{TITLES[key]}, by frame"))
        if number in result.videos:
            parts.append(video_element(tiled(result.videos[number], zoom=1), result.fps))
    return "\n".join(parts)
