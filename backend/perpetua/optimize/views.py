"""What the backward pass compares with: refined videos, each with its backdrop, their own colours and warps taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import RefinerError
from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.colours import neutral
from perpetua.optimize.flow import flow_difference, flow_of
from perpetua.optimize.loss import CHANGED
from perpetua.optimize.motion import CPU
from perpetua.optimize.warps import unwarped, warp_of
from perpetua.render import Layers, render_layers
from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

AROUND = 1.5
"""Particle spacings around particles where the picture may show their object."""
BLOB = 5
"""pixels at a width of 160; what differs from the backdrop over so much is an object, wherever the simulator has it."""


@dataclass(frozen=True)
class View:
    """A refined video ready to compare with. video: [T + 1, H, W, 3], alpha: [T + 1, H, W] or None.  shows: [T + 1], whether objects
    are in sight, as simulated or in the video; where none are, there is nothing to compare but noise."""

    target: ViewTarget
    video: Tensor
    alpha: Tensor | None
    backdrop: Layers
    shows: NDArray[np.bool_]
    flow: tuple[Tensor, Tensor] | None = None
    """[T, H, W, 2] pixels until the next frame and how far it is believed [T, H, W], where flow is compared."""

    @staticmethod
    @torch.no_grad()
    def of(
        scene: Scene,
        trajectory: Trajectory,
        target: ViewTarget,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        device: torch.device = CPU,
    ) -> View:
        """``target`` with its backdrop, which is rendered once, and unless ``settings`` say otherwise with the video's own colours and
        smooth warp taken out, as the backdrop shows them (``colours.py``, ``warps.py``)."""
        alpha = None if target.alpha is None else torch.from_numpy(target.alpha).to(device)
        backdrop = render_layers(scene.background.to(device), target.camera)
        if settings.flow:
            backdrop = replace(backdrop, flow=backdrop.rgb.new_zeros(*backdrop.alpha.shape, 2))
        bare = _bare(trajectory, target.camera, scene.spacing)
        simulated = np.any(~bare, axis=(1, 2))
        view = View(target, torch.from_numpy(target.video).to(device), alpha, backdrop, simulated)
        if settings.nuisance:
            view = view.registered(bare)
        view = replace(view, shows=simulated | np.any(_blobs(view.video, backdrop.rgb), axis=(1, 2)))
        return view.with_flow() if settings.flow else view

    def registered(self, bare: NDArray[np.bool_]) -> View:
        """Without the video's own colours and warp, as they are seen where no object was simulated (``bare`` [T + 1, H, W])."""
        coloured = neutral(self.video, self.backdrop.rgb, bare)
        bare = bare & ~_blobs(coloured, self.backdrop.rgb)
        warp = warp_of(coloured, self.backdrop.rgb, bare)
        if warp is None:
            return replace(self, video=neutral(self.video, self.backdrop.rgb, bare))
        alpha = None if self.alpha is None else unwarped(self.alpha[..., None], warp)[..., 0]
        straight = unwarped(self.video, warp)
        return replace(self, video=neutral(straight, self.backdrop.rgb, bare), alpha=alpha)

    def with_flow(self) -> View:
        """With the video's optical flow."""
        flow, believed = flow_of(self.video.cpu().numpy())
        return replace(
            self, flow=(torch.from_numpy(flow).to(self.video), torch.from_numpy(believed).to(self.video))
        )

    def flow_difference(self, layer: Layers, frame: int, area: float) -> Tensor:
        """How far the flow of a rendered ``layer`` is from the video's, over the objects' ``area`` (pixels)."""
        assert self.flow is not None
        assert layer.flow is not None
        wanted, believed = self.flow
        return flow_difference(layer.flow, wanted[frame], believed[frame] * layer.alpha.detach(), area)


def check_target(trajectory: Trajectory, target: ViewTarget) -> None:
    """Raises ``RefinerError`` for a video that is not of the trajectory and the camera."""
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
            here[:] = cv2.distanceTransform(here.astype(np.uint8), cv2.DIST_L2, 5) > near
    return bare


def _blobs(video: Tensor, backdrop: Tensor) -> NDArray[np.bool_]:
    """[T + 1, H, W]: where a video shows something else than the backdrop that is wider than a warped edge of it."""
    wide = max(3, round(BLOB * video.shape[2] / 160))
    window = np.ones((wide, wide), np.uint8)
    changed = ((video - backdrop).abs().amax(-1) > CHANGED).cpu().numpy().astype(np.uint8)
    opened = (cv2.morphologyEx(frame, cv2.MORPH_OPEN, window) for frame in changed)
    return np.stack([cv2.dilate(frame, window) for frame in opened]) > 0
