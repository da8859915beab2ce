"""How a render is compared with a refined video, and what keeps a correction plausible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from perpetua.optimize.motion import Motion, SoftMotion
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

ROBUST_AT = 0.02
"""Differences of colour well above this count linearly (Charbonnier), so that what the views disagree on does not rule."""
SSIM_WEIGHT = 0.2
"""Share of structural dissimilarity, as in Gaussian splatting (Kerbl et al. 2023)."""
SSIM_WINDOW = 7
"""pixels; the uniform window of Wang et al. 2004's common implementations."""
ANCHOR_WEIGHT = 3e-4
"""Price of a mean squared displacement of one particle spacing: the simulator is right unless the video says otherwise."""
RIGIDITY_WEIGHT = 0.2
"""Price of a mean squared strain of one in the stiffest material."""
SMOOTHNESS_WEIGHT = 1e-3
"""Price of a mean squared second difference of one spacing between knots."""
GROUND_WEIGHT = 0.1
"""Price of a mean squared depth of one spacing below the support plane."""
COLOR_WEIGHT = 0.02
"""Price of a mean squared change of one in the splats' colours."""
STIFFNESS = {"elastic": 1.0, "plastic": 0.5, "snow": 0.2, "sand": 0.05, "liquid": 0.02}
"""How much neighbours must agree, by model, relative to an elastic solid."""
RIGID_NEIGHBOURS = 8


def photometric(image: Tensor, target: Tensor, area: float, levels: list[int], ssim: bool) -> Tensor:
    """Difference of two images [H, W, C] per pixel of the objects' ``area`` (pixels), over the ``levels`` of a pyramid.

    Level l compares both after l halvings: there an error of several pixels still overlaps, so it has a direction.
    """
    difference = (image - target).permute(2, 0, 1)[None]
    shares = []
    for level in range(max(levels) + 1):
        if level in levels:
            robust = (difference**2 + ROBUST_AT**2).sqrt() - ROBUST_AT
            shares.append(robust.sum() * 4**level / (area * image.shape[-1]))
        if level < max(levels):
            difference = halved(difference)
    total = torch.stack(shares).mean()
    if not ssim:
        return total
    unlike = 1 - structural_similarity(image[..., :3], target[..., :3])
    return (1 - SSIM_WEIGHT) * total + SSIM_WEIGHT * unlike.sum() / (3 * area)


def halved(image: Tensor) -> Tensor:
    """[1, C, H, W] at half the size, smoothed by the binomial 1 3 3 1 (Burt and Adelson 1983)."""
    if min(image.shape[-2:]) < 4:
        return functional.avg_pool2d(image, 2, ceil_mode=True)
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(functional.avg_pool2d(padded, 2, 1), 2, 1), 2)


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM map [C, H', W'] of two images [H, W, C] in [0, 1], over windows that fit into them (Wang et al. 2004)."""
    x, y = a.permute(2, 0, 1), b.permute(2, 0, 1)
    stacked = torch.cat([x, y, x * x, y * y, x * y])[None]
    mx, my, xx, yy, xy = functional.avg_pool2d(stacked, SSIM_WINDOW, 1)[0].chunk(5)
    c1, c2 = 0.01**2, 0.03**2
    covariance = xy - mx * my
    return ((2 * mx * my + c1) * (2 * covariance + c2)) / (
        (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    )


@dataclass(frozen=True)
class Web:
    """Which particles of a soft body are neighbours. first, second: [E] int64, within the body; closeness: [E], 1/m^2."""

    first: Tensor
    second: Tensor
    closeness: Tensor


class Plausibility:
    """The price of a motion apart from what it looks like: anchor to the simulator, local rigidity, smoothness in time."""

    def __init__(self, scene: Scene, trajectory: Trajectory, motion: Motion) -> None:
        self.spacing = scene.spacing
        self.webs = []
        for soft in motion.soft:
            mine = soft.particles.numpy()
            body = scene.bodies[int(scene.particles.body[mine[0]])]
            self.webs.append(_web(trajectory.positions[0, mine], STIFFNESS[body.material.model]))

    def __call__(self, motion: Motion) -> Tensor:
        """Price of all knots together, a scalar."""
        price = torch.zeros(())
        for soft, web in zip(motion.soft, self.webs, strict=True):
            price = price + self._of_soft(soft, web)
        for rigid in motion.rigid:
            moved = torch.cat([rigid.turns, rigid.shifts], 1)
            price = price + self._of_knots(torch.cat([torch.zeros_like(moved[:1]), moved]))
        return price

    def _of_soft(self, soft: SoftMotion, web: Web) -> Tensor:
        u = soft.at_knots()
        strain = ((u[1:, web.first] - u[1:, web.second]) ** 2).sum(-1) * web.closeness
        return self._of_knots(u) + RIGIDITY_WEIGHT * strain.mean()

    def _of_knots(self, u: Tensor) -> Tensor:
        """Anchor and smoothness of displacements [Q, ..., 3] m."""
        price = ANCHOR_WEIGHT * (u[1:] / self.spacing).square().mean()
        if len(u) > 2:
            bend = (u[2:] - 2 * u[1:-1] + u[:-2]) / self.spacing
            price = price + SMOOTHNESS_WEIGHT * bend.square().mean()
        return price

    def ground(self, simulated: Tensor, corrected: Tensor) -> Tensor:
        """Price of particles [P, 3] m that a correction pushes below the plane z = 0."""
        below = torch.relu(simulated[:, 2].clamp(max=0) - corrected[:, 2]) / self.spacing
        return GROUND_WEIGHT * below.square().mean()


def _web(points: np.ndarray, stiffness: float) -> Web:
    """Neighbours at the start of the round among a body's ``points`` [p, 3] m."""
    count = min(RIGID_NEIGHBOURS + 1, len(points))
    distances, nearest = cKDTree(points).query(points, k=np.arange(1, count + 1))
    first = np.repeat(np.arange(len(points)), count - 1)
    apart = np.maximum(distances[:, 1:].ravel(), 1e-9)
    return Web(
        torch.from_numpy(first),
        torch.from_numpy(nearest[:, 1:].ravel()),
        torch.from_numpy(stiffness / apart**2).float(),
    )
