"""The plot of cost against Gaussians and against pixels, each with the straight line that fits it best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Cost of forward + backward, one thread: cost_ms[i] of amount[i] pieces (Gaussians or pixels)."""

    piece: str
    rest: str
    """What stays the same along the curve."""
    amount: list[int]
    cost_ms: list[float]

    def line(self) -> tuple[float, float, float]:
        """Slope (ms for one more), intercept (ms) and the share of the variance that the line explains, by least squares."""
        x, y = np.array(self.amount, float), np.array(self.cost_ms)
        slope, intercept = np.polyfit(x, y, 1)
        left = ((y - slope * x - intercept) ** 2).sum()
        return float(slope), float(intercept), float(1 - left / ((y - y.mean()) ** 2).sum())

    def summary(self) -> dict[str, Any]:
        """The points, and the line in JSON's words."""
        slope, intercept, explained = self.line()
        return {
            "piece": self.piece,
            "rest": self.rest,
            "amount": self.amount,
            "forward_backward_cpu_ms": self.cost_ms,
            "ns_each": 1e6 * slope,
            "fixed_ms": intercept,
            "r_squared": explained,
        }


def plot_curves(curves: list[Curve], path: Path) -> None:
    """Write the curves side by side as a picture; its format is that of the file's name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(curves), 4.2), layout="constrained")
    for place, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves):
        slope, intercept, explained = curve.line()
        x = np.array([0, max(curve.amount)])
        label = f"{1e6 * slope:.0f} ns a {curve.piece} + {intercept:.1f} ms,  R² = {explained:.4f}"
        place.plot(x / 1e3, slope * x + intercept, color="0.6", zorder=1, label=label)
        place.scatter(np.array(curve.amount) / 1e3, curve.cost_ms, color="C0", zorder=2)
        place.set_xlabel(f"thousand {curve.piece}s, {curve.rest}")
        place.set_ylabel("forward + backward, CPU ms, one thread")
        place.set_xlim(0)
        place.set_ylim(0)
        place.grid(color="0.92")
        place.set_axisbelow(True)
        place.spines[["top", "right"]].set_visible(False)
        place.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=120)
