"""Progress on a terminal: one line that moves, and a line for every finished stage."""

from __future__ import annotations

import sys
import time

from perpetua.progress import Progress

LINE_SECONDS = 2.0
"""Without a terminal, at most one line in this time for each stage."""


class Console:
    """Prints progress to stderr; ``progress`` is what a bake takes."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stage = ""
        self._stage_started = self._started
        self._printed = 0.0
        self._terminal = sys.stderr.isatty()
        self.progress = Progress(self._report)

    def _report(self, stage: str, fraction: float, text: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self.close()
            self._stage, self._stage_started, self._printed = stage, now, 0.0
        if now - self._printed < (0.1 if self._terminal else LINE_SECONDS) and fraction < 1:
            return
        self._printed = now
        line = f"[{now - self._started:6.1f} s] {stage:<28} {fraction:4.0%}  {text}"
        print(
            f"\r\033[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """End the moving line."""
        if self._stage and self._terminal:
            print(file=sys.stderr)
        self._stage = ""


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A plain aligned table."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *rows]
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)
