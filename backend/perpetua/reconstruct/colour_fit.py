"""Undo the blur of splatting: adjust splat colours until the rendered scene is the picture again.

Van Cittert's iteration (1931): add the difference between picture and render, seen under each splat, to its colour. It needs
renders only, no gradients, and converges because splatting is a narrow, positive blur.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.reconstruct.discs import Painted
from perpetua.render import render_layers
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import SH_C0, Gaussians

STEP = 0.9
"""Share of the difference added each time; above 1 the iteration rings at edges."""


MAX_CHANGE = 0.25
"""Farthest a colour may go from the picture's own; more would show as grain where a side view sorts splats otherwise."""


def match_picture(
    painted: Painted,
    camera: Camera,
    picture: NDArray[np.uint8],
    width: int,
    rounds: int,
    report: Callable[[float], None],
) -> Gaussians:
    """The splats with the colours of those that are ``own`` changed so that ``camera`` sees ``picture`` [H, W, 3].

    width: pixels to render at; report: told the fraction done before each round.
    """
    splats, own = painted.splats, painted.own
    small = camera.resized(min(width, camera.width))
    target = (
        cv2.resize(picture, (small.width, small.height), interpolation=cv2.INTER_AREA).astype(np.float32)
        / 255.0
    )
    scale = np.array([small.width / camera.width, small.height / camera.height])
    place = painted.pixels[own] * scale
    x = np.clip(place[:, 0].astype(int), 0, small.width - 1)
    y = np.clip(place[:, 1].astype(int), 0, small.height - 1)
    level = np.maximum(1, np.round(painted.sides[own] * scale[0])).astype(int)
    chosen = torch.from_numpy(np.flatnonzero(own))
    dc = splats.sh.clone()
    start = splats.colors[chosen]
    for index in range(rounds):
        report(index / rounds)
        current = Gaussians(splats.means, splats.quats, splats.log_scales, splats.opacity_logits, dc)
        with torch.no_grad():
            seen = render_layers(current, small).rgb.numpy()
        difference = target - seen
        update = np.zeros((len(x), 3), np.float32)
        for side in np.unique(level):
            here = level == side
            update[here] = cv2.blur(difference, (int(side), int(side)))[y[here], x[here]]
        colors = 0.5 + SH_C0 * dc[chosen, 0] + STEP * torch.from_numpy(update)
        colors = torch.clamp(colors, start - MAX_CHANGE, start + MAX_CHANGE).clamp(0.0, 1.0)
        dc[chosen, 0] = (colors - 0.5) / SH_C0
    return Gaussians(splats.means, splats.quats, splats.log_scales, splats.opacity_logits, dc)
