"""``perpetua evaluate take``: a baked take by itself."""

from __future__ import annotations

import sys
from pathlib import Path

from perpetua.cli.console import Console, table
from perpetua.evaluate.take.suite import as_json, as_rows, evaluate_cache


def evaluate_take(cache: Path, videos: Path | None, width: int, json: bool) -> int:
    """Judge, print a table (to stderr) and JSON if asked."""
    console = Console()
    result = evaluate_cache(cache, videos, width, console.progress.of("take"))
    console.close()
    print(table(*as_rows(result)), file=sys.stderr)
    if json:
        print(as_json(result).decode())
    return 0
