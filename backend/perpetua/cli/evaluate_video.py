"""``perpetua evaluate video``: predicted clips against true ones."""

from __future__ import annotations

import sys
from pathlib import Path

from perpetua.cli.console import Console, table
from perpetua.evaluate.video.report import as_html, as_json, as_rows
from perpetua.evaluate.video.suite import Weights, evaluate_set


def evaluate_video(
    pred: Path,
    truth: Path,
    baseline: Path | None,
    weights: Weights,
    resample: bool,
    page: Path | None,
    json: bool,
) -> int:
    """Measure, print a table (to stderr) and JSON if asked, write the page; see the command's help."""
    console = Console()
    result = evaluate_set(pred, truth, baseline, weights, resample, console.progress.of("clips"))
    console.close()
    print(table(*as_rows(result)), file=sys.stderr)
    if result.score is not None:
        print(f"Physics-IQ score: {result.score:.2f} of 100", file=sys.stderr)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(as_html(result), encoding="utf-8")
    if json:
        print(as_json(result).decode())
    return 0
