"""A scene of the data in the colours of its picture, as a reconstruction from that picture would show it.

Each pixel that sees a thing becomes a disc on the surface there, in the thing's own colour; the matter below and behind keeps its own
splats, drawn in so that they widen no outline, in the colours nearest to them. What stands behind the things is painted in, their
shadows are taken off the table and become discs that go where the things go, and the colours are matched until the splats look like the
picture. Light stays as it was painted: that is what a refiner has to put right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from perpetua.phys4d.data.room import background, room_distance
from perpetua.reconstruct.colour_fit import match_picture
from perpetua.reconstruct.discs import Painted, tangent_discs
from perpetua.reconstruct.ground_shadow import GroundShadow, Shading, find_shading, shadows
from perpetua.reconstruct.matte import object_colours, soften
from perpetua.reconstruct.stage import Stage
from perpetua.scene import Binding, Camera, Gaussians, Scene
from perpetua.scene.cameras import inverse
from perpetua.scene.gaussians import SH_C0

Array = NDArray[np.float64]

FINER = 2
"""Times the picture's pixels a side that coarse films are rendered with: the renderer widens splats by half a pixel."""
FIT_ROUNDS = 6
"""Of matching colours."""
MOST_STRETCH = 3.0
"""Longest a disc may be along a slanted surface, in the size it has face on."""
SAME_SURFACE = 0.03
"""Share of the depth by which neighbouring pixels of a surface may differ."""
CLEARANCE = 1.7
"""Standard deviations of a hidden splat that stay inside the outline."""
SMALLEST = 0.15
"""Pixels, standard deviation; what would be smaller to stay inside is left out."""
BEHIND = 1.5
"""Standard deviations that a hidden splat stays behind what is seen."""


@dataclass(frozen=True)
class Seen:
    """A picture and what is known of it. rgb: [H, W, 3] sRGB.  depth: [H, W] m, 0 for none.  number: [H, W], the thing's, 0 for the room."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    number: NDArray[np.uint8]


@dataclass(frozen=True)
class Standing:
    """A thing of the scene, as shadows need it: its surface's ``vertices`` [V, 3], and whether it stands on the table."""

    vertices: Array
    resting: bool


def dress(scene: Scene, camera: Camera, seen: Seen, margin: float) -> Scene:
    """``scene``, of which nothing has been let out yet, dressed from what ``camera`` sees, with its background, which goes on beyond
    the picture by ``margin`` of its size."""
    picture, things = seen.rgb, seen.number > 0
    matte = soften(picture, things.astype(np.uint8))
    shading, shadow = _shadows(scene, camera, picture, matte)
    cleaned = shading.cleaned(picture, matte)
    room = background(camera, cleaned, things, margin)
    skins = [_skin(scene, index, camera, seen) for index in range(len(scene.bodies))]
    dark = [_painted_hidden(part.splats, camera) for part in shadow]
    whole = _matched(Painted.cat([room, *(skin.painted for skin in skins), *dark]), camera, picture)
    room_count, count = len(room), len(room) + sum(len(skin.painted) for skin in skins)
    foreground = whole[room_count:]
    rest = torch.from_numpy(scene.particles.positions)
    binding = Binding.to_nearest(
        whole.means[room_count:count], rest, torch.from_numpy(np.concatenate([skin.hangs for skin in skins]))
    )
    if any(len(part) for part in shadow):
        ground = torch.cat([torch.full((len(part),), index) for index, part in enumerate(shadow)])
        fade = torch.cat([part.fade for part in shadow])
        binding = binding.with_ground(ground, fade, rest, torch.from_numpy(scene.particles.body))
    return replace(
        scene, foreground=foreground, binding=binding, background=whole[:room_count], camera=camera, picture=picture, matte=matte
    )  # fmt: skip


def enlarged(camera: Camera) -> Camera:
    """The same view with ``FINER`` times the pixels a side."""
    return camera.resized(FINER * camera.width)


def _matched(painted: Painted, camera: Camera, picture: NDArray[np.uint8]) -> Gaussians:
    """The splats with their colours matched to ``picture`` [H, W, 3], as the mean of finer pixels."""
    fine = replace(painted, pixels=FINER * painted.pixels, sides=FINER * painted.sides)
    large = picture.repeat(FINER, 0).repeat(FINER, 1)
    return match_picture(fine, enlarged(camera), large, FINER * camera.width, FIT_ROUNDS, lambda _: None)


@dataclass(frozen=True)
class Skin:
    """A thing's splats, and the particle [N] that each hangs on."""

    painted: Painted
    hangs: NDArray[np.int64]


def _skin(scene: Scene, index: int, camera: Camera, seen: Seen) -> Skin:
    """Of body ``index``."""
    mine = np.flatnonzero(scene.particles.body == index)
    owner = scene.particles.body[scene.binding.particle.numpy()]
    hidden = scene.foreground[torch.from_numpy(owner == index)]
    shown = (seen.number == index + 1) & (seen.depth > 0)
    colours = object_colours(seen.rgb, soften(seen.rgb, shown.astype(np.uint8)))
    if not shown.any():
        painted = _painted_hidden(hidden, camera)
    elif scene.bodies[index].material.model == "gas":  # it has no surface
        painted = _painted_hidden(_coloured(hidden, camera, colours, seen.depth, shown), camera)
    else:
        front = _front(camera, seen.depth, shown, colours)
        behind = _withdrawn(hidden, camera, seen.depth, seen.number > 0)
        nearest = cKDTree(front.splats.means.numpy()).query(behind.means.numpy())[1]
        behind = replace(behind, sh=front.splats.sh[torch.from_numpy(nearest)].clone())
        painted = Painted.cat([front, _painted_hidden(behind, camera)])
    nearest = cKDTree(scene.particles.positions[mine]).query(painted.splats.means.numpy())[1]
    return Skin(painted, mine[nearest])


def _painted_hidden(splats: Gaussians, camera: Camera) -> Painted:
    pixels = camera.project(splats.means.numpy().astype(np.float64))[0]
    return Painted.hidden(splats, pixels, np.ones(len(splats)))


def _coloured(
    splats: Gaussians, camera: Camera, colours: NDArray[np.float32], depth: NDArray, shown: NDArray[np.bool_]
) -> Gaussians:
    """``splats`` in the colours [H, W, 3] of the nearest place that is ``shown`` [H, W] at ``depth`` [H, W] m."""
    pixels = _centres(shown)
    places = camera.position + depth[shown][:, None] * camera.rays(pixels)
    nearest = cKDTree(places).query(splats.means.numpy())[1]
    sh = splats.sh.clone()
    sh[:, 0] = torch.from_numpy((colours[shown][nearest] - 0.5) / SH_C0)
    return replace(splats, sh=sh)


def _front(camera: Camera, depth: NDArray, shown: NDArray[np.bool_], colours: NDArray[np.float32]) -> Painted:
    """A disc for each pixel that is ``shown`` [H, W], at ``depth`` [H, W] m, in ``colours`` [H, W, 3]."""
    every = np.ones_like(shown)
    rays = camera.rays(_centres(every)).reshape(*shown.shape, 3)
    points = camera.position + depth[..., None] * rays
    along_u, along_v = (_step(points, depth, shown, rays, axis)[shown] for axis in (1, 0))
    size = depth[shown][:, None] / camera.K[0, 0]
    discs = tangent_discs(
        points[shown], _at_most(along_u, size), _at_most(along_v, size), colours[shown].astype(np.float64)
    )
    inner = (
        cv2.erode(np.pad(shown.astype(np.uint8), 1, mode="edge"), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    )
    return Painted(discs, inner[shown], _centres(shown), np.ones(int(shown.sum())))


def _step(points: Array, depth: NDArray, shown: NDArray[np.bool_], rays: Array, axis: int) -> Array:
    """[H, W, 3] m: the step on the surface from a pixel to the next along ``axis``; where neither neighbour is of the same surface, the
    one that faces the camera."""
    flat = depth[..., None] * np.gradient(rays, axis=axis)
    total, count = np.zeros_like(points), np.zeros(shown.shape)
    for way in (-1, 1):
        other = np.roll(points, -way, axis)
        far = np.roll(depth, -way, axis)
        same = shown & np.roll(shown, -way, axis) & (np.abs(far - depth) < SAME_SURFACE * depth)
        edge = [slice(None), slice(None)]
        edge[axis] = slice(-1, None) if way == 1 else slice(0, 1)
        same[tuple(edge)] = False
        total += np.where(same[..., None], way * (other - points), 0.0)
        count += same
    return np.where(count[..., None] > 0, total / np.maximum(count, 1)[..., None], flat)


def _at_most(vectors: Array, size: Array) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.minimum(1.0, MOST_STRETCH * size / np.maximum(length, 1e-12))


def _withdrawn(splats: Gaussians, camera: Camera, depth: NDArray, things: NDArray[np.bool_]) -> Gaussians:
    """``splats`` made so small that they stay within the outline of ``things`` [H, W], and put behind what is seen at ``depth`` [H, W] m;
    without those that do not fit."""
    means = splats.means.numpy().astype(np.float64)
    sigma = splats.scales.amax(1).numpy().astype(np.float64)
    pixels, z = camera.project(means)
    x, y = np.floor(pixels).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
    x, y = x.clip(0, camera.width - 1), y.clip(0, camera.height - 1)
    room = np.where(inside, distance_transform_edt(np.pad(things, 1, mode="edge"))[1:-1, 1:-1][y, x], np.inf)
    per_pixel = z / camera.K[0, 0]
    least = np.minimum(sigma, room / CLEARANCE * per_pixel)
    fits = least > SMALLEST * per_pixel
    seen_at = np.where(inside & things[y, x], depth[y, x], 0.0)
    moved = np.maximum(z, seen_at + BEHIND * least)
    means = camera.position + moved[:, None] * camera.rays(pixels)
    kept = torch.from_numpy(fits)
    small = replace(
        splats,
        means=torch.from_numpy(means).float(),
        log_scales=splats.log_scales
        + torch.from_numpy(np.log(np.maximum(least, 1e-9) / sigma)).float()[:, None],
    )
    return small[kept]


def _shadows(
    scene: Scene, camera: Camera, picture: NDArray[np.uint8], matte: NDArray[np.float32]
) -> tuple[Shading, list[GroundShadow]]:
    """What the things darken of the table, and the discs that do so, of each of them.

    Reconstruction knows a world whose camera stands one unit above the plane's origin and looks along y; discs are round, so turning
    them back about the vertical leaves their axes.
    """
    eye, forward = camera.position, camera.camera_to_world[:3, 2]
    length = np.hypot(*forward[:2])
    right = np.array([forward[1], -forward[0]]) / length
    turn = np.array([[right[0], right[1], 0.0], [-right[1], right[0], 0.0], [0.0, 0.0, 1.0]])
    foot, height = np.array([eye[0], eye[1], 0.0]), float(eye[2])
    pose = np.eye(4)
    pose[:3, :3] = turn @ camera.camera_to_world[:3, :3]
    pose[2, 3] = 1.0
    there = Camera(camera.K, inverse(pose), camera.width, camera.height, camera.name, "front")
    to_wall = room_distance(eye, np.array([[forward[0], forward[1], 0.0]]) / length)[0]
    stage = Stage(there, float(to_wall) / height)
    standing = [Standing((body.vertices - foot) @ turn.T / height, body.resting) for body in scene.bodies]
    shading = find_shading(picture, matte, stage, standing, camera.width)
    found = [
        GroundShadow(_back(shadow.splats, turn, foot, height), shadow.fade)
        for shadow in shadows(shading, stage, standing)
    ]
    return shading, found


def _back(splats: Gaussians, turn: Array, foot: Array, height: float) -> Gaussians:
    """Round discs ``splats`` from the world of ``turn`` (x - foot) / height."""
    means = (height * splats.means.numpy().astype(np.float64)) @ turn + foot
    return replace(
        splats, means=torch.from_numpy(means).float(), log_scales=splats.log_scales + float(np.log(height))
    )


def _centres(chosen: NDArray[np.bool_]) -> Array:
    """[N, 2]: the middles of the pixels ``chosen`` [H, W]."""
    y, x = np.nonzero(chosen)
    return np.stack([x, y], 1).astype(np.float64) + 0.5
