"""Tables 2 to 5 of the paper Phys4D as published, and which of our figures stands in which of their columns.

Its data and its scale are not ours: its rows stand beside ours to show the order of things, not to rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """key: of our figure.  factor: by which ours is multiplied to be in the table's unit."""

    heading: str
    key: str
    factor: float = 1.0


@dataclass(frozen=True)
class PublishedTable:
    """rows: published numbers in the columns' order, None where the paper has none.  note: what to know about them."""

    title: str
    columns: tuple[Column, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    note: str = ""


TABLES = (
    PublishedTable(
        "Table 2: Physics-IQ",
        (
            Column("MSE", "physics_iq.mse"), Column("ST-IoU", "physics_iq.st_iou"), Column("S-IoU", "physics_iq.s_iou"),
            Column("WS-IoU", "physics_iq.ws_iou"), Column("score", "physics_iq.score"),
        ),
        {
            "CogVideoX + Phys4D": (0.009, 0.169, 0.252, 0.157, 30.2),
            "Wan 2.2 + Phys4D": (0.014, 0.107, 0.214, 0.122, 25.6),
            "Open-Sora 1.2 + Phys4D": (0.016, 0.098, 0.195, 0.112, 22.4),
            "CogVideoX": (0.013, 0.116, 0.222, 0.142, 18.8),
            "Wan 2.2": (0.016, 0.088, 0.150, 0.105, 16.8),
            "Open-Sora 1.2": (0.021, 0.072, 0.135, 0.092, 14.5),
            "VideoPoet": (None, None, None, None, 20.3),
            "Pika 1.0": (None, None, None, None, 13.0),
            "Sora": (None, None, None, None, 10.0),
        },
        "The published scores do not follow from the published parts by the benchmark's formula.",
    ),
    PublishedTable(
        "Table 3: depth and picture",
        (
            Column("AbsRel", "depth.abs_rel"), Column("RMSE, m", "depth.rmse"), Column("delta1, %", "depth.delta1", 100),
            Column("delta2, %", "depth.delta2", 100), Column("delta3, %", "depth.delta3", 100), Column("FVD", "fvd"),
            Column("SSIM, %", "picture.ssim", 100), Column("PSNR, dB", "picture.psnr"),
        ),
        {
            "Wan + Depth Anything 2": (0.3929, 0.9012, 26.00, 52.69, 75.95, 140.02, 84.02, 20.80),
            "CogVideoX + Depth Anything 2": (0.3483, 0.7854, 32.45, 68.97, 84.35, 130.03, 84.98, 20.34),
            "Phys4D + Depth Anything 2": (0.3694, 0.8429, 27.38, 55.42, 80.29, 135.46, 84.93, 20.76),
            "Phys4D": (0.2711, 0.6604, 43.64, 80.04, 95.77, 124.52, 85.98, 21.89),
        },
        "Our row is of raw depth; the median-scaled figures are in the table of means.",
    ),
    PublishedTable(
        "Table 4: the world over time",
        (
            Column("4D Chamfer, m", "chamfer_4d.table"), Column("L2, m", "worldlines.l2"),
            Column("mean drift, m", "worldlines.mean_drift"), Column("final drift, m", "worldlines.final_drift"),
            Column("fail, %", "worldlines.fail_rate"), Column("length, %", "worldlines.length_percent"),
            Column("novel depth, m", "novel_time.depth"), Column("novel warp, m", "novel_time.warp"),
        ),
        {
            "Wan + estimated depth and flow": (0.5058, 0.5367, 0.5369, 0.5576, 12.38, 83.18, 0.5841, 1.1076),
            "CogVideoX + estimated depth and flow": (0.4923, 0.5239, 0.5239, 0.5348, 11.34, 84.67, 0.5432, 1.1254),
            "Open-Sora + estimated depth and flow": (0.5286, 0.5694, 0.5637, 0.5834, 13.54, 80.24, 0.6534, 1.1573),
            "Phys4D": (0.4626, 0.4928, 0.4829, 0.5078, 9.54, 87.21, 0.5340, 1.1288),
        },
        "The paper words L2 and mean drift alike, yet they differ; here drift is measured from each point's own error in frame 0. It gives no "
        "unit for the length; ours is the share of the frames in which a point is seen.",
    ),
    PublishedTable(
        "Table 5: warps and motion",
        (
            Column("depth warp L1, m", "depth_warp.l1_all"), Column("depth warp Charb., m", "depth_warp.charbonnier_all"),
            Column("RGB warp LPIPS", "rgb_warp.lpips"), Column("RGB warp Charb.", "rgb_warp.charbonnier"),
            Column("EPE, px", "flow.epe"), Column("Fl-all, %", "flow.fl_all"), Column("over 1 px, %", "flow.over_1px"),
        ),
        {
            "Wan + estimated depth and flow": (0.7990, 0.7898, 0.2409, 0.0507, 1.2516, 6.2173, 15.69),
            "CogVideoX + estimated depth and flow": (0.7054, 0.7893, 0.2564, 0.0527, 1.2343, 4.3243, 12.34),
            "Open-Sora + estimated depth and flow": (0.7436, 0.8534, 0.2783, 0.0589, 1.2718, 7.2343, 18.96),
            "Phys4D": (0.5141, 0.5240, 0.1818, 0.0518, 0.5054, 1.3013, 4.35),
        },
        "In the first row the published Charbonnier is below L1, which cannot be: sqrt(x^2 + e) is never below |x|.",
    ),
)  # fmt: skip
