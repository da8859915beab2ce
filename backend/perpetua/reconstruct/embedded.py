"""One picture into a scene, without a learned model: the recipe from pixels to splats and particles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua import registry
from perpetua.errors import ReconstructionError
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.background import build_background
from perpetua.reconstruct.camera import View, find_view
from perpetua.reconstruct.colour_fit import match_picture
from perpetua.reconstruct.discs import Painted
from perpetua.reconstruct.ground_shadow import GroundShadow, find_shading, shadows
from perpetua.reconstruct.material_regions import materials_of_regions, with_regions
from perpetua.reconstruct.matte import object_colours
from perpetua.reconstruct.particles import fill, spacing_for
from perpetua.reconstruct.sheet import CLOTH_DEPTH, drape
from perpetua.reconstruct.solid import Solid, inflate
from perpetua.reconstruct.splats import clothe
from perpetua.reconstruct.stage import Stage
from perpetua.scene.binding import Binding
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.materials import Material, resolve
from perpetua.scene.particles import Particles
from perpetua.scene.scene import Body, Scene
from perpetua_protocol.take import ObjectSpec, Take

Array = NDArray[np.float64]

FIT_ROUNDS = 4
"""Iterations of the colour fit; a fifth gains less than 0.1 dB on the example pictures."""
SOFT_MODELS = ("plastic", "liquid", "snow", "sand", "elastic")
"""Matter that rests as a heap, as deep as it is wide."""
HANGING_BASE_ROW = 0.85
"""Share of the picture's height at which the ground below is taken to be when every object hangs."""


@dataclass(frozen=True)
class EmbeddedReconstructor:
    """A ``Reconstructor`` that needs nothing but the picture."""

    segmenter: Segmenter = field(default_factory=lambda: registry.load("segmenter", "grabcut")())

    def reconstruct(self, picture: Picture, take: Take, progress: Progress) -> Scene:
        """Raises ``SegmentationError``, ``CameraError``, ``MaterialError`` or ``ReconstructionError``."""
        things = take.objects
        materials = [resolve(thing.material) for thing in things]
        mattes = []
        for thing in things:
            materials_of_regions(thing)  # refused before the work begins
        for index, thing in enumerate(things):
            progress(0.25 * index / len(things), f"finding {thing.name}")
            mattes.append(self.segmenter.segment(picture, thing))
        mattes = _without_overlap(mattes)
        matte = np.max(mattes, 0)

        progress(0.25, "placing the camera")
        view = find_view(picture, take.scene, _base_row(things, mattes), matte)
        solids = _solids(things, materials, mattes, view)

        progress(0.35, "filling with particles")
        scale = _metres_per_unit(things, materials, solids)
        spacing = (
            take.scene.particle_spacing / scale
            if take.scene.particle_spacing is not None
            else spacing_for(
                [s for s, m in zip(solids, materials, strict=True) if m.model != "cloth"],
                take.quality.particles,
                [s for s, m in zip(solids, materials, strict=True) if m.model == "cloth"],
            )
        )
        sheets = {
            index: drape(solid, spacing)
            for index, (solid, material) in enumerate(zip(solids, materials, strict=True))
            if material.model == "cloth"
        }
        clouds = [
            sheets[index][0] if index in sheets else fill(solid, spacing, take.seed + index)
            for index, solid in enumerate(solids)
        ]

        progress(0.4, "painting the objects")
        area = sum(float(m.sum()) for m in mattes)
        skins = [
            clothe(
                solid, object_colours(picture.rgb, m), m, cloud, spacing, take.quality.splat_width,
                float(m.sum()) / area, take.quality.sub_gaussians, take.seed + index,
            )
            for index, (solid, m, cloud) in enumerate(zip(solids, mattes, clouds, strict=True))
        ]  # fmt: skip

        progress(0.5, "painting what is behind them")
        foot = _foot(things, solids)
        stage = Stage.of(
            View(view.camera, max(view.edge_distance, *(s.vertices[:, 1].max() + 0.02 for s in solids)))
        )
        shading = find_shading(picture.rgb, matte, stage, solids, take.quality.splat_width)
        cleaned = shading.cleaned(picture.rgb, matte)
        behind = build_background(cleaned, matte, stage, foot, take.quality.splat_width, shading)

        progress(0.7, "matching the picture")
        count = len(behind)
        everything = match_picture(
            Painted.cat([behind, *skins]),
            view.camera,
            cleaned,
            take.quality.splat_width,
            FIT_ROUNDS,
            lambda done: progress(0.7 + 0.3 * done, "matching the picture"),
        )
        scene = _in_metres(
            things, materials, solids, sheets, clouds, skins, everything[:count], everything[count:],
            shadows(shading, stage, solids), view.camera, picture, matte, spacing, scale, foot,
        )  # fmt: skip
        return with_regions(scene, picture, things, self.segmenter)


def _without_overlap(mattes: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Mattes that share no pixel: where two claim one, the larger share keeps it, the first on a tie."""
    if len(mattes) == 1:
        return mattes
    owner = np.argmax(mattes, 0)
    return [np.where(owner == index, matte, 0).astype(np.float32) for index, matte in enumerate(mattes)]


def _base_row(things: tuple[ObjectSpec, ...], mattes: list[NDArray[np.float32]]) -> float:
    """Row, pixels, at which the nearest resting object meets the table."""
    rows = []
    for thing, matte in zip(things, mattes, strict=True):
        covered = np.flatnonzero((matte > 0.5).any(1))
        if len(covered) == 0:
            raise ReconstructionError(
                f"Object '{thing.name}' lies wholly inside another; mark each object by its own clicks."
            )
        if thing.resting:
            rows.append(covered[-1] + 1.0)
    return max(rows) if rows else HANGING_BASE_ROW * len(mattes[0])


def _solids(
    things: tuple[ObjectSpec, ...], materials: list[Material], mattes: list[NDArray[np.float32]], view: View
) -> list[Solid]:
    """A solid for every object; those that hang do so at the distance of the first that rests."""
    solids: dict[int, Solid] = {}
    for index in sorted(range(len(things)), key=lambda i: not things[i].resting):
        thing = things[index]
        distance = next((s.centre_y for s in solids.values()), view.edge_distance / 1.5)
        soft = materials[index].model in SOFT_MODELS
        depth = CLOTH_DEPTH if materials[index].model == "cloth" else 1.0
        solids[index] = inflate(
            mattes[index], view.camera, thing.resting, soft and thing.resting, distance, depth
        )
    return [solids[index] for index in range(len(things))]


def _metres_per_unit(things: tuple[ObjectSpec, ...], materials: list[Material], solids: list[Solid]) -> float:
    """The scale from the camera's world (camera one unit up) to metres, from the first object whose height is given, else from
    what the first resting object is made of."""
    given = [i for i, thing in enumerate(things) if thing.height is not None]
    resting = [i for i, thing in enumerate(things) if thing.resting]
    index = (given or resting or [0])[0]
    height = things[index].height or materials[index].typical_height
    return float(height / np.ptp(solids[index].vertices[:, 2]))


def _foot(things: tuple[ObjectSpec, ...], solids: list[Solid]) -> Array:
    """[3] the centre of the first resting object's base, on the plane; below the first object if all hang."""
    index = next((i for i, thing in enumerate(things) if thing.resting), 0)
    vertices = solids[index].vertices
    low = vertices[vertices[:, 2] < vertices[:, 2].min() + 0.02 * np.ptp(vertices[:, 2])]
    middle = (low.min(0) + low.max(0)) / 2
    return np.array([middle[0], middle[1], 0.0])


def _in_metres(
    things: tuple[ObjectSpec, ...], materials: list[Material], solids: list[Solid],
    sheets: dict[int, tuple[Array, NDArray[np.int64]]], clouds: list[Array],
    skins: list[Painted], background: Gaussians, foreground: Gaussians, below: list[GroundShadow],
    camera: Camera, picture: Picture, matte: NDArray[np.float32], spacing: float, scale: float, foot: Array,
) -> Scene:  # fmt: skip
    """Everything scaled to metres and shifted so that the base stands at the origin, as a ``Scene``."""
    positions = np.concatenate([(cloud - foot) * scale for cloud in clouds])
    body = np.concatenate([np.full(len(cloud), i, np.int32) for i, cloud in enumerate(clouds)])
    foreground = _moved(foreground, scale, foot)
    nearest, start, first = [], 0, 0
    for cloud, skin in zip(clouds, skins, strict=True):  # each splat hangs on a particle of its own body
        means = foreground.means[start : start + len(skin)].numpy()
        nearest.append(first + cKDTree(positions[first : first + len(cloud)]).query(means)[1])
        start, first = start + len(skin), first + len(cloud)
    particles = Particles.at_rest(positions.astype(np.float32), body)
    binding = Binding.to_nearest(
        foreground.means, torch.from_numpy(particles.positions), torch.from_numpy(np.concatenate(nearest))
    )
    ground = torch.cat([torch.full((len(shadow),), i) for i, shadow in enumerate(below)])
    if len(ground):
        foreground = Gaussians.cat([foreground, *(_moved(shadow.splats, scale, foot) for shadow in below)])
        fade = torch.cat([shadow.fade for shadow in below])
        binding = binding.with_ground(
            ground, fade, torch.from_numpy(particles.positions), torch.from_numpy(particles.body)
        )
    pose = camera.camera_to_world
    pose[:3, 3] = (pose[:3, 3] - foot) * scale
    bodies = []
    for index, (thing, material, solid) in enumerate(zip(things, materials, solids, strict=True)):
        vertices, faces = sheets.get(index, (solid.vertices, solid.faces))
        bodies.append(Body(thing.name, material, (vertices - foot) * scale, faces, thing.resting, thing.held))
    tall = max(float(b.vertices[:, 2].max()) for b in [b for b in bodies if b.resting] or bodies)
    return Scene(
        background=_moved(background, scale, foot),
        foreground=foreground,
        binding=binding,
        particles=particles,
        bodies=bodies,
        spacing=spacing * scale,
        camera=Camera(
            camera.K, np.linalg.inv(pose).astype(np.float64), camera.width, camera.height, "picture", "front"
        ),
        picture=picture.rgb,
        matte=matte.astype(np.float32),
        centre=np.array([0.0, 0.0, tall / 2]),
    )


def _moved(splats: Gaussians, scale: float, foot: Array) -> Gaussians:
    shift = torch.from_numpy(foot)
    return Gaussians(
        ((splats.means.double() - shift) * scale).float(),
        splats.quats,
        splats.log_scales + float(np.log(scale)),
        splats.opacity_logits,
        splats.sh,
    )
