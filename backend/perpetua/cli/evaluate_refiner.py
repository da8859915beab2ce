"""``perpetua evaluate refiner``: trained refiners against the coarse video and against filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perpetua.cli.console import Console
from perpetua.cli.reports import print_json, print_tables, write_page
from perpetua.errors import RefinerError
from perpetua.evaluate.refiner.report import against_rows, as_html, as_json, as_rows, paired_rows
from perpetua.evaluate.refiner.suite import BASELINES, TRUTH, evaluate_refiners
from perpetua.phys4d.data.store import Entry, Split, read_split
from perpetua.phys4d.data.unpack import Refine
from perpetua.phys4d.refiner.play import clip_refiner
from perpetua.refine.space_time.weights import SHIPPED


def evaluate_refiner(
    data: Path,
    weights: Sequence[Path],
    split: Split,
    clips: int,
    steps: int,
    page: Path | None,
    json: bool,
) -> int:
    """Measure, print tables (to stderr) and JSON if asked, write the page; see the command's help."""
    refiners = named(weights, steps)
    chosen = spread(read_split(data, split), clips)
    console = Console()
    result = evaluate_refiners(chosen, refiners, console.progress.of("clips"))
    console.close()
    print_tables(as_rows(result), paired_rows(result), against_rows(result))
    write_page(page, lambda: as_html(result))
    print_json(json, lambda: as_json(result))
    return 0


def named(weights: Sequence[Path], steps: int) -> dict[str, Refine]:
    """Refiners by the names of the folders that their weights are in; the one that comes with Perpetua if none is given."""
    if not weights and not SHIPPED.is_file():
        raise RefinerError(
            "No weights come with this copy of Perpetua; name those of a trained space_time refiner with --weights."
        )
    found: dict[str, Refine] = {}
    for path in weights or [SHIPPED]:
        name = path.resolve().parent.name
        if name in found or name in BASELINES or name == TRUTH:
            raise RefinerError(
                f"Two refiners would be called '{name}'; move {path} to a folder of another name."
            )
        found[name] = clip_refiner(path, steps)
    return found


def spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most ``most`` of ``entries`` (0: all), evenly spread, so that they are of many scenes."""
    if not most or most >= len(entries):
        return list(entries)
    return [entries[int(at)] for at in np.linspace(0, len(entries) - 1, most)]
