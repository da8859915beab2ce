"""A video of a trajectory from one camera."""

from __future__ import annotations

import numpy as np
import torch

from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo
from perpetua.render import render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera, Gaussians, Scene, Trajectory, deform


@torch.no_grad()
def film(
    scene: Scene, trajectory: Trajectory, foreground: Gaussians, camera: Camera, progress: Progress
) -> RenderedVideo:
    """Render every frame of ``trajectory``, with ``foreground`` as the objects' splats at rest."""
    count = trajectory.frames
    rgb = np.empty((count, camera.height, camera.width, 3), np.float32)
    alpha = np.empty((count, camera.height, camera.width), np.float32)
    depth = np.empty_like(alpha)
    backdrop = render_layers(scene.background, camera)
    for frame in range(count):
        moved = deform(
            foreground,
            scene.binding,
            torch.from_numpy(trajectory.positions[frame]),
            torch.from_numpy(trajectory.F[frame]),
        )
        layer = compose(render_layers(moved, camera), backdrop)
        rgb[frame], alpha[frame], depth[frame] = layer.rgb.clamp(0, 1), layer.alpha, layer.depth
        progress((frame + 1) / count, f"frame {frame + 1} of {count}")
    return RenderedVideo(camera, rgb, alpha, depth)
