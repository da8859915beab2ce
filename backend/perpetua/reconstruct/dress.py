"""Objects as solids before a stage become a scene: particles inside, splats in the picture's colours outside and behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.assemble import Parts, assemble, foot_of
from perpetua.reconstruct.background import build_background
from perpetua.reconstruct.colour_fit import match_picture
from perpetua.reconstruct.discs import Painted
from perpetua.reconstruct.ground_shadow import find_shading, shadows
from perpetua.reconstruct.material_regions import with_regions
from perpetua.reconstruct.matte import object_colours
from perpetua.reconstruct.particles import fill, spacing_for
from perpetua.reconstruct.sheet import drape
from perpetua.reconstruct.solid import Solid
from perpetua.reconstruct.splats import clothe
from perpetua.reconstruct.stage import Stage
from perpetua.scene.materials import resolve
from perpetua.scene.scene import Scene
from perpetua_protocol.take import Take

FIT_ROUNDS = 4
"""Iterations of the colour fit; a fifth gains less than 0.1 dB on the example pictures."""


@dataclass(frozen=True)
class Shape:
    """What a picture was found to show, in the world of its camera, one unit above the plane: solids, one an object; the stage behind
    them; scale: metres a unit."""

    solids: list[Solid]
    stage: Stage
    scale: float


def dress(
    picture: Picture,
    take: Take,
    mattes: list[NDArray[np.float32]],
    shape: Shape,
    segmenter: Segmenter,
    progress: Progress,
) -> Scene:
    """The scene of ``shape`` in the colours of ``picture``; mattes: [H, W] of each object. Raises ``ReconstructionError``."""
    things = take.objects
    materials = [resolve(thing.material) for thing in things]
    matte = np.max(mattes, 0)
    solids, stage, scale = shape.solids, shape.stage, shape.scale

    progress(0.35, "filling with particles")
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
    foot = foot_of(things, [s.vertices for s in solids])
    shading = find_shading(picture.rgb, matte, stage, solids, take.quality.splat_width)
    cleaned = shading.cleaned(picture.rgb, matte)
    behind = build_background(cleaned, matte, stage, foot, take.quality.splat_width, shading)

    progress(0.7, "matching the picture")
    count = len(behind)
    everything = match_picture(
        Painted.cat([behind, *skins]),
        stage.camera,
        cleaned,
        take.quality.splat_width,
        FIT_ROUNDS,
        lambda done: progress(0.7 + 0.3 * done, "matching the picture"),
    )
    surfaces = [sheets.get(i, (solid.vertices, solid.faces)) for i, solid in enumerate(solids)]
    parts = Parts(
        things, materials, surfaces, clouds, [len(skin) for skin in skins], everything[:count], everything[count:],
        shadows(shading, stage, solids), stage.camera, picture.rgb, matte, spacing,
    )  # fmt: skip
    scene = assemble(parts, scale, foot)
    return with_regions(scene, picture, things, segmenter)
