"""``perpetua data inspect``: a sheet of clips, and a table."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from perpetua.cli.console import table
from perpetua.phys4d.data.inspect import contact_sheet, statistics
from perpetua.phys4d.data.store import read_index


def inspect_data(data: Path, sheet: Path | None, clips: int, json: bool) -> int:
    """Print statistics (to stderr, JSON if asked), and write the sheet if one is asked for."""
    entries = read_index(data)
    found = statistics(entries)
    rows = [
        [name, str(count), f"{found.psnr[name]:.1f}", f"{100 * found.moving[name]:.0f}"]
        for name, count in found.counts["category"].items()
    ]
    print(table(["category", "clips", "PSNR of coarse, dB", "pixels that move, %"], rows), file=sys.stderr)
    splits = ", ".join(f"{count} {name}" for name, count in found.counts["split"].items())
    stages = ", ".join(f"{name} {value:.0f} s" for name, value in found.seconds.items())
    print(f"{splits}; {found.bytes_a_clip / 1e6:.2f} MB a clip; a scene took: {stages}", file=sys.stderr)
    if sheet is not None and clips > 0:
        chosen = np.unique(np.linspace(0, len(entries) - 1, min(clips, len(entries))).round().astype(int))
        contact_sheet([entries[i] for i in chosen], sheet)
    if json:
        print(msgspec.json.encode(found).decode())
    return 0
