"""What is measured of a refined clip: the figures of ``perpetua.evaluate.video`` that speak of a refiner, and two that need pictures only.

A refiner says of its picture what depth and flow it has; ``epe`` and ``chamfer_4d`` measure what it says. ``epe_seen`` asks the picture
itself: how far the flow that DIS (Kroeger et al. 2016) finds in it is from the truth; what it is for the truth's own picture is the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.clips.clip import Cameras, Clip, Flow, Tracks
from perpetua.clips.motion import moving
from perpetua.evaluate.take.flicker import flicker
from perpetua.evaluate.video.clip_figures import ground_of, measure
from perpetua.evaluate.video.figures import FIGURES, Figure
from perpetua.evaluate.video.flow import flow_errors

TAKEN: dict[str, str] = {
    "psnr": "picture.psnr",
    "psnr_object": "picture.psnr_object",
    "ssim": "picture.ssim",
    "epe": "flow.epe",
    "epe_moving": "flow.epe_moving",
    "chamfer_4d": "chamfer_4d.table",
    "chamfer_4d_moving": "chamfer_4d.reward",
    "depth_abs_rel": "depth.abs_rel",
    "worldline_l2": "worldlines.l2",
}
"""Figures of ``perpetua.evaluate.video``, by what they are called here."""
METRICS: dict[str, Figure] = {
    **{name: FIGURES[key] for name, key in TAKEN.items()},
    "epe_seen": Figure("EPE of the flow that is seen in the picture, moving pixels", "px", "lower"),
    "flicker": Figure("flicker where nothing moves, of 255", "", "lower"),
}
"""All that is measured, by key of the JSON report."""


def figures_of(pred: Clip, truth: Clip) -> dict[str, float]:
    """By key of ``METRICS``; what a clip has no pixel or layer for is left out. The first frame is given to refiners and not measured."""
    pred, truth = (_after_first(clip) for clip in (pred, truth))
    found = _taken(measure(pred, truth).figures)
    seen = epe_seen(pred.rgb, truth)
    if seen is not None:
        found["epe_seen"] = seen
    trembling = _flicker(pred, truth)
    if trembling is not None:
        found["flicker"] = trembling
    return found


def epe_seen(rgb: NDArray[np.uint8], truth: Clip) -> float | None:
    """px: mean error of the flow that DIS finds in a video [T, H, W, 3], over what moves in truth and stays visible."""
    ground = ground_of(truth)
    if ground is None or truth.flow is None:
        return None
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb]
    found = np.stack([finder.calc(a, b, np.zeros((*a.shape, 2), np.float32)) for a, b in pairwise(grey)])
    errors = flow_errors(found, truth.flow.forward, moving(truth.flow.forward) & ground.seen)
    return None if errors is None else errors.epe


def _after_first(clip: Clip) -> Clip:
    """The clip without its first frame."""

    def later(layer: NDArray | None) -> NDArray | None:
        return None if layer is None else layer[1:]

    flow, cameras, tracks = clip.flow, clip.cameras, clip.tracks
    return replace(
        clip,
        rgb=clip.rgb[1:],
        depth=later(clip.depth),
        flow=None if flow is None else Flow(flow.forward[1:], later(flow.occluded)),
        scene_flow=later(clip.scene_flow),
        masks=later(clip.masks),
        tracks=None if tracks is None else Tracks(tracks.position[1:], tracks.visible[1:]),
        cameras=None if cameras is None else Cameras(cameras.K[1:], cameras.world_to_camera[1:]),
    )


def _taken(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[key] for name, key in TAKEN.items() if key in figures}


def _flicker(pred: Clip, truth: Clip) -> float | None:
    """For cameras that stand still; without the last frame, of which nobody knows what moves."""
    if truth.flow is None or truth.cameras is None:
        return None
    poses = truth.cameras.world_to_camera
    if not np.allclose(poses, poses[0]):
        return None
    return flicker(pred.rgb[:-1], moving(truth.flow.forward))
