"""``perpetua evaluate take``: a baked take by itself."""

from __future__ import annotations

from pathlib import Path

from perpetua.cli.console import Console
from perpetua.cli.reports import print_json, print_tables
from perpetua.evaluate.take.suite import as_json, as_rows, evaluate_cache


def evaluate_take(cache: Path, videos: Path | None, width: int, json: bool) -> int:
    """Judge, print a table (to stderr) and JSON if asked."""
    console = Console()
    result = evaluate_cache(cache, videos, width, console.progress.of("take"))
    console.close()
    print_tables(as_rows(result))
    print_json(json, lambda: as_json(result))
    return 0
