"""Undo the blur of splatting: adjust splat colours until the rendered scene is the picture again.

Van Cittert's iteration (1931): add the difference between picture and render, seen under each splat, to its colour. It needs
renders only, no gradients, and converges because splatting is a narrow, positive blur.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.render import render_frame
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import SH_C0, Gaussians

Array = NDArray[np.float64]

STEP = 0.9
"""Share of the difference added each time; above 1 the iteration rings at edges."""


def match_picture(
    splats: Gaussians,
    own: NDArray[np.bool_],
    pixels: Array,
    sides: Array,
    camera: Camera,
    picture: NDArray[np.uint8],
    width: int,
    rounds: int,
    progress: Progress,
) -> Gaussians:
    """The splats with the colours of those in ``own`` [N] changed so that ``camera`` sees ``picture`` [H, W, 3].

    pixels: [N, 2] and sides: [N], where in the picture each splat lies and how wide its cell is; width: pixels to render at.
    """
    small = camera.resized(min(width, camera.width))
    target = (
        cv2.resize(picture, (small.width, small.height), interpolation=cv2.INTER_AREA).astype(np.float32)
        / 255.0
    )
    scale = np.array([small.width / camera.width, small.height / camera.height])
    place = pixels[own] * scale
    x = np.clip(place[:, 0].astype(int), 0, small.width - 1)
    y = np.clip(place[:, 1].astype(int), 0, small.height - 1)
    level = np.maximum(1, np.round(sides[own] * scale[0])).astype(int)
    chosen = torch.from_numpy(np.flatnonzero(own))
    dc = splats.sh.clone()
    for index in range(rounds):
        progress(index / rounds, "matching the picture")
        current = Gaussians(splats.means, splats.quats, splats.log_scales, splats.opacity_logits, dc)
        with torch.no_grad():
            seen = render_frame(current, small).rgb.numpy()
        difference = target - seen
        update = np.zeros((len(x), 3), np.float32)
        for side in np.unique(level):
            here = level == side
            update[here] = cv2.blur(difference, (int(side), int(side)))[y[here], x[here]]
        colors = 0.5 + SH_C0 * dc[chosen, 0] + STEP * torch.from_numpy(update)
        dc[chosen, 0] = (colors.clamp(0.0, 1.0) - 0.5) / SH_C0
    return Gaussians(splats.means, splats.quats, splats.log_scales, splats.opacity_logits, dc)
