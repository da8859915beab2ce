"""``perpetua evaluate take``: a baked take by itself."""

from __future__ import annotations

from pathlib import Path

from perpetua.cli.console import Console
from perpetua.cli.reports import print_json, print_tables, write_page
from perpetua.evaluate.take.report import as_html, as_json, as_rows
from perpetua.evaluate.take.suite import evaluate_cache


def evaluate_take(cache: Path, videos: Path | None, width: int, page: Path | None, json: bool) -> int:
    """Judge, print a table (to stderr) and JSON if asked, write the page; see the command's help."""
    console = Console()
    result = evaluate_cache(cache, videos, width, console.progress.of("take"))
    console.close()
    print_tables(as_rows(result))
    write_page(page, lambda: as_html(result))
    print_json(json, lambda: as_json(result))
    return 0
