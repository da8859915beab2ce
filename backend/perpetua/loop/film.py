"""A video of a trajectory from one camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from perpetua.progress import Progress
from perpetua.refine.api import Layer, RenderedVideo
from perpetua.render import Layers, Motion, render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance


@torch.no_grad()
def film(
    scene: Scene,
    trajectory: Trajectory,
    camera: Camera,
    progress: Progress,
    layers: frozenset[Layer] = frozenset(),
    appearance: Appearance | None = None,
) -> RenderedVideo:
    """Render every frame of ``trajectory``, and what ``layers`` asks for. appearance: that of the trajectory, if it is known already."""
    foreground = scene.foreground
    count, size = trajectory.frames, (camera.height, camera.width)
    rgb = np.empty((count, *size, 3), np.float32)
    alpha = np.empty((count, *size), np.float32)
    depth = np.empty_like(alpha)
    flow = np.empty((count - 1, *size, 2), np.float32) if "flow" in layers else None
    masks = np.empty((count, *size, len(scene.bodies)), np.float32) if "masks" in layers else None
    objects = objects_of(scene) if "masks" in layers else None
    backdrop = still_backdrop(scene, camera, layers)
    positions, F = torch.from_numpy(trajectory.positions), torch.from_numpy(trajectory.F)
    appearance = appearance or Appearance(scene, trajectory)
    for frame in range(count):
        after = min(frame + 1, count - 1)
        moved = deform(foreground, scene.binding, positions[frame], F[frame])
        moved = appearance.on(moved, frame, camera.position)
        motion = None
        if flow is not None:
            motion = Motion.of_matter(foreground, scene.binding, moved, F[frame], positions[after], F[after])
        drawn = render_layers(
            moved,
            camera,
            motion=motion,
            objects=objects,
            object_count=None if objects is None else len(scene.bodies),
        )
        layer = compose(drawn, backdrop)
        rgb[frame], alpha[frame], depth[frame] = layer.rgb.clamp(0, 1), layer.alpha, layer.depth
        if flow is not None and after > frame:
            flow[frame] = layer.flow
        if masks is not None:
            masks[frame] = layer.masks
        progress((frame + 1) / count, f"frame {frame + 1} of {count}")
    return RenderedVideo(camera, rgb, alpha, depth, flow, masks)


def still_backdrop(scene: Scene, camera: Camera, layers: frozenset[Layer]) -> Layers:
    """The background, which does not move and is no object."""
    backdrop = render_layers(scene.background, camera)
    if "flow" in layers:
        backdrop = replace(backdrop, flow=backdrop.rgb.new_zeros(*backdrop.alpha.shape, 2))
    if "masks" in layers:
        backdrop = replace(backdrop, masks=backdrop.rgb.new_zeros(*backdrop.alpha.shape, len(scene.bodies)))
    return backdrop


def objects_of(scene: Scene) -> Tensor:
    """[N] the body of each of the objects' splats; -1 for shadows on the ground, which are no matter."""
    body = torch.from_numpy(scene.particles.body.astype(np.int64))[scene.binding.particle]
    body[scene.binding.carried :] = -1
    return body
