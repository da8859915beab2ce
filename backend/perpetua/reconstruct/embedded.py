"""One picture into a scene, without a learned model: the recipe from pixels to splats and particles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError
from perpetua.progress import Progress
from perpetua.reconstruct import outlined, providers, remembered
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.assemble import metres_per_unit
from perpetua.reconstruct.camera import View, find_view
from perpetua.reconstruct.dress import Shape, dress
from perpetua.reconstruct.material_regions import materials_of_regions
from perpetua.reconstruct.sheet import CLOTH_DEPTH
from perpetua.reconstruct.solid import Solid, inflate
from perpetua.reconstruct.stage import Stage
from perpetua.scene.materials import Material, resolve
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take

Array = NDArray[np.float64]

SOFT_MODELS = ("plastic", "liquid", "snow", "sand", "elastic")
"""Matter that rests as a heap, as deep as it is wide."""
HANGING_BASE_ROW = 0.85
"""Share of the picture's height at which the ground below is taken to be when every object hangs."""


@dataclass(frozen=True)
class EmbeddedReconstructor:
    """A ``Reconstructor`` that needs nothing but the picture."""

    segmenter: Segmenter | None = None
    """None is who the take names."""

    def reconstruct(self, picture: Picture, take: Take, progress: Progress) -> Scene:
        """Raises ``SegmentationError``, ``CameraError``, ``MaterialError`` or ``ReconstructionError``."""
        things = take.objects
        segmenter = self.segmenter or providers.segmenter(take)
        materials = [resolve(thing.material) for thing in things]
        mattes = mattes_of(picture, things, segmenter, progress)

        progress(0.25, "placing the camera")
        view = find_view(picture, take.scene, _base_row(things, mattes), np.max(mattes, 0))
        solids = _solids(things, materials, mattes, view)
        far = max(view.edge_distance, *(s.vertices[:, 1].max() + 0.02 for s in solids))
        scale = metres_per_unit(things, materials, [s.vertices for s in solids])
        shape = Shape(solids, Stage.of(View(view.camera, far)), scale)
        return dress(picture, take, mattes, shape, segmenter, progress)


def mattes_of(
    picture: Picture, things: tuple[ObjectSpec, ...], segmenter: Segmenter, progress: Progress
) -> list[NDArray[np.float32]]:
    """[H, W] coverage of each object, no pixel claimed twice. Raises ``SegmentationError`` or ``MaterialError``."""
    for thing in things:
        materials_of_regions(thing)  # refused before the work begins
    mattes = []
    for index, thing in enumerate(things):
        progress(0.25 * index / len(things), f"finding {thing.name}")
        mattes.append(
            outlined.matte(picture, thing) if thing.outline else remembered.matte(segmenter, picture, thing)
        )
    return without_overlap(mattes)


def without_overlap(mattes: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
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
