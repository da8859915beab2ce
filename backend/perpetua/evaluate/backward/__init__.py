"""Speed, memory and fit of one round's backward pass: `perpetua bench backward [--json] [--compare]`.

    world.py    a world whose motion is a formula, so that no simulation is needed      measure.py    what is measured

docs/benchmarks.md says what the figures mean. Nothing here is asserted in a test.
"""

from __future__ import annotations

import json as json_module
from typing import Any

from perpetua.evaluate.backward.measure import measure
from perpetua.evaluate.backward.world import BackwardPlan
from perpetua.progress import Progress


def run(plan: BackwardPlan, json: bool = False, progress: Progress = Progress()) -> None:  # noqa: B008 - frozen
    """Measure, and print a table or, with ``json``, one JSON object."""
    found = measure(plan, progress)
    print(json_module.dumps(found, indent=2) if json else table(found))


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{found['frames']} frames, {found['views']} views, {found['width']}x{found['height']}, "
        f"{found['gaussians']:,} Gaussians, {found['particles']:,} particles, on {found['device']}",
        f"{'':>18} {'renders':>8} {'clock, s':>9} {'CPU, s':>8} {'MB':>6} {'PSNR, dB':>9} {'held out, dB':>13} {'error, mm':>10}",
    ]
    for name in ("uncorrected", "ours", "perpetualwonder"):
        row = found[name]
        if row is None:
            continue
        memory = row["memory_mb"]
        lines.append(
            f"{name:>18} {row['renders']:>8,} {row['wall_s']:>9.1f} {row['cpu_s']:>8.1f} "
            f"{'-' if memory is None else format(memory, '.0f'):>6} {row['psnr_db']:>9.2f} {row['held_out_psnr_db']:>13.2f} "
            f"{row['error_mm']:>10.2f}"
        )
    lines.append("of the clock: " + ", ".join(f"{name} {s:.1f}" for name, s in found["stages_s"].items()))
    return "\n".join(lines)
