"""Gaussians that look right from all around, into a scene: the second half of the recipe for captures, and for splats made elsewhere.

The world is turned so that the support plane is level; each object's depth is fused to a closed solid, which is filled with particles;
then the Gaussians come apart into objects and background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.assemble import Parts, assemble, foot_of, metres_per_unit
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.fit.part import claimed, contact_patch, inside_splats, part
from perpetua.reconstruct.fit.train import Fit
from perpetua.reconstruct.material_regions import with_regions
from perpetua.reconstruct.particles import shared_spacing
from perpetua.reconstruct.surface.clusters import with_masks
from perpetua.reconstruct.surface.filling import fill_field, sheet_of_field, spacing_of, volume_of
from perpetua.reconstruct.surface.fusion import Field, fuse
from perpetua.reconstruct.surface.plane import Plane
from perpetua.reconstruct.surface.shape import cleaned, cut_at_plane, surface
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.harmonics import turned
from perpetua.scene.materials import Material, resolve
from perpetua.scene.rotations import matrix_from_quaternion, quaternion_from_matrix
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take

Array = NDArray[np.float64]

VOXELS = 96
"""Along an object's longest side."""


@dataclass(frozen=True)
class Fitted:
    """fit: the Gaussians.  capture: views of them with depth, and with masks if objects are known by those.  picture: the front view at
    its full size.  plane: what everything stands on.  rough: whether the views' depth is that of the Gaussians, and was not measured."""

    fit: Fit
    capture: Capture
    picture: CapturedView
    plane: Plane
    rough: bool


def scene_of_fit(fitted: Fitted, take: Take, voxels: int, progress: Progress) -> Scene:
    """The world of frame 0. voxels: along an object's longest side.

    Raises ``CaptureError``, ``SegmentationError`` or ``ReconstructionError``.
    """
    things = take.objects
    materials = [resolve(thing.material) for thing in things]
    fit, capture, picture = fitted.fit, fitted.capture, fitted.picture
    if not capture.has_objects:
        ratio = capture.front_view.camera.width / picture.camera.width
        segmenter = providers.segmenter(take)
        capture = with_masks(capture, fitted.plane, things, ratio, fitted.rough, segmenter)
    if picture.objects is None:
        picture = replace(picture, objects=_enlarged(capture.front_view, picture.camera))
    capture, fit = _levelled(capture, fit, fitted.plane)

    progress(0.25, "shaping the objects")
    fields = [_shape(capture, index, thing, voxels) for index, thing in enumerate(things)]
    solids = [surface(field) for field in fields]
    scale = _scale(capture, take, materials, [v for v, _ in solids])
    foot = foot_of(things, [v for v, _ in solids])
    spacing = (
        take.scene.particle_spacing / scale
        if take.scene.particle_spacing is not None
        else _spacing(things, materials, fields, solids, take.quality.particles)
    )
    progress(0.5, "filling with particles")
    surfaces, clouds = [], []
    for index, (thing, material, shape) in enumerate(zip(things, materials, fields, strict=True)):
        if material.model == "cloth":
            corners, faces = sheet_of_field(shape, spacing, thing.name)
            surfaces.append((corners, faces))
            clouds.append(corners)
        else:
            surfaces.append(solids[index])
            floor = 0.0 if thing.resting else None
            clouds.append(fill_field(shape, spacing, thing.name, take.seed + index, floor))

    progress(0.75, "parting the objects from what is behind them")
    names = [thing.name for thing in things]
    if (fit.objects >= 0).any():
        background, skins = part(fit, fields, names)
    else:
        background, skins = part(claimed(fit, fields, capture.views), fields, names, math.inf)
    patches = [contact_patch(f, background) for f, thing in zip(fields, things) if thing.resting]
    inner = [
        inside_splats(cloud, skin, solid[0], spacing, take.quality.sub_gaussians, take.seed)
        for cloud, skin, solid in zip(clouds, skins, solids, strict=True)
    ]
    dressed = [Gaussians.cat([skin, matter]) for skin, matter in zip(skins, inner, strict=True)]
    assert picture.objects is not None
    pose = capture.front_view.camera.world_to_camera
    parts = Parts(
        things, materials, surfaces, clouds, [len(splats) for splats in dressed], Gaussians.cat([background, *patches, fit.dome]),
        Gaussians.cat(dressed), [], replace(picture.camera, world_to_camera=pose), picture.rgb,
        (picture.objects >= 0).astype(np.float32), spacing,
    )  # fmt: skip
    return _with_regions(assemble(parts, scale, foot), picture, take)


def _shape(capture: Capture, index: int, thing: ObjectSpec, voxels: int) -> Field:
    floor = 0.0 if thing.resting else None
    field = fuse(list(capture.views), index, thing.name, voxels, floor)
    return cleaned(cut_at_plane(field), thing.name)


def _scale(capture: Capture, take: Take, materials: list[Material], vertices: list[Array]) -> float:
    """Metres a unit of the capture."""
    if capture.metric:
        return 1.0
    if take.scene.metres_per_unit is not None:
        return take.scene.metres_per_unit
    return metres_per_unit(take.objects, materials, vertices)


def _enlarged(view: CapturedView, camera: Camera) -> NDArray[np.int32]:
    """[H, W] the objects of a view at the size of ``camera``."""
    assert view.objects is not None
    rows, columns = (
        np.arange(new) * old // new
        for new, old in ((camera.height, view.camera.height), (camera.width, view.camera.width))
    )
    return view.objects[np.ix_(rows, columns)]


def _levelled(capture: Capture, fit: Fit, plane: Plane) -> tuple[Capture, Fit]:
    """Both turned and shifted so that the plane is z = 0 and the front camera looks along +Y."""
    level = plane.to_level()
    ahead = level @ capture.front_view.camera.world_to_camera[2, :3]
    turn = math.pi / 2 - math.atan2(ahead[1], ahead[0])
    c, s = math.cos(turn), math.sin(turn)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level
    shift = np.array([0.0, 0.0, -plane.offset])

    def levelled(splats: Gaussians) -> Gaussians:
        turn = torch.from_numpy(rotation).float()
        means = splats.means @ turn.T + torch.from_numpy(shift).float()
        quats = quaternion_from_matrix(turn @ matrix_from_quaternion(splats.quats))
        return replace(splats, means=means, quats=quats, sh=turned(splats.sh, turn))

    fit = replace(fit, gaussians=levelled(fit.gaussians), dome=levelled(fit.dome))
    return capture.moved(rotation, shift, 1.0), fit


def _spacing(
    things: tuple[ObjectSpec, ...],
    materials: list[Material],
    fields: list[Field],
    solids: list[tuple[Array, NDArray[np.int64]]],
    count: int,
) -> float:
    """Between particles, at which about ``count`` fill all objects."""
    area = 0.0
    for material, (vertices, faces) in zip(materials, solids, strict=True):
        if material.model == "cloth":
            a, b, c = vertices[faces].transpose(1, 0, 2)
            area += 0.25 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())  # one side of two
    thick = [i for i, material in enumerate(materials) if material.model != "cloth"]
    if area > 0:
        return shared_spacing(sum(volume_of(fields[i]) for i in thick), area, count)
    return spacing_of([fields[i] for i in thick], [0.0 if things[i].resting else None for i in thick], count)


def _with_regions(scene: Scene, front: CapturedView, take: Take) -> Scene:
    if not any(thing.regions for thing in take.objects):
        return scene
    picture = Picture(front.rgb, 1.0, None, Path(front.name))
    return with_regions(scene, picture, take.objects, providers.segmenter(take))
