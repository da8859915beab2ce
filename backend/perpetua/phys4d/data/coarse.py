"""The coarse video: the coarse simulation as the loop would show it, dressed from the fine film's first frame.

As after a reconstruction, splats that the picture sees have its colours, and its light with them; the others have those of the nearest that it
sees. What stands behind the objects is painted in. Shadows and highlights so stay where they were in the picture, which is what a refiner
has to put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.phys4d.data.cycles import Filmed
from perpetua.phys4d.data.world import balls
from perpetua.render import Motion, render_layers
from perpetua.render.film import compose
from perpetua.render.layers import Layers
from perpetua.scene import Camera, Gaussians, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.gaussians import SH_C0

ROOM_RADIUS_M = 1.2
"""Of the table and the wall around it."""
SEEN_SPACINGS = 1.5
"""How far behind what a pixel sees a splat may lie and still have its colour."""
EDGE_PIXELS = 2
"""Around objects, where pixels mix them with what is behind, nothing is taken for the background."""
PAINT_RADIUS = 4
"""pixels, of Telea's inpainting."""
BACKGROUND_SIGMA, BACKGROUND_OPACITY = 0.4, 0.9
"""Of the splat in each pixel's direction, pixels."""
MOST_STRETCH = 10.0
"""Of a background splat along its ray, where the table is seen at a grazing angle."""
MARGIN_STILL, MARGIN_MOVING = 0.03, 0.6
"""How far the background goes on beyond the picture, in its size; mirrored."""


@dataclass(frozen=True)
class Coarse:
    """rgb: [T, H, W, 3].  alpha: [T, H, W].  depth: [T, H, W] m.  flow: [T - 1, H, W, 2] pixels."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]
    flow: NDArray[np.float32]


@torch.no_grad()
def film_coarse(scene: Scene, trajectory: Trajectory, way: Sequence[Camera], filmed: Filmed) -> Coarse:
    """The film of ``scene`` by one camera whose fine film is ``filmed``."""
    dressed = dress(scene, way[0], filmed)
    still = all(np.array_equal(camera.world_to_camera, way[0].world_to_camera) for camera in way)
    room = background(way[0], filmed, MARGIN_STILL if still else MARGIN_MOVING)
    positions, F = torch.from_numpy(trajectory.positions), torch.from_numpy(trajectory.F)
    rgb, alpha, depth, flow = [], [], [], []
    pictured = replace(
        scene,
        foreground=dressed,
        camera=way[0],
        picture=filmed.rgb[0],
        matte=(filmed.number[0] > 0).astype(np.float32),
    )
    appearance = Appearance(pictured, trajectory)
    behind: Layers | None = None
    for t, camera in enumerate(way):
        following = min(t + 1, len(way) - 1)
        if behind is None or not still:
            behind = render_layers(room, camera, motion=Motion.still(room), camera_after=way[following])
        drawn = appearance.on(deform(dressed, scene.binding, positions[t], F[t]), t, camera.position)
        motion = Motion.of_matter(dressed, scene.binding, drawn, F[t], positions[following], F[following])
        seen = compose(render_layers(drawn, camera, motion=motion, camera_after=way[following]), behind)
        rgb.append((seen.rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())
        alpha.append(seen.alpha.numpy())
        depth.append(seen.depth.numpy())
        if t + 1 < len(way):
            assert seen.flow is not None
            flow.append(seen.flow.numpy())
    return Coarse(np.stack(rgb), np.stack(alpha), np.stack(depth), np.stack(flow))


def dress(scene: Scene, camera: Camera, filmed: Filmed) -> Gaussians:
    """The scene's splats with the colours of the film's first frame; those that came from emitters keep their own."""
    splats = scene.foreground
    means = splats.means.numpy().astype(np.float64)
    owner = scene.particles.body[scene.binding.particle.numpy()]
    pixels, z = camera.project(means)
    x = np.clip(np.floor(pixels[:, 0]).astype(int), 0, camera.width - 1)
    y = np.clip(np.floor(pixels[:, 1]).astype(int), 0, camera.height - 1)
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    whose, at = filmed.number[0, y, x], filmed.depth[0, y, x]
    seen = inside & (whose == owner + 1) & (z < at + SEEN_SPACINGS * scene.spacing)
    picture = filmed.rgb[0].astype(np.float32) / 255
    place = pixels.astype(np.float32) - 0.5
    sampled = cv2.remap(picture, place[:, 0], place[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colours = splats.colors.numpy().copy()
    for index, body in enumerate(scene.bodies):
        mine, shown = owner == index, (owner == index) & seen
        if body.emitted or not shown.any():
            continue
        nearest = cKDTree(means[shown]).query(means[mine])[1]
        colours[mine] = sampled.reshape(-1, 3)[shown][nearest]
    sh = splats.sh.clone()
    sh[:, 0] = torch.from_numpy((colours - 0.5) / SH_C0)
    return replace(splats, sh=sh)


def background(camera: Camera, filmed: Filmed, margin: float) -> Gaussians:
    """A splat on the table or the wall for each pixel of the first frame and of a margin around it, objects painted out."""
    objects = (filmed.number[0] > 0).astype(np.uint8)
    hole = cv2.dilate(objects, np.ones((2 * EDGE_PIXELS + 1,) * 2, np.uint8))
    painted = cv2.inpaint(filmed.rgb[0], hole, PAINT_RADIUS, cv2.INPAINT_TELEA)
    wide, high = max(1, round(margin * camera.width)), max(1, round(margin * camera.height))
    painted = cv2.copyMakeBorder(painted, high, high, wide, wide, cv2.BORDER_REFLECT_101)
    x, y = np.meshgrid(
        np.arange(camera.width + 2 * wide) - wide + 0.5, np.arange(camera.height + 2 * high) - high + 0.5
    )
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
    away = room_distance(camera.position, rays)
    places = camera.position + away[:, None] * rays
    sigma = BACKGROUND_SIGMA * away / camera.K[0, 0]
    splats = balls(places, sigma, painted.reshape(-1, 3).astype(np.float32) / 255, BACKGROUND_OPACITY)
    return _along(splats, rays, sigma / np.maximum(_slant(places, rays), 1 / MOST_STRETCH))


def _slant(places: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """[N]: sine of the angle at which each ray meets the table or the wall at ``places`` [N, 3] m."""
    outward = places * [1.0, 1.0, 0.0] / np.maximum(np.linalg.norm(places[:, :2], axis=1), 1e-9)[:, None]
    normal = np.where(places[:, 2:] > 1e-6, outward, [0.0, 0.0, 1.0])
    return np.abs((normal * rays).sum(1)) / np.linalg.norm(rays, axis=1)


def _along(splats: Gaussians, rays: NDArray, length: NDArray) -> Gaussians:
    """Round splats drawn out to ``length`` [N] m along ``rays`` [N, 3]: they look the same from here, and close up from nearer by."""
    way = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    # the turn of z onto the ray: half-way quaternion (1 + z.w, z x w)
    quats = np.stack([1 + way[:, 2], -way[:, 1], way[:, 0], np.zeros(len(way))], 1)
    quats[quats[:, 0] < 1e-6] = [0.0, 1.0, 0.0, 0.0]
    log_scales = splats.log_scales.clone()
    log_scales[:, 2] = torch.from_numpy(np.log(length)).float()
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    return replace(splats, quats=torch.from_numpy(unit).float(), log_scales=log_scales)


def room_distance(eye: NDArray, rays: NDArray) -> NDArray[np.float64]:
    """[N]: how often ``rays`` [N, 3] go from ``eye`` [3] m into the table or, beyond it, the round wall."""
    down = rays[:, 2]
    table = np.where(down < -1e-9, -eye[2] / np.minimum(down, -1e-9), np.inf)
    a, b, c = (rays[:, :2] ** 2).sum(1), rays[:, :2] @ eye[:2], float((eye[:2] ** 2).sum()) - ROOM_RADIUS_M**2
    wall = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / np.maximum(a, 1e-12)
    return np.minimum(table, wall)
