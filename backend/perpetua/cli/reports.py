"""How every ``perpetua evaluate`` gives what it measured: tables to stderr, JSON to stdout, a page as a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from perpetua.cli.console import table

Rows = tuple[list[str], list[list[str]]]
"""Headings, and rows of cells."""


def print_tables(*tables: Rows) -> None:
    for headings, rows in tables:
        print(table(headings, rows), file=sys.stderr)


def write_page(page: Path | None, html: Callable[[], str]) -> None:
    """Write the page if one is asked for; only then is it made."""
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html(), encoding="utf-8")


def print_json(asked: bool, record: Callable[[], bytes]) -> None:
    """Print JSON if it is asked for."""
    if asked:
        print(record().decode())
