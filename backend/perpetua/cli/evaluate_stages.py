"""``perpetua evaluate stages``: what each stage of a training is worth."""

from __future__ import annotations

from pathlib import Path

from perpetua.cli.console import Console
from perpetua.cli.evaluate_refiner import spread
from perpetua.cli.reports import print_json, print_tables, write_page
from perpetua.evaluate.refiner.report import as_html, as_json, as_rows, compared_rows, paired_rows
from perpetua.evaluate.refiner.suite import averaged, evaluate_refiners
from perpetua.phys4d.data.store import Split, read_split
from perpetua.phys4d.refiner.play import clip_refiner
from perpetua.phys4d.train.study import RL, comparisons, load_study, seeded, train_study


def evaluate_stages(
    config: Path,
    out: Path,
    data: Path,
    split: Split,
    clips: int,
    steps: int,
    page: Path | None,
    json: bool,
) -> int:
    """Train what is missing, measure every run on the same clips, and tell as ``perpetua evaluate refiner`` does; see the command's help."""
    plan = load_study(config)
    chosen = spread(read_split(data, split), clips)
    console = Console()
    networks = train_study(plan, out, console.progress)
    players = {name: clip_refiner(path, steps) for name, path in networks.items()}
    result = averaged(
        evaluate_refiners(chosen, players, console.progress.of("clips")),
        RL,
        [seeded(seed) for seed in plan.seeds],
    )
    result.compared = comparisons(plan)
    console.close()
    print_tables(as_rows(result), paired_rows(result), compared_rows(result))
    write_page(page, lambda: as_html(result))
    print_json(json, lambda: as_json(result))
    return 0
