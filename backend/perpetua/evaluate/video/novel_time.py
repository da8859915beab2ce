"""Does the scene exist between the frames? Odd frames are held out, and their depth is made from the even frame before, carried along
the predicted flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.video.depth import measured
from perpetua.evaluate.video.warping import forward_depth


@dataclass(frozen=True)
class NovelTimeErrors:
    """Means over the visible pixels of all held-out frames, m.  depth: |interpolated - true depth there|.  warp: |interpolated - true depth
    of the even frame carried along true flow|."""

    depth: float
    warp: float


def novel_time(
    depth: NDArray, flow: NDArray, truth: NDArray, true_flow: NDArray,
    rise: NDArray | None = None, true_rise: NDArray | None = None, seen: NDArray | None = None,
) -> NovelTimeErrors | None:  # fmt: skip
    """Of depth [T, H, W] m and flow [T-1, H, W, 2] px. ``rise`` [T-1, H, W] m: how much each point's depth grows to the next frame, 0 if
    not given; ``seen`` [T-1, H, W]: what stays visible in truth. None if nothing can be compared."""
    off_truth, off_warp = [], []
    for t in range(1, len(depth), 2):
        s = t - 1
        kept, kept_true = (d[s] if seen is None else np.where(seen[s], d[s], 0) for d in (depth, truth))
        made = forward_depth(kept, flow[s], None if rise is None else kept + rise[s])
        carried = forward_depth(
            kept_true, true_flow[s], None if true_rise is None else kept_true + true_rise[s]
        )
        valid = measured(made, truth[t])
        off_truth.append(np.abs(made - truth[t])[valid])
        both = measured(made, carried)
        off_warp.append(np.abs(made - carried)[both])
    if not sum(map(len, off_truth)) or not sum(map(len, off_warp)):
        return None
    return NovelTimeErrors(float(np.concatenate(off_truth).mean()), float(np.concatenate(off_warp).mean()))
