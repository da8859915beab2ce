"""A capture into a scene: Gaussians are fitted to all views and learn whose they are, the support plane is found, and ``from_fit.py``
makes a scene of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.capture.agreement import check_epipolar
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.fit.train import Fit, FitSettings, train
from perpetua.reconstruct.followed import with_followed
from perpetua.reconstruct.from_fit import VOXELS, Fitted, scene_of_fit
from perpetua.reconstruct.material_regions import materials_of_regions
from perpetua.reconstruct.surface.clusters import check_clicked
from perpetua.reconstruct.surface.plane import ROUGH_TOLERANCE, TOLERANCE, find_plane
from perpetua.render import render_layers
from perpetua.scene.materials import resolve
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take

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
        check_materials(things)
        if capture.has_objects:
            capture = _of_objects(capture, things)
        else:
            check_clicked(things)
        if not capture.has_depth:
            progress(0.0, "comparing the cameras")
            check_epipolar(capture)
        picture, capture = capture.front_view, capture.reduced(take.quality.splat_width)
        ratio = capture.front_view.camera.width / picture.camera.width
        capture = with_followed(capture, take, ratio, progress)
        settings = replace(self.settings, splats=take.scene.splats)
        fit = train(capture, settings, take.seed, part_of(progress, 0.0, 0.8))

        progress(0.8, "finding the table")
        measured = capture.has_depth
        capture = capture if measured else _with_depth_of(fit, capture)
        plane = find_plane(list(capture.views), take.seed, TOLERANCE if measured else ROUGH_TOLERANCE)
        fitted = Fitted(fit, capture, picture, plane, not measured)
        return scene_of_fit(fitted, take, self.voxels, part_of(progress, 0.8, 1.0))


def check_materials(things: tuple[ObjectSpec, ...]) -> None:
    """Raise ``MaterialError`` for a material that cannot be used, before any work begins."""
    for thing in things:
        resolve(thing.material)
        materials_of_regions(thing)


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


def _with_depth_of(fit: Fit, capture: Capture) -> Capture:
    """The capture with the depth that the fit shows from its views."""

    @torch.no_grad()
    def seen(view: CapturedView) -> CapturedView:
        layers = render_layers(fit.gaussians, view.camera)
        depth = torch.where(layers.alpha > OPAQUE, layers.depth, torch.inf)
        return replace(view, depth=depth.numpy().astype(np.float32))

    return replace(capture, views=tuple(map(seen, capture.views)))


def part_of(progress: Progress, first: float, last: float) -> Progress:
    """A listener to which a whole piece of work is the stretch from ``first`` to ``last``."""

    def report(stage: str, fraction: float, text: str) -> None:
        progress.report(stage, first + (last - first) * fraction, text)

    return Progress(report, progress.cancelled, progress.stage)
