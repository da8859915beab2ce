"""Measures one predicted clip against the true one: every figure of ``figures.py`` that the two clips' layers allow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perpetua.clips import chamfer
from perpetua.clips.clip import Clip
from perpetua.clips.motion import moving, rise_of_depth
from perpetua.evaluate.video import novel_time, physics_iq, picture, worldlines
from perpetua.evaluate.video.depth import coverage, depth_errors, median_scale
from perpetua.evaluate.video.flow import flow_errors
from perpetua.evaluate.video.learned import Distance
from perpetua.evaluate.video.physics_iq import Agreement
from perpetua.evaluate.video.warp_errors import depth_warp, rgb_warp, warp_errors
from perpetua.evaluate.video.warping import backward, inside, visible

NO_LPIPS = "no LPIPS weights were given (--lpips)"


@dataclass
class ClipFigures:
    """figures: by key of ``FIGURES``.  curves: by key of ``CURVES``.  unavailable: groups or figures that could not be measured, and why.
    agreement, variance: Physics-IQ's parts, for the score of the whole set."""

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    agreement: Agreement | None = None
    variance: Agreement | None = None

    def add(self, group: str, found: object | None, suffix: str = "") -> None:
        """Take a dataclass's numbers as figures of ``group``."""
        if found is None:
            self.unavailable[group + suffix] = "there is no pixel to measure it on"
            return
        for key, value in asdict(found).items():  # type: ignore[call-overload]  # any dataclass
            self.figures[f"{group}.{key}{suffix}"] = float(value)


@dataclass(frozen=True)
class Ground:
    """What is true between frames. seen: [T-1, H, W], what stays visible; rise: [T-1, H, W] m, how much each point's depth grows,
    None where nobody knows."""

    seen: NDArray[np.bool_]
    rise: NDArray[np.float32] | None


def measure(pred: Clip, truth: Clip, lpips: Distance | None = None) -> ClipFigures:
    """All figures of ``pred`` against ``truth``, clips of the same frames and pixels."""
    out = ClipFigures(pred.name)
    _physics_iq(out, pred, truth)
    _picture(out, pred, truth, lpips)
    _depth(out, pred, truth)
    ground = ground_of(truth)
    _flow(out, pred, truth)
    _warps(out, pred, truth, ground, lpips)
    _world(out, pred, truth, ground)
    return out


def ground_of(truth: Clip) -> Ground | None:
    """From true flow, and true depth and scene flow as far as they are there."""
    if truth.flow is None:
        return None
    rise = None if truth.scene_flow is None else _rise(truth)
    if truth.flow.occluded is not None:
        within = np.stack([inside(f) for f in truth.flow.forward])
        return Ground(within & ~truth.flow.occluded, rise)
    seen = []
    for t, flow in enumerate(truth.flow.forward):
        here, there = (None, None) if truth.depth is None else (truth.depth[t], truth.depth[t + 1])
        seen.append(visible(flow, here, there, None if rise is None else rise[t]))
    return Ground(np.stack(seen), rise)


def _rise(clip: Clip) -> NDArray[np.float32]:
    """[T-1, H, W] m: scene flow along the optical axis, as the next frame's camera sees it."""
    assert clip.scene_flow is not None
    if clip.cameras is None or clip.depth is None:
        return clip.scene_flow[..., 2]
    return rise_of_depth(clip.scene_flow, clip.depth, clip.cameras.K, clip.cameras.world_to_camera)


def _physics_iq(out: ClipFigures, pred: Clip, truth: Clip) -> None:
    out.agreement = physics_iq.agreement(pred.rgb, truth.rgb, pred.fps)
    found = out.agreement
    out.figures |= {
        "physics_iq.st_iou": float(found.spatiotemporal.mean()),
        "physics_iq.s_iou": found.spatial,
        "physics_iq.ws_iou": found.weighted,
        "physics_iq.mse": float(found.mse.mean()),
    }
    out.curves["physics_iq.st_iou"] = found.spatiotemporal.tolist()
    if truth.take_2 is None:
        out.unavailable["physics_iq.score"] = f"{truth.folder} has no second take (take_2.mp4)"
    else:
        out.variance = physics_iq.agreement(truth.take_2, truth.rgb, pred.fps)


def _picture(out: ClipFigures, pred: Clip, truth: Clip, lpips: Distance | None) -> None:
    psnr = picture.psnr_by_frame(pred.rgb, truth.rgb)
    out.curves["picture.psnr"] = psnr.tolist()
    out.figures["picture.psnr"] = picture.psnr_of_clip(psnr)
    out.figures["picture.ssim"] = float(picture.ssim_by_frame(pred.rgb, truth.rgb).mean())
    if truth.masks is None or not truth.masks.any():
        out.unavailable["picture.psnr_object"] = "the truth has no masks of objects"
    else:
        on_objects = picture.psnr_by_frame(pred.rgb, truth.rgb, truth.masks > 0)
        out.figures["picture.psnr_object"] = picture.psnr_of_clip(on_objects)
    if lpips is None:
        out.unavailable["picture.lpips"] = out.unavailable["rgb_warp.lpips"] = NO_LPIPS
    else:
        out.figures["picture.lpips"] = float(np.mean([lpips(a, b) for a, b in zip(pred.rgb, truth.rgb)]))


def _depth(out: ClipFigures, pred: Clip, truth: Clip) -> None:
    if pred.depth is None or truth.depth is None:
        out.unavailable["depth"] = out.unavailable["depth_scaled"] = _lacking(pred, "depth")
        return
    raw = depth_errors(pred.depth, truth.depth)
    out.add("depth", raw)
    out.figures["depth.coverage"] = coverage(pred.depth, truth.depth)
    if raw is None:
        out.unavailable["depth_scaled"] = out.unavailable["depth"]
        return
    scale = median_scale(pred.depth, truth.depth)
    out.add("depth_scaled", depth_errors(pred.depth * np.float32(scale), truth.depth))
    out.figures["depth_scaled.scale"] = scale
    frames = [depth_errors(a, b) for a, b in zip(pred.depth, truth.depth)]
    out.curves["depth.abs_rel"] = [np.nan if f is None else f.abs_rel for f in frames]


def _flow(out: ClipFigures, pred: Clip, truth: Clip) -> None:
    if pred.flow is None or truth.flow is None:
        out.unavailable["flow"] = _lacking(pred, "flow")
        return
    flow, true = pred.flow.forward, truth.flow.forward
    out.add("flow", flow_errors(flow, true))
    out.add("flow", flow_errors(flow, true, moving(true)), "_moving")
    out.curves["flow.epe"] = np.linalg.norm(flow - true, axis=-1).mean((1, 2)).tolist()


def _warps(out: ClipFigures, pred: Clip, truth: Clip, ground: Ground | None, lpips: Distance | None) -> None:
    if ground is None or pred.depth is None:
        for group in ("depth_warp", "depth_consistency"):
            out.unavailable[group] = "it needs true flow (flow.npz) and predicted depth"
    else:
        assert truth.flow is not None
        if truth.depth is None:
            out.unavailable["depth_warp"] = "the truth has no depth"
        for group, before in (("depth_warp", truth.depth), ("depth_consistency", pred.depth)):
            if before is not None:
                _depth_warps(out, group, pred.depth, truth.flow.forward, before, ground)
    if ground is None or pred.flow is None:
        out.unavailable["rgb_warp"] = "it needs predicted flow, and true flow to know what stays visible"
        return
    flows = pred.flow.forward
    error = np.stack([rgb_warp(pred.rgb[t], pred.rgb[t + 1], f) for t, f in enumerate(flows)])
    where = np.stack([inside(f) for f in flows]) & ground.seen
    found = warp_errors(error, where)
    if found is None:
        out.unavailable["rgb_warp"] = "nothing stays visible"
        return
    out.figures["rgb_warp.charbonnier"] = found.charbonnier
    if lpips is not None:
        carried = [
            np.where(where[t][..., None], np.rint(backward(pred.rgb[t + 1], f)), pred.rgb[t]).astype(np.uint8)
            for t, f in enumerate(flows)
        ]
        out.figures["rgb_warp.lpips"] = float(np.mean([lpips(c, pred.rgb[t]) for t, c in enumerate(carried)]))


def _depth_warps(
    out: ClipFigures, group: str, depth: NDArray, flow: NDArray, before: NDArray, ground: Ground
) -> None:
    rises = [None] * len(flow) if ground.rise is None else list(ground.rise)
    error = np.stack([depth_warp(depth[t + 1], f, before[t], rises[t]) for t, f in enumerate(flow)])
    within = np.stack([inside(f) for f in flow]) & (before[:-1] > 0)
    within &= np.stack([backward(depth[t + 1], f, nearest=True) > 0 for t, f in enumerate(flow)])
    regions = {"all": within, "visible": within & ground.seen, "occluded": within & ~ground.seen}
    for region, where in regions.items():
        out.add(group, warp_errors(error, where), f"_{region}")


def _world(out: ClipFigures, pred: Clip, truth: Clip, ground: Ground | None) -> None:
    """4D Chamfer, worldlines and novel time: what needs depth in both, and cameras."""
    if pred.depth is None or truth.depth is None or truth.cameras is None:
        has_depth = pred.depth is not None and truth.depth is not None
        for group in ("chamfer_4d", "worldlines", "novel_time"):
            out.unavailable[group] = "the truth has no cameras" if has_depth else _lacking(pred, "depth")
        return
    K, pose = truth.cameras.K, truth.cameras.world_to_camera
    stride = chamfer.stride_for(*truth.depth.shape)
    clouds = [chamfer.table_points(d, K, pose, stride) for d in (pred.depth, truth.depth)]
    if all(map(len, clouds)):
        out.figures["chamfer_4d.table"] = chamfer.chamfer_4d(*clouds)
    else:
        out.unavailable["chamfer_4d.table"] = "there is no depth at all"
    if ground is None or truth.flow is None:
        for group in ("chamfer_4d.reward", "worldlines", "novel_time"):
            out.unavailable[group] = "the truth has no flow"
        return
    start = truth.depth[0] > 0
    if truth.masks is not None and truth.masks[0].any():
        start &= truth.masks[0] > 0
    paths = worldlines.follow(start, truth.flow.forward, ground.seen)
    _worldlines(out, *(worldlines.lifted(paths, d, K, pose) for d in (pred.depth, truth.depth)))
    if pred.flow is None:
        out.unavailable["chamfer_4d.reward"] = out.unavailable["novel_time"] = "the prediction has no flow"
        return
    clouds = [
        chamfer.reward_points(d, f.forward, K, pose, stride)
        for d, f in ((pred.depth, pred.flow), (truth.depth, truth.flow))
    ]
    out.figures["chamfer_4d.moving"], out.figures["chamfer_4d.moving_truth"] = map(float, map(len, clouds))
    if all(map(len, clouds)):
        out.figures["chamfer_4d.reward"] = chamfer.chamfer_4d(*clouds)
    else:
        out.unavailable["chamfer_4d.reward"] = "nothing moves in " + (
            "the truth" if len(clouds[0]) else "the prediction"
        )
    rise = None if pred.scene_flow is None else _rise(replace(pred, cameras=truth.cameras))
    found = novel_time.novel_time(
        pred.depth, pred.flow.forward, truth.depth, truth.flow.forward, rise, ground.rise, ground.seen
    )
    out.add("novel_time", found)


def _worldlines(out: ClipFigures, lines: NDArray, truth: NDArray) -> None:
    found = worldlines.worldline_errors(lines, truth)
    if found is None:
        out.unavailable["worldlines"] = "no point can be followed in both"
        return
    for key in ("l2", "mean_drift", "final_drift", "fail_rate", "length"):
        out.figures[f"worldlines.{key}"] = float(getattr(found, key))
    out.figures["worldlines.length_percent"] = found.length_percent
    out.curves["worldlines.drift"] = found.drift.tolist()
    out.curves["worldlines.fail_curve"] = found.fail_curve.tolist()


def _lacking(pred: Clip, layer: str) -> str:
    """Which of the two clips has no such layer: the truth, unless the prediction has none."""
    return f"the {'prediction' if getattr(pred, layer) is None else 'truth'} has no {layer}"
