"""What the backward pass compares with: refined videos, each with its backdrop and its own shift of colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening, distance_transform_edt
from torch import Tensor

from perpetua.errors import RefinerError
from perpetua.optimize.api import ViewTarget
from perpetua.optimize.loss import CHANGED
from perpetua.optimize.warps import unwarped, warp_of
from perpetua.render import Layers, render_layers
from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

BARE = 0.01
"""Coverage by objects under which a pixel shows only background."""
ENOUGH_BARE = 0.05
"""Share of bare pixels a frame needs for its colours to be compared."""
RIDGE = 1e-4
"""Pull towards no colour change, in units of variance of colour: a backdrop of one colour cannot tell gain from bias."""
SAMPLE = 4096
"""Bare pixels that are compared, of as many as there are."""
AROUND = 1.5
"""Particle spacings around particles where the picture may show their object."""
BLOB = 5
"""pixels at a width of 160; what differs from the backdrop over so much is an object, wherever the simulator has it."""
FITS = 3
"""Reweighted least squares; what differs by more than ``OUTLIER`` counts ever less."""
OUTLIER = 0.05
"""Colour difference that is not a global change any more but something else in the picture."""


@dataclass(frozen=True)
class View:
    """A refined video ready to compare with. video: [T + 1, H, W, 3], alpha: [T + 1, H, W] or None."""

    target: ViewTarget
    video: Tensor
    alpha: Tensor | None
    backdrop: Layers
    own_colours: bool = True
    """Whether the video may have a gain and a bias of its own."""

    @staticmethod
    @torch.no_grad()
    def of(scene: Scene, trajectory: Trajectory, target: ViewTarget, own_colours: bool = True) -> View:
        """Render the backdrop once. Raises ``RefinerError`` for a video that is not of the trajectory and the camera."""
        camera = target.camera
        shape = (trajectory.frames, camera.height, camera.width, 3)
        if target.video.shape != shape:
            raise RefinerError(
                f"The refined video of the view '{camera.name}' has shape {target.video.shape}, the round has {shape}; "
                "a refiner must keep the number of frames and the size."
            )
        if not np.isfinite(target.video).all():
            raise RefinerError(
                f"The refined video of the view '{camera.name}' holds values that are not numbers; refine it again."
            )
        alpha = None if target.alpha is None else torch.from_numpy(target.alpha)
        backdrop = render_layers(scene.background, camera)
        return View(target, torch.from_numpy(target.video), alpha, backdrop, own_colours)

    def registered(self, trajectory: Trajectory, spacing: float) -> View:
        """The view with the smooth warp of its own video taken out, as the backdrop shows it (``warps.py``)."""
        if not self.own_colours:
            return self
        bare = _bare(trajectory, self.target.camera, spacing)
        coloured = torch.stack(
            [
                neutralised(frame, frame[here], self.backdrop.rgb[here]) if here.any() else frame
                for frame, here in zip(self.video, torch.from_numpy(bare), strict=True)
            ]
        )
        bare &= ~_blobs(coloured, self.backdrop.rgb)
        warp = warp_of(coloured, self.backdrop.rgb, bare)
        if warp is None:
            return self
        alpha = None if self.alpha is None else unwarped(self.alpha[..., None], warp)[..., 0]
        return replace(self, video=unwarped(self.video, warp), alpha=alpha)

    def wanted(self, frame: int, coverage: Tensor) -> Tensor:
        """[H, W, 3]: the video's frame in the colours of the render.

        The video's own gain and bias of each channel, as its backdrop shows them where ``coverage`` [H, W] by objects is
        nil, are taken out; they are estimated for every frame anew and never kept.
        """
        video = self.video[frame]
        if not self.own_colours:
            return video
        bare = coverage < BARE
        if bare.float().mean() < ENOUGH_BARE:
            return video
        seen, known = video[bare], self.backdrop.rgb[bare]
        every = max(1, len(seen) // SAMPLE)
        return neutralised(video, seen[::every], known[::every])


def _bare(trajectory: Trajectory, camera: Camera, spacing: float) -> NDArray[np.bool_]:
    """[T + 1, H, W]: where no simulated particle is within ``AROUND`` spacings (m)."""
    bare = np.ones((trajectory.frames, camera.height, camera.width), bool)
    for here, points in zip(bare, trajectory.positions, strict=True):
        pixels, depths = camera.project(points.astype(np.float64))
        ahead = depths > 1e-3
        if not ahead.any():
            continue
        x, y = np.floor(pixels[ahead]).astype(int).T
        inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        here[y[inside], x[inside]] = False
        if inside.any():
            near = AROUND * spacing * camera.K[0, 0] / float(depths[ahead].mean())
            here[:] = distance_transform_edt(here) > near
    return bare


def _blobs(video: Tensor, backdrop: Tensor) -> NDArray[np.bool_]:
    """[T + 1, H, W]: where a video shows something else than the backdrop that is wider than a warped edge of it."""
    wide = max(3, round(BLOB * video.shape[2] / 160))
    window = np.ones((1, wide, wide), bool)
    changed = ((video - backdrop).abs().amax(-1) > CHANGED).numpy()
    return binary_dilation(binary_opening(changed, window), window)


def neutralised(video: Tensor, seen: Tensor, known: Tensor) -> Tensor:
    """``video`` [..., 3] after the gain and bias of each channel that best turn colours ``seen`` [n, 3] into ``known`` [n, 3]."""
    corrected = []
    for channel in range(3):
        x, change = seen[:, channel].double(), (known - seen)[:, channel].double()
        gain, bias = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for _ in range(FITS):
            off = change - gain * x - bias
            weight = 1 / (1 + (off / OUTLIER) ** 2)
            weight = weight / weight.sum()
            mean_x, mean_change = (weight * x).sum(), (weight * change).sum()
            spread = (weight * (x - mean_x) ** 2).sum()
            gain = (weight * (x - mean_x) * (change - mean_change)).sum() / (spread + RIDGE)
            bias = mean_change - gain * mean_x
        corrected.append(video[..., channel] * (1 + gain.float()) + bias.float())
    return torch.stack(corrected, -1)
