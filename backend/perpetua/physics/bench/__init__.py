"""Speed and memory of the physics: `perpetua bench physics [--json] [--plot FILE.png]`.

    scenes.py   what is simulated        case.py    one measurement, in a process of its own
    bare.py     the same in Genesis      report.py  all of them        plot.py   how cost grows with particles

docs/benchmarks.md says what the figures mean. Nothing here is asserted in a test.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

from perpetua.physics.bench.report import Plan, measure


def run(json: bool = False, plot: Path | None = None, plan: Plan | None = None) -> None:
    """Measure, and print a table or, with ``json``, one JSON object; with ``plot``, also write the plot there."""
    found = measure(plan or Plan())
    if plot is not None:
        from perpetua.physics.bench.plot import plot_growth

        plot_growth(found, plot)
    print(json_module.dumps(found, indent=2) if json else table(found))


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    clock = "GPU and host, s" if found["device"] == "cuda" else "processor time of one thread, s"
    lines = [
        f"A standing block, frames at {found['fps']:g}/s; times are {clock}",
        f"{'material':>12} {'particles':>10} {'substeps':>9} {'frame':>8} {'bare':>8} {'overhead':>9} "
        f"{'M particle substeps/s':>22} {'MiB':>6}",
    ]
    for name, row in found["materials"].items():
        for size in row["sizes"]:
            lines.append(
                f"{name:>12} {size['particles']:>10,} {size['substeps']:>9} {size['frame_s']:>8.3f} {_or_dash(size['bare_s'], '.3f'):>8} "
                f"{_or_dash(size['overhead_fraction'], '.1%'):>9} {size['particle_substeps_per_s'] / 1e6:>22.2f} {size['memory_mib']:>6.0f}"
            )
    lines.append(
        f"{'to the first frame, s':>22} {'cold':>8} {'warm':>8} {'again':>8} {'another scene':>14} {'other matter':>13}"
    )
    for name, row in found["materials"].items():
        if row["start"] is not None:
            times = row["start"]
            lines.append(
                f"{name:>22} {times['cold_s']:>8.1f} {times['warm_s']:>8.1f} {times['again_s']:>8.2f} {times['other_s']:>14.2f} {times['family_s']:>13.2f}"
            )
    return "\n".join(lines)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
