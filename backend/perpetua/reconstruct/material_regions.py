"""Parts of an object that are made of something else: marked in the picture, carried to the particles behind the marks.

A region marked by a box is what lies behind the box; one marked by clicks is what the segmenter finds there, within the object.
A picture shows no depth, so a region goes right through its object. Where two regions overlap the later one counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import MaterialError, ReconstructionError
from perpetua.reconstruct.api import Segmenter
from perpetua.reconstruct.picture import Picture
from perpetua.scene.materials import Material, resolve
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, RegionSpec


def with_regions(
    scene: Scene, picture: Picture, things: tuple[ObjectSpec, ...], segmenter: Segmenter
) -> Scene:
    """``scene`` with the regions of ``things`` in its bodies and particles.

    Raises ``MaterialError`` for a material that cannot be part of such an object, ``ReconstructionError`` for a region that holds
    nothing of it, ``SegmentationError`` where a click finds nothing.
    """
    if not any(thing.regions for thing in things):
        return scene
    pixels, _ = scene.camera.project(scene.particles.positions.astype(np.float64))
    region = np.zeros(len(scene.particles), np.int32)
    bodies = list(scene.bodies)
    for index, thing in enumerate(things):
        own = scene.particles.body == index
        materials = materials_of_regions(thing)
        for number, (part, material) in enumerate(zip(thing.regions, materials, strict=True), 1):
            inside = own & _covers(picture, part, segmenter, pixels)
            if not inside.any():
                raise ReconstructionError(
                    f"Region '{part.name}' holds nothing of '{thing.name}'; mark it on the object."
                )
            region[inside] = number
            bodies[index] = replace(bodies[index], regions=(*bodies[index].regions, material))
    return replace(scene, bodies=bodies, region=region)


def materials_of_regions(thing: ObjectSpec) -> list[Material]:
    """What the regions of ``thing`` are made of. Raises ``MaterialError`` for one that cannot be part of such an object."""
    whole, parts = resolve(thing.material), [resolve(part.material) for part in thing.regions]
    for part, material in zip(thing.regions, parts, strict=True):
        if not (material.on_grid and whole.on_grid):
            raise MaterialError(
                f"Region '{part.name}' is of {material.preset} in '{thing.name}' of {whole.preset}; both must be "
                "soft (elastic, plastic, snow, sand or liquid), or mark it as an object of its own."
            )
    return parts


def _covers(
    picture: Picture, part: RegionSpec, segmenter: Segmenter, pixels: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """[P] whether a region's marks cover ``pixels`` [P, 2] of the picture."""
    if not part.clicks and part.box is not None:
        x0, y0, x1, y1 = (value * picture.scale for value in part.box)
        x, y = pixels.T
        return np.asarray((x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1))
    matte = segmenter.segment(picture, ObjectSpec(part.name, part.clicks, part.box))
    height, width = matte.shape
    column = np.clip(pixels[:, 0].astype(int), 0, width - 1)
    row = np.clip(pixels[:, 1].astype(int), 0, height - 1)
    return np.asarray(matte[row, column] > 0.5)
