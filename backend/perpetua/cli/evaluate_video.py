"""``perpetua evaluate video``: predicted clips against true ones."""

from __future__ import annotations

import sys
from pathlib import Path

from perpetua.cli.console import Console
from perpetua.cli.reports import print_json, print_tables, write_page
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
    print_tables(as_rows(result))
    if result.score is not None:
        print(f"Physics-IQ score: {result.score:.2f} of 100", file=sys.stderr)
    write_page(page, lambda: as_html(result))
    print_json(json, lambda: as_json(result))
    return 0
