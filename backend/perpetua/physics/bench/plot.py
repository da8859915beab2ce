"""The plot of what a substep costs against particles: the engine and Genesis alone, a line for each material."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def plot_growth(found: dict[str, Any], path: Path) -> None:
    """Write what ``report.measure`` found as a picture; its format is that of the file's name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    cost, overhead = figure.subplots(1, 2)
    for number, (name, row) in enumerate(found["materials"].items()):
        sizes = sorted(row["sizes"], key=lambda size: size["particles"])
        particles = np.array([size["particles"] for size in sizes]) / 1e3
        substeps = np.array([size["substeps"] for size in sizes])
        ours = 1e3 * np.array([size["frame_s"] for size in sizes]) / substeps
        cost.plot(particles, ours, "o-", color=f"C{number}", label=name)
        if any(size["bare_s"] is None for size in sizes):
            continue
        bare = 1e3 * np.array([size["bare_s"] for size in sizes]) / substeps
        cost.plot(particles, bare, "--", color=f"C{number}", linewidth=1)
        overhead.plot(
            particles, 1.0 + np.array([size["overhead_fraction"] for size in sizes]), "o-", color=f"C{number}"
        )
    cost.plot([], [], "--", color="0.4", linewidth=1, label="Genesis alone")
    cost.set_ylabel("one substep, ms" + (" of one thread" if found["device"] == "cpu" else ""))
    overhead.set_ylabel("cost of a frame, in that of Genesis alone")
    overhead.axhline(1.05, color="0.6", linewidth=1)
    overhead.legend(
        *cost.get_legend_handles_labels(),
        frameon=False,
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    for place in (cost, overhead):
        place.set_xlabel("thousand particles")
        place.set_xlim(0)
        place.set_yscale("log")
        place.grid(color="0.92")
        place.set_axisbelow(True)
        place.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
