"""Colours that change with the view, held still: a scene's Gaussians have one colour from everywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.render.reference.harmonics import harmonic_colors
from perpetua.scene.gaussians import SH_C0, Gaussians

VISIBLE = 0.03
"""Relative depth behind the surface seen up to which a splat is seen."""
FRONT_WEIGHT = 6.0
"""How much more the directions near the front camera's count: weight exp(FRONT_WEIGHT (cosine - 1))."""


def held_still(splats: Gaussians, views: list[CapturedView], front: int) -> Gaussians:
    """``splats`` of degree 0, each in the mean colour that it has for those of ``views`` (with depth) that see it, mostly those near
    the ``front`` one. What no view sees keeps its own mean colour."""
    degree = math.isqrt(splats.sh.shape[1]) - 1
    if degree == 0:
        return splats
    own = splats.colors
    total, weights = torch.zeros_like(own), torch.zeros(len(splats))
    ahead = views[front].camera.world_to_camera[2, :3]
    for view in views:
        weight = math.exp(FRONT_WEIGHT * (float(view.camera.world_to_camera[2, :3] @ ahead) - 1))
        seen = torch.from_numpy(_seen(splats, view)).float() * weight
        viewmat = torch.from_numpy(view.camera.world_to_camera).float()
        total += seen[:, None] * harmonic_colors(splats.means, splats.sh, viewmat, degree)
        weights += seen
    mean = total / weights.clamp_min(1e-12)[:, None]
    colors = torch.where(weights[:, None] > 0, mean, own)
    return replace(splats, sh=((colors - 0.5) / SH_C0)[:, None])


def _seen(splats: Gaussians, view: CapturedView) -> np.ndarray:
    """[N] whether a splat's centre is in the picture and not hidden."""
    assert view.depth is not None
    pixels, z = view.camera.project(splats.means.numpy().astype(np.float64))
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels < [view.camera.width, view.camera.height]).all(1)
    x, y = np.where(inside[:, None], pixels, 0).astype(int).T
    return np.asarray(inside & (z < (1 + VISIBLE) * view.depth[y, x]))
