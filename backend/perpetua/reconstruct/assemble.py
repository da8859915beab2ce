"""Particles and splats that a reconstruction found, put together as a ``Scene`` in metres with the object at the origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.reconstruct.ground_shadow import GroundShadow
from perpetua.scene.binding import Binding
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.materials import Material
from perpetua.scene.particles import Particles
from perpetua.scene.scene import Body, Scene
from perpetua_protocol.take import ObjectSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """What was found, in a world whose support plane is z = 0 and whose unit is not yet the metre. Lists have an entry an object.

    surfaces: vertices [V, 3] and faces [F, 3], of cloth the sheet whose corners are its particles.  clouds: particles [P, 3].
    skins: how many splats of ``foreground``, which is ordered by object.  below: splats of shadows.  camera: the picture's; rgb
    [H, W, 3] uint8 and matte [H, W]: the picture and the objects' coverage.  spacing: between particles.
    """

    things: tuple[ObjectSpec, ...]
    materials: list[Material]
    surfaces: list[tuple[Array, NDArray[np.int64]]]
    clouds: list[Array]
    skins: list[int]
    background: Gaussians
    foreground: Gaussians
    below: list[GroundShadow]
    camera: Camera
    rgb: NDArray[np.uint8]
    matte: NDArray[np.float32]
    spacing: float


def metres_per_unit(
    things: tuple[ObjectSpec, ...], materials: list[Material], vertices: list[Array]
) -> float:
    """The scale to metres, from the first object whose height is given, else from what the first resting object is made of. vertices:
    [V, 3] units of each object's surface."""
    given = [i for i, thing in enumerate(things) if thing.height is not None]
    resting = [i for i, thing in enumerate(things) if thing.resting]
    index = (given or resting or [0])[0]
    height = things[index].height or materials[index].typical_height
    return float(height / np.ptp(vertices[index][:, 2]))


def foot_of(things: tuple[ObjectSpec, ...], vertices: list[Array]) -> Array:
    """[3] the centre of the first resting object's base, on the plane; below the first object if all hang."""
    index = next((i for i, thing in enumerate(things) if thing.resting), 0)
    heights = vertices[index][:, 2]
    low = vertices[index][heights < heights.min() + 0.02 * np.ptp(heights)]
    middle = (low.min(0) + low.max(0)) / 2
    return np.array([middle[0], middle[1], 0.0])


def assemble(parts: Parts, scale: float, foot: Array) -> Scene:
    """Everything times ``scale`` (metres a unit) and shifted so that ``foot`` [3] (units) lies at the origin, as a ``Scene``."""
    positions = np.concatenate([(cloud - foot) * scale for cloud in parts.clouds])
    body = np.concatenate([np.full(len(cloud), i, np.int32) for i, cloud in enumerate(parts.clouds)])
    particles = Particles.at_rest(positions.astype(np.float32), body)
    foreground = moved(parts.foreground, scale, foot)
    binding = Binding.to_nearest(
        foreground.means,
        torch.from_numpy(particles.positions),
        torch.from_numpy(_nearest_of_own(parts, foreground.means.numpy(), positions)),
    )
    ground = torch.cat(
        [torch.full((len(shadow),), i) for i, shadow in enumerate(parts.below)] or [torch.empty(0)]
    )
    if len(ground):
        foreground = Gaussians.cat(
            [foreground, *(moved(shadow.splats, scale, foot) for shadow in parts.below)]
        )
        fade = torch.cat([shadow.fade for shadow in parts.below])
        binding = binding.with_ground(
            ground, fade, torch.from_numpy(particles.positions), torch.from_numpy(particles.body)
        )
    camera = parts.camera
    pose = camera.camera_to_world
    pose[:3, 3] = (pose[:3, 3] - foot) * scale
    bodies = [
        Body(thing.name, material, (vertices - foot) * scale, faces, thing.resting, thing.held)
        for thing, material, (vertices, faces) in zip(
            parts.things, parts.materials, parts.surfaces, strict=True
        )
    ]
    tall = max(float(b.vertices[:, 2].max()) for b in [b for b in bodies if b.resting] or bodies)
    return Scene(
        background=moved(parts.background, scale, foot),
        foreground=foreground,
        binding=binding,
        particles=particles,
        bodies=bodies,
        spacing=parts.spacing * scale,
        camera=Camera(
            camera.K, np.linalg.inv(pose).astype(np.float64), camera.width, camera.height, "picture", "front"
        ),
        picture=parts.rgb,
        matte=parts.matte.astype(np.float32),
        centre=np.array([0.0, 0.0, tall / 2]),
    )


def _nearest_of_own(parts: Parts, means: NDArray[np.float32], positions: Array) -> NDArray[np.int64]:
    """[N] the particle that each splat hangs on: the nearest of its own body."""
    nearest, start, first = [], 0, 0
    for cloud, count in zip(parts.clouds, parts.skins, strict=True):
        own = cKDTree(positions[first : first + len(cloud)])
        nearest.append(first + own.query(means[start : start + count])[1])
        start, first = start + count, first + len(cloud)
    return np.concatenate(nearest)


def moved(splats: Gaussians, scale: float, foot: Array) -> Gaussians:
    """``splats`` with ``foot`` [3] at the origin, then ``scale`` times as large."""
    shift = torch.from_numpy(foot)
    return Gaussians(
        ((splats.means.double() - shift) * scale).float(),
        splats.quats,
        splats.log_scales + float(np.log(scale)),
        splats.opacity_logits,
        splats.sh,
    )
