"""How matter looks that no picture shows: the splats of what an emitter lets out, before light falls on them, and of its shadow."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.scene.gaussians import Gaussians
from perpetua.scene.materials import Material
from perpetua.scene.scene import Scene
from perpetua_protocol.tracks import Vec3

COLOURS: dict[str, Vec3] = {
    "clay": (0.72, 0.45, 0.33),
    "plasticine": (0.40, 0.55, 0.70),
    "dough": (0.90, 0.82, 0.66),
    "mud": (0.37, 0.28, 0.21),
    "butter": (0.96, 0.87, 0.52),
    "cream": (0.97, 0.95, 0.90),
    "snow": (0.94, 0.96, 0.99),
    "fresh snow": (0.95, 0.97, 1.0),
    "sand": (0.86, 0.73, 0.50),
    "dry sand": (0.88, 0.76, 0.53),
    "wet sand": (0.60, 0.48, 0.33),
    "sugar": (0.97, 0.96, 0.94),
    "water": (0.56, 0.74, 0.86),
    "milk": (0.97, 0.96, 0.92),
    "oil": (0.83, 0.72, 0.22),
    "chocolate": (0.27, 0.15, 0.09),
    "honey": (0.83, 0.55, 0.12),
    "jam": (0.60, 0.09, 0.15),
    "steam": (0.95, 0.96, 0.97),
    "smoke": (0.52, 0.52, 0.54),
}
"""sRGB in daylight, by preset."""

PLAIN: Vec3 = (0.7, 0.7, 0.7)
"""Of a preset without one."""

CLARITY_M = {"water": 0.012, "oil": 0.02}
"""m of a clear liquid through which 1 / e of what is behind is seen; not how far light goes in the real one, where what lies behind is
bent out of sight sooner. Others hide it."""

MATTER_SIGMA, PUFF_SIGMA = 0.62, 2.0
"""Standard deviation of a particle's splat, in spacings: matter closes up, a puff is a part of a cloud."""
MATTER_OPACITY, PUFF_OPACITY = 0.97, 0.06

GRAIN, GRAINS = 0.04, 0.12
"""Splats are brighter or darker by up to so much of a colour, or a pool would look like paper cut out; grains differ more."""

GOLDEN = 0.6180339887498949

SHADOW_SPLATS, SHADOW_SHARE = 400, 4
"""Of the shadow that what comes in a round throws: so many, and one for so many of its particles. Lying in one layer, matter covers a
quarter as many cells of the shade as it has particles."""


def splats_of(
    scene: Scene, material: Material, positions: NDArray[np.float32], colour: Vec3 | None
) -> Gaussians:
    """A splat for each particle of ``material`` at ``positions`` [n, 3] m. colour: sRGB, 0 to 1; None takes that of ``scene``'s first
    object of the same preset, else the preset's own."""
    n = len(positions)
    base = np.array(colour or _colour_in(scene, material) or COLOURS.get(material.preset, PLAIN))
    vary = GRAINS if material.model == "sand" else GRAIN
    grain = 1.0 + vary * (2.0 * (np.arange(n) * GOLDEN % 1.0) - 1.0)
    puff = material.model == "gas"
    size = scene.spacing * (PUFF_SIGMA if puff else MATTER_SIGMA)
    made = Gaussians.from_colors(
        torch.from_numpy(positions),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(n, 1),
        torch.full((n, 3), size),
        torch.full((n,), PUFF_OPACITY if puff else MATTER_OPACITY),
        torch.from_numpy((grain[:, None] * base).clip(0.0, 1.0)).float(),
    )
    sh = torch.zeros(n, scene.foreground.sh.shape[1], 3)
    sh[:, :1] = made.sh
    return Gaussians(made.means, made.quats, made.log_scales, made.opacity_logits, sh)


def shadow_of(scene: Scene, coming: int) -> Gaussians:
    """Black splats [s] for the shadow of ``coming`` particles that come in a round. Where they lie and how dark they are follows from
    the matter's motion (``ground_shade.py``)."""
    count = SHADOW_SPLATS + coming // SHADOW_SHARE
    dark = Gaussians.from_colors(
        torch.zeros(count, 3),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1),
        torch.full((count, 3), scene.spacing),
        torch.full((count,), 0.5),
        torch.zeros(count, 3),
    )
    sh = torch.zeros(count, scene.foreground.sh.shape[1], 3)
    sh[:, :1] = dark.sh
    return Gaussians(dark.means, dark.quats, dark.log_scales, dark.opacity_logits, sh)


def _colour_in(scene: Scene, material: Material) -> Vec3 | None:
    """Mean colour of the first object of the picture that is made of the same preset, None where there is none."""
    carried = scene.binding.carried
    body = torch.from_numpy(scene.particles.body.astype(np.int64))[scene.binding.particle[:carried]]
    for index, thing in enumerate(scene.bodies):
        mine = body == index
        if thing.material.preset == material.preset and not thing.emitted and bool(mine.any()):
            r, g, b = scene.foreground.colors[:carried][mine].mean(0).clamp(0, 1).tolist()
            return r, g, b
    return None
