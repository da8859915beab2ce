"""Speed and memory of the renderer: `perpetua bench raster [--json] [--plot FILE.png]`.

    scenes.py   what is drawn          timing.py   how times are taken
    fresh.py    first draws, memory    report.py   what is measured        plot.py   cost against Gaussians and pixels
    vectors.py  whether the kernels still calculate in vectors: it fails, after all is printed, where one does not

docs/benchmarks.md says what the figures mean. Nothing here is asserted in a test.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

from perpetua.render.bench.plot import plot_curves
from perpetua.render.bench.report import CurvePlan, Plan, measure, measure_curves
from perpetua.render.bench.vectors import check


def run(
    json: bool = False, plot: Path | None = None, plan: Plan | None = None, curves: CurvePlan | None = None
) -> None:
    """Measure, and print a table or, with `json`, one JSON object; with `plot`, also write the plot there."""
    found = measure(plan or Plan())
    if plot is not None:
        drawn = measure_curves(curves or CurvePlan())
        plot_curves(drawn, plot)
        found["curves"] = [curve.summary() for curve in drawn]
    print(json_module.dumps(found, indent=2) if json else table(found), flush=True)
    check(found["vector_share"])


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{found['width']} x {found['height']}, L1 loss, gradients to five inputs; best times, ms",
        f"{'gaussians':>10} {'threads':>8} {'forward':>16} {'forward + backward':>20} {'speed-up':>9} {'without loss':>13}",
        f"{'':>10} {'':>8} {'cpu':>8}{'wall':>8} {'cpu':>12}{'wall':>8}",
    ]
    for row in found["cpu"]:
        forward, both = row["forward"], row["forward_backward"]
        lines.append(
            f"{row['gaussians']:>10,} {row['threads']:>8} {forward['cpu_ms']:>8.1f}{forward['wall_ms']:>8.1f} "
            f"{both['cpu_ms']:>12.1f}{both['wall_ms']:>8.1f} {row['forward_backward_speed_up']:>9.2f} "
            f"{row['renderer_speed_up']:>13.2f}"
        )
    lines.append(
        "calculated in whole vectors: "
        + ", ".join(f"{name} {share:.0%}" for name, share in found["vector_share"].items())
    )
    for row in found["layers"]:
        lines.append(
            f"layers, {row['gaussians']:,}: {row['colour_alpha_depth']['cpu_ms']:.1f} ms of one thread for colour, alpha and depth, "
            f"{row['everything']['cpu_ms']:.1f} with normals, flow and two masks"
        )
    slow = found["gsplat_torch"]
    lines.append(
        f"gsplat's torch code at {slow['gaussians']:,} in {slow['width']} x {slow['height']}: "
        f"{slow['forward_ratio']:.0f} times slower forward, {slow['forward_backward_ratio']:.0f} with backward"
    )
    if found["memory_above_inputs_mb"] is not None:
        lines.append(
            f"memory above the inputs at {found['cpu'][-1]['gaussians']:,}: {found['memory_above_inputs_mb']:.0f} MB"
        )
    if found["start"] is not None:
        first, later = found["start"]["first_process"], found["start"]["later_process"]
        lines.append(
            f"first draw, with gradients: {first['draw_s']:.1f} s after installation ({first['draw_cpu_s']:.1f} s CPU), "
            f"{later['draw_s']:.2f} s in a later process ({later['draw_cpu_s']:.2f} s CPU, after {later['import_cpu_s']:.1f} s of imports)"
        )
    for row in found["cuda"] or []:
        lines.append(
            f"CUDA, {row['gaussians']:,}: {row['ours']['forward']['wall_ms']:.2f} ms forward, "
            f"{row['ours']['forward_backward']['wall_ms']:.2f} with backward, "
            f"{row['forward_backward_speed_of_gsplat']:.2f} of gsplat's speed"
        )
    for curve in found.get("curves", []):
        lines.append(
            f"cost with {curve['rest']}: {curve['ns_each']:.0f} ns a {curve['piece']} + {curve['fixed_ms']:.1f} ms, "
            f"R2 {curve['r_squared']:.4f}"
        )
    return "\n".join(lines)
