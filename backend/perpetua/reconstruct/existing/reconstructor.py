"""A set of splats into a scene: rendered from a ring of cameras it is a capture with depth, whose fit is the splats themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError, SplatError
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.existing.file import read_splats
from perpetua.reconstruct.existing.standpoint import Support, front_camera, ring_of, support_of
from perpetua.reconstruct.fit.train import Fit
from perpetua.reconstruct.followed import with_followed
from perpetua.reconstruct.from_fit import VOXELS, Fitted, scene_of_fit
from perpetua.reconstruct.from_views import check_materials, part_of
from perpetua.reconstruct.surface.clusters import check_clicked
from perpetua.reconstruct.surface.plane import ROUGH_TOLERANCE, Plane, find_plane
from perpetua.render import rasterization
from perpetua.render.layers import camera_tensors
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.scene import Scene
from perpetua_protocol.take import SceneSettings, Take

Array = NDArray[np.float64]

OPAQUE = 0.5
"""Coverage from which a pixel shows something."""
SAME_TILT_DEGREES = 10.0
SAME_PLACE = 0.1
"""Of the cameras' height: distance up to which two planes are one."""
NEAR = 0.3
"""Of the distance to what is looked at: what is nearer hides it and is not drawn, but in the artist's own view."""


@dataclass(frozen=True)
class SplatFile:
    """A file of splats."""

    path: Path


@dataclass(frozen=True)
class SplatsReconstructor:
    """voxels: along an object's longest side."""

    voxels: int = VOXELS

    def reconstruct(self, file: SplatFile, take: Take, progress: Progress) -> Scene:
        """Raises ``SplatError``, ``CaptureError``, ``SegmentationError``, ``MaterialError`` or ``ReconstructionError``."""
        check_materials(take.objects)
        check_clicked(take.objects)
        progress(0.0, "reading the splats")
        splats = read_splats(file.path)
        support, front = _standpoint(splats, take)
        picture = seen(splats, front)
        capture = _ring(splats, picture, support, take.quality.splat_width, part_of(progress, 0.1, 0.6))
        ratio = capture.front_view.camera.width / picture.camera.width
        capture = with_followed(capture, take, ratio, progress)
        progress(0.6, "finding the table")
        plane = _plane(capture, support, take)
        fit = Fit(splats, np.full(len(splats), -1), splats[:0])
        fitted = Fitted(fit, capture, picture, plane, rough=True)
        return scene_of_fit(fitted, take, self.voxels, part_of(progress, 0.6, 1.0))


def front_view(path: Path, take: Take) -> CapturedView:
    """What objects are clicked in. Raises ``SplatError``."""
    splats = read_splats(path)
    return seen(splats, _standpoint(splats, take)[1])


@torch.no_grad()
def seen(splats: Gaussians, camera: Camera, near: float = 0.01) -> CapturedView:
    """The splats from ``camera`` with their depth; near: what is nearer, in the file's unit, is not drawn."""
    viewmats, Ks = camera_tensors(camera)
    degree = round(splats.sh.shape[1] ** 0.5) - 1
    image, alpha, _ = rasterization(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.sh, viewmats, Ks, camera.width, camera.height,
        near_plane=near, sh_degree=degree, render_mode="RGB+ED",
    )  # fmt: skip
    rgb = (image[0, ..., :3].clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    depth = torch.where(alpha[0, ..., 0] > OPAQUE, image[0, ..., 3], torch.inf)
    return CapturedView(camera.name, camera, rgb, depth.numpy().astype(np.float32))


def _standpoint(splats: Gaussians, take: Take) -> tuple[Support, Camera]:
    support = support_of(splats, _up(take.scene), take.seed)
    return support, front_camera(splats, support, take.scene.view)


def _up(scene: SceneSettings) -> Array | None:
    if scene.up is None:
        return None
    up = np.array(scene.up, dtype=np.float64)
    return np.asarray(up / np.linalg.norm(up), dtype=np.float64)


def _ring(
    splats: Gaussians, picture: CapturedView, support: Support, width: int, progress: Progress
) -> Capture:
    """Views from around what the front view looks at. Raises ``SplatError`` if that shows nothing."""
    depth = picture.depth
    assert depth is not None
    rows, columns = depth.shape
    middle = depth[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    if not np.isfinite(middle).any():
        raise SplatError(
            "The view of the splats shows nothing in its middle; give `scene.view` a camera that looks at the objects."
        )
    distance = float(np.median(middle[np.isfinite(middle)]))
    camera = picture.camera
    front = camera.resized(width) if camera.width > width else camera
    target = front.position + distance * front.world_to_camera[2, :3]
    cameras = ring_of(front, target, support.normal)
    views = []
    for index, each in enumerate(cameras):
        views.append(seen(splats, each, 0.01 if index == 0 else NEAR * distance))
        progress((index + 1) / len(cameras), f"looking from place {index + 1} of {len(cameras)}")
    shows = [view for view in views if view.depth is not None and np.isfinite(view.depth).any()]
    return Capture(tuple(shows))


def _plane(capture: Capture, support: Support, take: Take) -> Plane:
    """The support as the views' depth shows it, or as the splats' centres do where the depth shows another plane or none."""
    own = Plane(support.normal, support.offset, 0.0)
    try:
        found = find_plane(list(capture.views), take.seed, ROUGH_TOLERANCE)
    except ReconstructionError:
        return own
    heights = np.array([view.camera.position @ own.normal - own.offset for view in capture.views])
    middle = np.mean([view.camera.position for view in capture.views], 0)
    foot = middle - (middle @ own.normal - own.offset) * own.normal
    level = found.normal @ own.normal > np.cos(np.radians(SAME_TILT_DEGREES))
    near = abs(foot @ found.normal - found.offset) < SAME_PLACE * float(np.median(heights))
    return found if level and near else own
