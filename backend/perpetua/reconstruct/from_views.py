"""A capture into a scene: the recipe from pictures around an object to splats and particles.

Gaussians are fitted to all views and learn whose they are; the support plane is found and made level; each object's depth is fused to a
closed solid, which is filled with particles; then the Gaussians come apart into objects and background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua import registry
from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.assemble import Parts, assemble, foot_of, metres_per_unit
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.fit.part import claimed, contact_patch, inside_splats, part
from perpetua.reconstruct.fit.train import Fit, FitSettings, train
from perpetua.reconstruct.material_regions import materials_of_regions, with_regions
from perpetua.reconstruct.particles import shared_spacing
from perpetua.reconstruct.surface.clusters import check_clicked, with_masks
from perpetua.reconstruct.surface.filling import fill_field, sheet_of_field, spacing_of, volume_of
from perpetua.reconstruct.surface.fusion import Field, fuse
from perpetua.reconstruct.surface.plane import ROUGH_TOLERANCE, TOLERANCE, Plane, find_plane
from perpetua.reconstruct.surface.shape import cleaned, cut_at_plane, surface
from perpetua.render import render_layers
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.materials import Material, resolve
from perpetua.scene.rotations import matrix_from_quaternion, quaternion_from_matrix
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take

Array = NDArray[np.float64]

VOXELS = 96
"""Along an object's longest side."""
OPAQUE = 0.5
"""Coverage above which a fit's depth is of something."""


def fit_settings() -> FitSettings:
    """The defaults, on a GPU if there is one."""
    return FitSettings(device="cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class ViewsReconstructor:
    """A ``CaptureReconstructor``. settings: of the fit; voxels: along an object's longest side."""

    settings: FitSettings = field(default_factory=fit_settings)
    voxels: int = VOXELS

    def reconstruct(self, capture: Capture, take: Take, progress: Progress) -> Scene:
        """Raises ``CaptureError``, ``MaterialError`` or ``ReconstructionError``."""
        things = take.objects
        materials = [resolve(thing.material) for thing in things]
        for thing in things:
            materials_of_regions(thing)  # refused before the work begins
        masked = capture.has_objects
        if masked:
            capture = _of_objects(capture, things)
        else:
            check_clicked(things)
        picture, capture = capture.front_view, capture.reduced(take.quality.splat_width)
        fit = train(capture, self.settings, take.seed, _part_of(progress, 0.0, 0.8))

        progress(0.8, "finding the table")
        measured = capture.has_depth
        capture = capture if measured else _with_depth_of(fit, capture)
        plane = find_plane(list(capture.views), take.seed, TOLERANCE if measured else ROUGH_TOLERANCE)
        if not masked:
            ratio = capture.front_view.camera.width / picture.camera.width
            capture = with_masks(capture, plane, things, ratio)
            picture = replace(picture, objects=_enlarged(capture.front_view, picture.camera))
        capture, fit = _levelled(capture, fit, plane)

        progress(0.85, "shaping the objects")
        fields = [self._shape(capture, index, thing) for index, thing in enumerate(things)]
        solids = [surface(field) for field in fields]
        scale = 1.0 if capture.metric else metres_per_unit(things, materials, [v for v, _ in solids])
        foot = foot_of(things, [v for v, _ in solids])
        spacing = (
            take.scene.particle_spacing / scale
            if take.scene.particle_spacing is not None
            else _spacing(things, materials, fields, solids, take.quality.particles)
        )
        progress(0.9, "filling with particles")
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

        progress(0.95, "parting the objects from what is behind them")
        fit = fit if masked else claimed(fit, fields)
        background, skins = part(fit, fields, [thing.name for thing in things])
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
        scene = assemble(parts, scale, foot)
        return _with_regions(scene, picture, things)

    def _shape(self, capture: Capture, index: int, thing: ObjectSpec) -> Field:
        floor = 0.0 if thing.resting else None
        field = fuse(list(capture.views), index, thing.name, self.voxels, floor)
        return cleaned(cut_at_plane(field), thing.name)


def _of_objects(capture: Capture, things: tuple[ObjectSpec, ...]) -> Capture:
    """The capture with the take's objects in their order, all others being background. Raises ``CaptureError``."""
    missing = [thing.name for thing in things if thing.name not in capture.objects]
    if missing:
        raise CaptureError(
            f"The capture has no object '{missing[0]}'; its objects are called {', '.join(capture.objects)}."
        )
    order = np.full(len(capture.objects) + 1, -1, np.int32)  # the last entry is for -1, no object
    for index, thing in enumerate(things):
        order[capture.objects.index(thing.name)] = index

    def renumbered(view: CapturedView) -> CapturedView:
        return view if view.objects is None else replace(view, objects=order[view.objects])

    capture = replace(
        capture,
        views=tuple(map(renumbered, capture.views)),
        held_out=tuple(map(renumbered, capture.held_out)),
        objects=tuple(thing.name for thing in things),
    )
    for index, thing in enumerate(things):
        if not any(view.objects is not None and index in view.objects for view in capture.views):
            raise CaptureError(f"No picture's mask shows object '{thing.name}'; check the masks' numbers.")
    return capture


def _enlarged(view: CapturedView, camera: Camera) -> NDArray[np.int32]:
    """[H, W] the objects of a view at the size of ``camera``."""
    assert view.objects is not None
    rows, columns = (
        np.arange(new) * old // new
        for new, old in ((camera.height, view.camera.height), (camera.width, view.camera.width))
    )
    return view.objects[np.ix_(rows, columns)]


def _with_depth_of(fit: Fit, capture: Capture) -> Capture:
    """The capture with the depth that the fit shows from its views."""

    @torch.no_grad()
    def seen(view: CapturedView) -> CapturedView:
        layers = render_layers(fit.gaussians, view.camera)
        depth = torch.where(layers.alpha > OPAQUE, layers.depth, torch.inf)
        return replace(view, depth=depth.numpy().astype(np.float32))

    return replace(capture, views=tuple(map(seen, capture.views)))


def _levelled(capture: Capture, fit: Fit, plane: Plane) -> tuple[Capture, Fit]:
    """Both turned and shifted so that the plane is z = 0 and the front camera looks along +Y."""
    level = plane.to_level()
    ahead = level @ capture.front_view.camera.world_to_camera[2, :3]
    turn = math.pi / 2 - math.atan2(ahead[1], ahead[0])
    c, s = math.cos(turn), math.sin(turn)
    rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level
    shift = np.array([0.0, 0.0, -plane.offset])

    def turned(splats: Gaussians) -> Gaussians:
        turn = torch.from_numpy(rotation).float()
        means = splats.means @ turn.T + torch.from_numpy(shift).float()
        quats = quaternion_from_matrix(turn @ matrix_from_quaternion(splats.quats))
        return replace(splats, means=means, quats=quats)

    fit = replace(fit, gaussians=turned(fit.gaussians), dome=turned(fit.dome))
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


def _with_regions(scene: Scene, front: CapturedView, things: tuple[ObjectSpec, ...]) -> Scene:
    if not any(thing.regions for thing in things):
        return scene
    from pathlib import Path

    segmenter: Segmenter = registry.load("segmenter", "grabcut")()
    return with_regions(scene, Picture(front.rgb, 1.0, None, Path(front.name)), things, segmenter)


def _part_of(progress: Progress, first: float, last: float) -> Progress:
    """A listener to which a whole piece of work is the stretch from ``first`` to ``last``."""

    def report(stage: str, fraction: float, text: str) -> None:
        progress.report(stage, first + (last - first) * fraction, text)

    return Progress(report, progress.cancelled, progress.stage)
