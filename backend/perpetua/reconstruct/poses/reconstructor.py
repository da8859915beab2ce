"""Pictures from unknown places, or a video, into a scene: their cameras are found, and then they are a capture."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import Capture, CapturedView, check
from perpetua.reconstruct.from_views import ViewsReconstructor, check_materials, part_of
from perpetua.reconstruct.poses.colmap import Placed, Poses, find_poses
from perpetua.reconstruct.poses.shot import Shot
from perpetua.reconstruct.poses.shots import ShotFiles
from perpetua.reconstruct.surface.clusters import check_clicked
from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Scene
from perpetua_protocol.take import Click, ObjectSpec, RegionSpec, Take

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ShotsReconstructor:
    """views: makes a scene of the capture."""

    views: ViewsReconstructor = field(default_factory=ViewsReconstructor)

    def reconstruct(self, files: ShotFiles, take: Take, progress: Progress) -> Scene:
        """Raises ``PictureError``, ``CaptureError``, ``SegmentationError``, ``MaterialError`` or ``ReconstructionError``."""
        check_materials(take.objects)
        check_clicked(take.objects)
        shots = files.read(part_of(progress, 0.0, 0.05))
        fov = take.scene.horizontal_fov_degrees
        poses = find_poses(shots, files.in_sequence, fov, take.seed, part_of(progress, 0.05, 0.3))
        capture = capture_of(shots, poses)
        check(capture)
        assert poses.placed[0] is not None
        moved = msgspec.structs.replace(take, objects=marked_in(shots[0], poses.placed[0], take.objects))
        return self.views.reconstruct(capture, moved, part_of(progress, 0.3, 1.0))


def capture_of(shots: list[Shot], poses: Poses) -> Capture:
    """The shots that were placed, straightened: without the lens's distortion. The first one is the front."""
    views: list[CapturedView] = []
    for shot, placed in zip(shots, poses.placed, strict=True):
        if placed is None:
            continue
        height, width = shot.rgb.shape[:2]
        rgb = shot.rgb
        if placed.distortion:
            straight = cv2.undistort(shot.rgb, placed.K, _coefficients(placed))
            rgb = np.asarray(straight, dtype=np.uint8)
        role = "side" if views else "front"
        camera = Camera(placed.K, placed.world_to_camera, width, height, shot.name, role)
        views.append(CapturedView(shot.name, camera, rgb))
    return Capture(tuple(views), points=poses.points, colors=poses.colors)


def marked_in(shot: Shot, placed: Placed, things: tuple[ObjectSpec, ...]) -> tuple[ObjectSpec, ...]:
    """``things``, marked in pixels of the shot's file, marked in the straightened shot."""

    def click(old: Click) -> Click:
        x, y = _straightened(shot, placed, (old.x, old.y))
        return Click(x, y, old.inside)

    def box(old: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if old is None:
            return None
        return (*_straightened(shot, placed, old[:2]), *_straightened(shot, placed, old[2:]))

    def part(old: RegionSpec) -> RegionSpec:
        return msgspec.structs.replace(old, clicks=tuple(map(click, old.clicks)), box=box(old.box))

    return tuple(
        msgspec.structs.replace(
            thing,
            clicks=tuple(map(click, thing.clicks)),
            box=box(thing.box),
            regions=tuple(map(part, thing.regions)),
        )
        for thing in things
    )


def _straightened(shot: Shot, placed: Placed, pixel: tuple[float, float]) -> tuple[float, float]:
    here = np.array([[pixel]], dtype=np.float64) * shot.scale
    x, y = cv2.undistortPoints(here, placed.K, _coefficients(placed), P=placed.K)[0, 0]
    return float(x), float(y)


def _coefficients(placed: Placed) -> Array:
    """OpenCV's k1, k2, p1, p2."""
    return np.array([placed.distortion, 0.0, 0.0, 0.0])
