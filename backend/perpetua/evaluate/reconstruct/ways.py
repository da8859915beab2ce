"""The ways of reconstructing a truth scene that are compared. Nothing is given away: the world is turned first, so that no axis is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perpetua.evaluate.reconstruct.truth import TruthScene
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.embedded import EmbeddedReconstructor
from perpetua.reconstruct.fit.train import FitSettings
from perpetua.reconstruct.from_depth import DepthReconstructor
from perpetua.reconstruct.from_views import ViewsReconstructor
from perpetua.scene.scene import Scene
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

TURN_SEED = 7


@dataclass(frozen=True)
class WaySettings:
    """fit: of the Gaussians of a capture; particles: to fill objects with."""

    fit: FitSettings
    particles: int = 20_000


def from_views(truth: TruthScene, settings: WaySettings, progress: Progress) -> Scene:
    """From all views with their cameras, depth and masks, in a world that is turned and shifted."""
    rng = np.random.default_rng(TURN_SEED)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    capture = truth.capture.moved(turn, rng.uniform(-1, 1, 3), 1.0)
    return ViewsReconstructor(settings.fit).reconstruct(capture, take_of(truth, settings), progress)


def embedded(truth: TruthScene, settings: WaySettings, progress: Progress) -> Scene:
    """From the front picture alone, every object boxed and clicked, with the first object's height and the lens known."""
    return EmbeddedReconstructor().reconstruct(picture_of(truth), take_of(truth, settings), progress)


def with_depth(truth: TruthScene, settings: WaySettings, progress: Progress) -> Scene:
    """From the front picture and its true depth, every object boxed and clicked, with the lens known."""
    take = take_of(truth, settings)
    take = msgspec.structs.replace(
        take, objects=tuple(msgspec.structs.replace(thing, height=None) for thing in take.objects)
    )
    picture = replace(picture_of(truth), depth=truth.capture.front_view.depth)
    return DepthReconstructor().reconstruct(picture, take, progress)


WAYS: dict[str, Callable[[TruthScene, WaySettings, Progress], Scene]] = {
    "views": from_views,
    "depth": with_depth,
    "embedded": embedded,
}


def picture_of(truth: TruthScene) -> Picture:
    """The front view as a picture."""
    front = truth.capture.front_view
    return Picture(front.rgb, 1.0, None, Path(front.name))


def take_of(truth: TruthScene, settings: WaySettings) -> Take:
    """A take with every object of the scene, boxed, and clicked where it is thickest, in the front view."""
    front = truth.capture.front_view
    assert front.objects is not None
    things = []
    for index, (name, thing) in enumerate(truth.record.objects.items()):
        mask = front.objects == index
        x, y = _thickest(mask)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        height = float(np.ptp(truth.solids[name].vertices[:, 2]))
        click = Click(x + 0.5, y + 0.5)
        material = MaterialSpec(thing.material)
        things.append(
            ObjectSpec(name, (click,), box, material=material, height=height, resting=thing.resting)
        )
    return Take(
        truth.name,
        front.name,
        tuple(things),
        scene=SceneSettings(horizontal_fov_degrees=front.camera.horizontal_fov_degrees),
        quality=Quality(particles=settings.particles),
    )


def _thickest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Column and row of the pixel farthest from the outline."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(column), int(row)
