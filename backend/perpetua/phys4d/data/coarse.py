"""The coarse video: the coarse simulation as the loop would show it, dressed from the fine film's first frame.

It so begins nearly as the picture. What goes wrong afterwards is what a refiner has to put right: highlights and shading that turn along
with the matter, cast shadows that do not follow, ground that was hidden, motion that differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.phys4d.data.dressing import FINER, Seen, dress, enlarged
from perpetua.phys4d.data.spec import SceneSpec
from perpetua.phys4d.data.world import with_streams_of
from perpetua.render import Motion, render_layers
from perpetua.render.film import compose
from perpetua.render.layers import Layers
from perpetua.scene import Camera, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance

MARGIN_STILL, MARGIN_MOVING = 0.03, 0.6
"""How far the background goes on beyond the picture, in its size."""


@dataclass(frozen=True)
class Coarse:
    """rgb: [T, H, W, 3].  alpha: [T, H, W].  depth: [T, H, W] m.  flow: [T - 1, H, W, 2] pixels."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]
    flow: NDArray[np.float32]


@torch.no_grad()
def film_coarse(
    spec: SceneSpec, built: Scene, trajectory: Trajectory, way: Sequence[Camera], seen: Seen
) -> Coarse:
    """The film of ``built``, the scene before anything is let out, by one camera that ``seen`` is the first picture of."""
    still = all(np.array_equal(camera.world_to_camera, way[0].world_to_camera) for camera in way)
    scene = with_streams_of(spec, dress(built, way[0], seen, MARGIN_STILL if still else MARGIN_MOVING))
    dressed, room = scene.foreground, scene.background
    positions, F = torch.from_numpy(trajectory.positions), torch.from_numpy(trajectory.F)
    rgb, alpha, depth, flow = [], [], [], []
    appearance = Appearance(scene, trajectory)
    behind: Layers | None = None
    way = [enlarged(camera) for camera in way]
    for t, camera in enumerate(way):
        following = min(t + 1, len(way) - 1)
        if behind is None or not still:
            behind = render_layers(room, camera, motion=Motion.still(room), camera_after=way[following])
        drawn = appearance.on(deform(dressed, scene.binding, positions[t], F[t]), t, camera.position)
        motion = Motion.of_matter(dressed, scene.binding, drawn, F[t], positions[following], F[following])
        layers = compose(render_layers(drawn, camera, motion=motion, camera_after=way[following]), behind)
        rgb.append((255 * _means(layers.rgb.clamp(0, 1)) + 0.5).astype(np.uint8))
        alpha.append(_means(layers.alpha))
        depth.append(layers.depth.numpy()[FINER // 2 :: FINER, FINER // 2 :: FINER])
        if t + 1 < len(way):
            assert layers.flow is not None
            flow.append(_means(layers.flow) / FINER)
    return Coarse(np.stack(rgb), np.stack(alpha), np.stack(depth), np.stack(flow))


def _means(layer: torch.Tensor) -> NDArray[np.float32]:
    """[H, W, ...] from finer pixels."""
    height, width = layer.shape[0] // FINER, layer.shape[1] // FINER
    cells = layer.reshape(height, FINER, width, FINER, *layer.shape[2:])
    return np.asarray(cells.mean(3).mean(1).numpy(), np.float32)
