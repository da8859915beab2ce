"""What is known of a fine film besides its picture: depth, optical flow, scene flow, what is hidden next, whose each pixel is, tracks.

All follow from one thing, the point in space that a pixel's middle sees and where that point is in the next frame, which Cycles gives for
each pixel. Gas is no surface that a ray could meet: where the project's renderer shows half of its puffs' cover or more, the pixel is the gas's,
at the mean depth and motion of the puffs it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.phys4d.data.cycles import Filmed
from perpetua.phys4d.data.spec import SceneSpec
from perpetua.phys4d.data.surfaces import Surface
from perpetua.render import render_layers
from perpetua.scene import Camera, Scene, Trajectory, deform
from perpetua.scene.particles import present

HIDDEN_MARGIN = 0.02
"""Share of its depth by which a point must lie behind what is seen in its place to be hidden."""
GAS_COVER = 0.5
TRACKS = 256
ROOM_TRACKS = 64
CORNER_TOLERANCE_M = 0.002
"""How far behind what is seen a track may lie and still be visible, for corners of surfaces; for particles it is their spacing."""


@dataclass(frozen=True)
class Truth:
    """depth: [T, H, W] m.  flow: [T - 1, H, W, 2] pixels.  scene_flow: [T - 1, H, W, 3] m, camera axes of frame t.  occluded:
    [T - 1, H, W].  masks: [T, H, W], 0 for the room."""

    depth: NDArray[np.float32]
    flow: NDArray[np.float32]
    scene_flow: NDArray[np.float32]
    occluded: NDArray[np.bool_]
    masks: NDArray[np.uint8]


@dataclass(frozen=True)
class Followed:
    """Points of the scene that are followed. position: [T, N, 3] m, world.  there: [T, N].  tolerance: [N] m."""

    position: NDArray[np.float32]
    there: NDArray[np.bool_]
    tolerance: NDArray[np.float32]


def truth_of(filmed: Filmed, way: Sequence[Camera], scene: Scene, trajectory: Trajectory) -> Truth:
    """The layers of one camera's film of ``scene``."""
    count = len(way)
    depths, numbers = filmed.depth.copy(), filmed.number.copy()
    afters = []
    for t, camera in enumerate(way):
        seen = _points(camera, depths[t])
        after = np.where(numbers[t][..., None] > 0, filmed.after[t], seen)
        _see_gas(scene, trajectory, t, camera, depths[t], numbers[t], after)
        afters.append(after)
    flow, scene_flow, occluded = [], [], []
    for t in range(count - 1):
        camera, following = way[t], way[t + 1]
        seen = _points(camera, depths[t])
        pixels, z = _projected(following, afters[t])
        flow.append(pixels - _grid(camera))
        scene_flow.append((afters[t] - seen) @ camera.world_to_camera[:3, :3].T)
        occluded.append(_hidden(pixels, z, depths[t + 1]))
    return Truth(
        depths, np.stack(flow).astype(np.float32), np.stack(scene_flow).astype(np.float32), np.stack(occluded), numbers
    )  # fmt: skip


def followed_points(
    spec: SceneSpec, shown: Sequence[Surface], scene: Scene, trajectory: Trajectory
) -> Followed:
    """Corners of surfaces that keep their corners, particles of others, in equal shares, and places on the table."""
    random = np.random.default_rng([spec.seed, 3])
    places, theres, tolerances = [], [], []
    share = max(1, (TRACKS - ROOM_TRACKS) // len(shown))
    for index, surface in enumerate(shown):
        first = surface.frames[0]
        fixed = (
            first is not None
            and len(first.faces) > 0
            and all(f is not None and f.faces is first.faces for f in surface.frames)
        )
        if fixed:
            tracks = np.stack([f.points for f in surface.frames if f is not None])
            there = np.ones(tracks.shape[:2], bool)
        else:
            mine = np.flatnonzero(scene.particles.body == index)
            tracks, there = trajectory.positions[:, mine], present(trajectory.F[:, mine])
        chosen = random.choice(tracks.shape[1], min(share, tracks.shape[1]), replace=False)
        places.append(tracks[:, chosen])
        theres.append(there[:, chosen])
        tolerances.append(np.full(len(chosen), CORNER_TOLERANCE_M if fixed else scene.spacing))
    angle, away = random.uniform(0, 2 * np.pi, ROOM_TRACKS), 0.35 * np.sqrt(random.uniform(0, 1, ROOM_TRACKS))
    table = np.stack([away * np.cos(angle), away * np.sin(angle), 0 * angle], 1)
    places.append(np.tile(table, (trajectory.frames, 1, 1)))
    theres.append(np.ones((trajectory.frames, ROOM_TRACKS), bool))
    tolerances.append(np.full(ROOM_TRACKS, CORNER_TOLERANCE_M))
    return Followed(
        np.concatenate(places, 1).astype(np.float32),
        np.concatenate(theres, 1),
        np.concatenate(tolerances).astype(np.float32),
    )


def visible(followed: Followed, way: Sequence[Camera], depth: NDArray) -> NDArray[np.bool_]:
    """[T, N]: which points the camera sees, by its film's depth [T, H, W] m."""
    seen = []
    for t, camera in enumerate(way):
        pixels, z = _projected(camera, followed.position[t].astype(np.float64))
        x, y = np.floor(pixels[:, 0]).astype(int), np.floor(pixels[:, 1]).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height) & (z > 0)
        there = depth[t, np.clip(y, 0, camera.height - 1), np.clip(x, 0, camera.width - 1)]
        seen.append(
            followed.there[t] & inside & (z <= there * (1 + 0.5 * HIDDEN_MARGIN) + followed.tolerance)
        )
    return np.stack(seen)


def _grid(camera: Camera) -> NDArray[np.float64]:
    """[H, W, 2]: the middles of pixels."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return np.stack([x, y], -1)


def _points(camera: Camera, depth: NDArray) -> NDArray[np.float64]:
    """[H, W, 3] m, world: what pixels' middles see at ``depth`` [H, W] m."""
    rays = camera.rays(_grid(camera).reshape(-1, 2)).reshape(camera.height, camera.width, 3)
    return np.asarray(camera.position + depth[..., None] * rays)


def _projected(camera: Camera, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels [..., 2] and depths [...] m of ``points`` [..., 3] m."""
    pixels, z = camera.project(points.reshape(-1, 3))
    return pixels.reshape(*points.shape[:-1], 2), z.reshape(points.shape[:-1])


def _hidden(pixels: NDArray, z: NDArray, depth: NDArray) -> NDArray[np.bool_]:
    """Whether a point seen at ``pixels`` [H, W, 2] and ``z`` [H, W] m lies outside the next frame or behind all of the four pixels
    around it; depth: [H, W] m, of that frame."""
    height, width = depth.shape
    x, y = pixels[..., 0] - 0.5, pixels[..., 1] - 0.5
    outside = (
        (pixels[..., 0] < 0) | (pixels[..., 1] < 0) | (pixels[..., 0] > width) | (pixels[..., 1] > height)
    )
    farthest = np.zeros_like(z)
    far = np.where(depth > 0, depth, np.inf)
    for dx in (0, 1):
        for dy in (0, 1):
            column = np.clip(np.floor(x).astype(int) + dx, 0, width - 1)
            row = np.clip(np.floor(y).astype(int) + dy, 0, height - 1)
            farthest = np.maximum(farthest, far[row, column])
    return np.asarray(outside | (z <= 0) | (z > farthest * (1 + HIDDEN_MARGIN)))


@torch.no_grad()
def _see_gas(
    scene: Scene,
    trajectory: Trajectory,
    t: int,
    camera: Camera,
    depth: NDArray,
    number: NDArray,
    after: NDArray,
) -> None:
    """Write the gas that ``camera`` sees in frame ``t`` over depth [H, W], number [H, W] and after [H, W, 3], in place."""
    gas = [i for i, body in enumerate(scene.bodies) if body.material.model == "gas"]
    if not gas:
        return
    body = scene.particles.body[scene.binding.particle[: scene.binding.carried].numpy()]
    following = min(t + 1, trajectory.frames - 1)
    now, then = (
        deform(
            scene.foreground,
            scene.binding,
            torch.from_numpy(trajectory.positions[f]),
            torch.from_numpy(trajectory.F[f]),
        )
        for f in (t, following)
    )
    there = present(trajectory.F[t]) & present(trajectory.F[following])
    for index in gas:
        mine = torch.from_numpy(
            np.flatnonzero((body == index) & there[scene.binding.particle[: len(body)].numpy()])
        )
        if not len(mine):
            continue
        seen = render_layers(now[mine], camera, channels=then.means[mine] - now.means[mine])
        assert seen.extra is not None
        alpha, z = seen.alpha.numpy(), seen.depth.numpy()
        covered = (alpha > GAS_COVER) & ((z < depth) | (depth == 0))
        depth[covered] = z[covered]
        number[covered] = index + 1
        step = seen.extra.numpy() / np.maximum(alpha, 1e-6)[..., None]
        after[covered] = (_points(camera, depth) + step)[covered]
