"""The objectives of the first two stages (paper, eq. 2, 4, 5 and 6).

Every term is a mean over the pixels that are known; where none is, it is 0 and has no gradient, so clips without a layer teach the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from perpetua.phys4d.train.config import Weights
from perpetua.phys4d.train.readings import Readings
from perpetua.phys4d.train.warp import backward_warp, inside

VALID_DEPTH_M = (0.1, 10.0)
"""Depth is learned, as it is measured, between these."""
FLOW_UNIT = 0.01
"""Flow errors count in hundredths of the picture's width, so that they weigh the same at every resolution."""
CHARBONNIER_EPS2 = 1e-6
Batch = Mapping[str, Tensor]
"""Of ``clips.Cut``: rgb [B, 3, T, H, W] in [-1, 1]; depth [B, T, H, W] m, 0 unknown; flow [B, T-1, 2, H, W] px; rise [B, T-1, H, W] m;
occluded [B, T-1, H, W]; flow_known, rise_known, occluded_known [B, T-1, H, W]."""


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of ``values`` where ``where`` [same shape] holds, or 0."""
    return (torch.where(where, values, torch.zeros_like(values))).sum() / where.sum().clamp(min=1)


def l1_l2(predicted: Tensor, true: Tensor, where: Tensor) -> Tensor:
    """Mean of |e| + e^2."""
    error = torch.where(where, predicted - true, torch.zeros_like(predicted))
    return mean_where(error.abs() + error.square(), where)


def flow_matching(error: Tensor, generated: Tensor) -> Tensor:
    """Mean square, over the latents that the model generates, of what it predicts less what it should (paper, eq. 2).

    error: [B, C, t, h, w].  generated: [t], false for latents that are given to the model."""
    return error.float().square()[:, :, generated.to(error.device)].mean()


def depth_loss(seen: Readings, batch: Batch) -> Tensor:
    """L1 + L2 of depth, m."""
    low, high = VALID_DEPTH_M
    true = batch["depth"]
    return l1_l2(seen.depth, true, (true >= low) & (true <= high))


def motion_loss(seen: Readings, batch: Batch) -> Tensor:
    """L1 + L2 of flow (in hundredths of the width) and of the depth's rise (m), and the cross entropy of what is occluded next."""
    unit = FLOW_UNIT * batch["flow"].shape[-1]
    known = batch["flow_known"]
    flow = l1_l2(seen.flow / unit, batch["flow"] / unit, known[:, :, None].expand_as(seen.flow))
    rise = l1_l2(seen.rise, batch["rise"], batch["rise_known"])
    occluded = F.binary_cross_entropy_with_logits(seen.occluded, batch["occluded"], reduction="none")
    return flow + rise + mean_where(occluded, batch["occluded_known"])


def warp_loss(seen: Readings, batch: Batch) -> Tensor:
    """m: mean |W(D_{t+1}, F_t) - (D_t + rise)| over what stays visible, all predicted but the rise (paper, eq. 6, which has no rise:
    matter that comes nearer would count as wrong). Where nobody knows the rise it is taken as 0."""
    depth, flow = seen.depth, _frames(seen.flow)
    carried = backward_warp(_frames(depth[:, 1:])[:, None], flow)[:, 0]
    expected = _frames(depth[:, :-1] + torch.where(batch["rise_known"], batch["rise"], 0.0))
    return mean_where((carried - expected).abs(), _visible(flow, batch))


def rgb_warp_loss(seen: Readings, batch: Batch) -> Tensor:
    """Charbonnier of the clip's next frame, carried back along predicted flow, against its frame; colours in [0, 1]."""
    video = (batch["rgb"].transpose(1, 2) + 1) / 2
    flow = _frames(seen.flow)
    error = backward_warp(_frames(video[:, 1:]), flow) - _frames(video[:, :-1])
    penalty = (error.square() + CHARBONNIER_EPS2).sqrt().mean(1)
    return mean_where(penalty, _visible(flow, batch))


def heads_losses(seen: Readings, batch: Batch) -> dict[str, Tensor]:
    """Eq. 4: the first stage's. 'loss' is the sum of the others."""
    parts = {"depth": depth_loss(seen, batch), "motion": motion_loss(seen, batch)}
    return {"loss": torch.stack(list(parts.values())).sum(), **parts}


def physics_losses(
    error: Tensor, generated: Tensor, seen: Readings, batch: Batch, weights: Weights
) -> dict[str, Tensor]:
    """Eq. 5: the second stage's. 'loss' is the weighted sum of the others."""
    parts = {
        "flow_matching": flow_matching(error, generated),
        "depth": depth_loss(seen, batch),
        "motion": motion_loss(seen, batch),
        "warp": warp_loss(seen, batch),
    }
    if weights.rgb_warp:
        parts["rgb_warp"] = rgb_warp_loss(seen, batch)
    return {"loss": torch.stack([getattr(weights, k) * v for k, v in parts.items()]).sum(), **parts}


def _visible(flow: Tensor, batch: Batch) -> Tensor:
    hidden = (batch["occluded"] > 0.5) & batch["occluded_known"]
    return inside(flow) & ~_frames(hidden)


def _frames(tensor: Tensor) -> Tensor:
    """[B, T, ...] as [B T, ...]."""
    return tensor.flatten(0, 1)
