"""What is measured of a clip: every figure's name, unit and direction. The names are the keys of the JSON report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """unit: empty for plain numbers.  better: 'lower', 'higher', or '' for what is neither, such as a count."""

    title: str
    unit: str
    better: str


def _both(title: str, unit: str) -> dict[str, Figure]:
    return {"": Figure(title, unit, "lower"), "_moving": Figure(f"{title}, moving pixels", unit, "lower")}


FIGURES: dict[str, Figure] = {
    "physics_iq.st_iou": Figure("Physics-IQ, spatiotemporal IoU", "", "higher"),
    "physics_iq.s_iou": Figure("Physics-IQ, spatial IoU", "", "higher"),
    "physics_iq.ws_iou": Figure("Physics-IQ, weighted spatial IoU", "", "higher"),
    "physics_iq.mse": Figure("Physics-IQ, MSE", "", "lower"),
    **{
        f"{group}.{key}": Figure(title + says, unit, better)
        for group, says in (("depth", ""), ("depth_scaled", ", median-scaled"))
        for key, title, unit, better in (
            ("abs_rel", "AbsRel", "", "lower"),
            ("rmse", "RMSE", "m", "lower"),
            ("delta1", "delta < 1.25", "", "higher"),
            ("delta2", "delta < 1.25^2", "", "higher"),
            ("delta3", "delta < 1.25^3", "", "higher"),
        )
    },
    "depth.coverage": Figure("pixels with predicted depth", "", "higher"),
    "depth_scaled.scale": Figure("factor of the median scaling", "", ""),
    "picture.psnr": Figure("PSNR", "dB", "higher"),
    "picture.psnr_object": Figure("PSNR on the objects", "dB", "higher"),
    "picture.ssim": Figure("SSIM", "", "higher"),
    "picture.lpips": Figure("LPIPS", "", "lower"),
    **{f"flow.epe{k}": f for k, f in _both("EPE", "px").items()},
    **{f"flow.fl_all{k}": f for k, f in _both("Fl-all", "%").items()},
    **{f"flow.over_1px{k}": f for k, f in _both("wrong by over 1 px", "%").items()},
    **{
        f"{group}.{key}_{region}": Figure(f"{title}, {name}, {region}", "m", "lower")
        for group, title in (("depth_warp", "depth warp against true depth"), ("depth_consistency", "depth warp against itself"))
        for key, name in (("l1", "L1"), ("charbonnier", "Charbonnier"))
        for region in ("all", "visible", "occluded")
    },
    "rgb_warp.charbonnier": Figure("RGB warp, Charbonnier", "", "lower"),
    "rgb_warp.lpips": Figure("RGB warp, LPIPS", "", "lower"),
    "chamfer_4d.table": Figure("4D Chamfer, table form", "m", "lower"),
    "chamfer_4d.reward": Figure("4D Chamfer, reward form", "m", "lower"),
    "chamfer_4d.moving": Figure("moving points predicted", "", ""),
    "chamfer_4d.moving_truth": Figure("moving points in truth", "", ""),
    "worldlines.l2": Figure("worldline L2", "m", "lower"),
    "worldlines.mean_drift": Figure("mean drift", "m", "lower"),
    "worldlines.final_drift": Figure("final drift", "m", "lower"),
    "worldlines.fail_rate": Figure("worldlines that fail", "%", "lower"),
    "worldlines.length": Figure("length until failure", "frames", "higher"),
    "worldlines.length_percent": Figure("length until failure, of what is seen", "%", "higher"),
    "novel_time.depth": Figure("novel time, depth", "m", "lower"),
    "novel_time.warp": Figure("novel time, warp", "m", "lower"),
}  # fmt: skip
"""By key, ``<group>.<figure>``."""

CURVES: dict[str, str] = {
    "picture.psnr": "PSNR, dB",
    "physics_iq.st_iou": "spatiotemporal IoU",
    "depth.abs_rel": "AbsRel",
    "flow.epe": "EPE, px",
    "worldlines.drift": "drift, m",
    "worldlines.fail_curve": "worldlines off by more than 0.05 to 1 m, %",
}
"""What is kept over time (the last over thresholds), and its title."""
