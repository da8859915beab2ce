"""One picture and its depth into a scene: camera, table and the fronts of objects are measured, only their backs guessed. The depth is
that of a map beside the picture, or of an estimator that the take names."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct import outlined, providers
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.assemble import metres_per_unit
from perpetua.reconstruct.camera import focal_pixels
from perpetua.reconstruct.capture.capture import CapturedView, rays_of
from perpetua.reconstruct.depth_stage import ON_TABLE, DepthStage, depth_behind
from perpetua.reconstruct.dress import Shape, dress
from perpetua.reconstruct.embedded import mattes_of, without_overlap
from perpetua.reconstruct.estimated import with_estimated_depth
from perpetua.reconstruct.material_regions import materials_of_regions
from perpetua.reconstruct.matte import soften
from perpetua.reconstruct.measured import check_orientation, measured
from perpetua.reconstruct.raised import piece_of, raised_pieces
from perpetua.reconstruct.solid import Solid, inflate
from perpetua.reconstruct.stage import Stage
from perpetua.reconstruct.surface.plane import ROUGH_TOLERANCE, TOLERANCE, Plane, find_plane
from perpetua.scene.cameras import Camera, inverse
from perpetua.scene.materials import resolve
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take

Array = NDArray[np.float64]

FAR_TABLE = 0.999
"""Share of the table's pixels that lie nearer than its end."""
NEAREST_M, FARTHEST_M = 0.005, 100.0
"""Heights of a camera above the table that a depth map in metres can mean."""
BEHIND_OBJECTS = 1.15
"""The backdrop stands at least so much farther than the farthest object."""


@dataclass(frozen=True)
class DepthReconstructor:
    """A ``Reconstructor`` for pictures with depth."""

    segmenter: Segmenter | None = None
    """None is who the take names."""

    def reconstruct(self, picture: Picture, take: Take, progress: Progress) -> Scene:
        """Raises ``SegmentationError``, ``CaptureError``, ``CameraError``, ``MaterialError`` or ``ReconstructionError``."""
        things = take.objects
        segmenter = self.segmenter or providers.segmenter(take)
        for thing in things:
            materials_of_regions(thing)  # refused before the work begins
        measured_depth = picture.depth is not None
        if not measured_depth:
            progress(0.0, "estimating depth")
            picture = with_estimated_depth(picture, take)
        assert picture.depth is not None
        progress(0.0, "finding the table")
        if measured_depth and not take.scene.segmenter.name:
            _check_known(picture, things)
        plane = _plane(picture, take, TOLERANCE if measured_depth else ROUGH_TOLERANCE)
        heights = any(thing.height is not None for thing in things)
        if not heights and not NEAREST_M < plane.height < FARTHEST_M:
            raise CaptureError(
                f"By its depth the picture was taken {plane.height:.3g} m above the table. Write depth in metres (PNG: millimetres), or give "
                "an object's height, which then says the scale."
            )
        camera = _standing(_camera(picture, take), plane)
        depth = (picture.depth / plane.height).astype(np.float32)

        progress(0.05, "finding the objects")
        mattes = (
            mattes_of(picture, things, segmenter, progress)
            # Who was chosen on purpose is asked, not the depth; nor is depth that was estimated, whose outlines are rough.
            if take.scene.segmenter.name or not measured_depth
            else _mattes(picture, depth, camera, things, segmenter)
        )
        covered = np.max(mattes, 0) > 0.5
        if measured_depth:
            for thing, matte in zip(things, mattes, strict=True):
                check_orientation(picture.depth, picture.rgb, matte, thing.name)

        progress(0.3, "shaping the objects")
        solids = [_solid(thing, matte, depth, camera) for thing, matte in zip(things, mattes, strict=True)]
        nearest = BEHIND_OBJECTS * max(float(s.vertices[:, 1].max()) for s in solids)
        flat = Stage(camera, max(nearest, _end_of_table(camera, depth, covered)))
        stage = DepthStage(camera, flat.edge_distance, depth_behind(flat, depth, covered))
        materials = [resolve(thing.material) for thing in things]
        scale = metres_per_unit(things, materials, [s.vertices for s in solids]) if heights else plane.height
        return dress(picture, take, mattes, Shape(list(solids), stage, scale), segmenter, progress)


@dataclass(frozen=True)
class _Table:
    """plane: in the camera's axes.  height: m of the camera above it."""

    plane: Plane
    height: float


def _check_known(picture: Picture, things: tuple[ObjectSpec, ...]) -> None:
    """Raise ``CaptureError`` if the depth map says nothing wherever an object is clicked."""
    assert picture.depth is not None
    height, width = picture.depth.shape
    for thing in things:
        clicks = [click for click in thing.clicks if click.inside and not thing.outline]
        at = [
            (min(int(c.y * picture.scale), height - 1), min(int(c.x * picture.scale), width - 1))
            for c in clicks
        ]
        if at and not any(np.isfinite(picture.depth[place]) for place in at):
            raise CaptureError(
                f"The depth map holds nothing where '{thing.name}' is clicked, as happens with what shines or lets light through. Fill it "
                "there, or click where it holds something."
            )


def _camera(picture: Picture, take: Take) -> Camera:
    """The picture's camera at the origin of its own axes."""
    height, width = picture.rgb.shape[:2]
    focal = focal_pixels(picture, take.scene)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(K, np.eye(4), width, height, "picture", "front")


def _plane(picture: Picture, take: Take, tolerance: float) -> _Table:
    view = CapturedView(picture.path.name, _camera(picture, take), picture.rgb, picture.depth)
    plane = find_plane([view], take.seed, tolerance)
    return _Table(plane, -plane.offset)  # the camera is at the origin


def _mattes(
    picture: Picture,
    depth: NDArray[np.float32],
    camera: Camera,
    things: tuple[ObjectSpec, ...],
    segmenter: Segmenter,
) -> list[NDArray[np.float32]]:
    """[H, W] coverage of each object: what rises above the table where it is marked. Objects that hang together in depth are told apart
    by the segmenter."""
    pieces = raised_pieces(depth, camera)
    masks = [
        outlined.inside(picture, thing) if thing.outline else piece_of(pieces, thing, picture.scale)
        for thing in things
    ]
    shared = np.sum(masks, 0) > 1
    for index, thing in enumerate(things):
        if not thing.outline and (masks[index] & shared).any():
            masks[index] &= ~shared | (segmenter.segment(picture, thing) > 0.5)
    return without_overlap([soften(picture.rgb, mask.astype(np.uint8)) for mask in masks])


def _standing(camera: Camera, table: _Table) -> Camera:
    """The camera at (0, 0, 1), looking along +Y as far as it looks anywhere level, in a world whose plane z = 0 is the table."""
    level = table.plane.to_level()
    ahead = level @ np.array([0.0, 0.0, 1.0])
    turn = math.pi / 2 - math.atan2(ahead[1], ahead[0])
    c, s = math.cos(turn), math.sin(turn)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ level
    pose[:3, 3] = [0.0, 0.0, 1.0]
    return Camera(camera.K, inverse(pose), camera.width, camera.height, "picture", "front")


def _solid(
    thing: ObjectSpec, matte: NDArray[np.float32], depth: NDArray[np.float32], camera: Camera
) -> Solid:
    """An object with its front where it was measured."""
    own = depth[(matte > 0.5) & np.isfinite(depth)]
    if not len(own):
        raise CaptureError(
            f"The depth map holds nothing where '{thing.name}' is; give the depth map of this very picture."
        )
    # The outline and its grid; where it stands follows from the depth.
    guess = inflate(matte, camera, False, False, float(np.median(own)))
    standing = Solid(**{**guess.__dict__, "resting": thing.resting})
    return measured(standing, matte, depth)


def _end_of_table(camera: Camera, depth: NDArray[np.float32], covered: NDArray[np.bool_]) -> float:
    """Distance along +Y to where the table that is seen ends."""
    rows, columns = np.nonzero(np.isfinite(depth) & ~covered)
    rays = rays_of(camera, np.stack([rows, columns], 1))
    points = camera.position + depth[rows, columns, None].astype(np.float64) * rays
    table = points[np.abs(points[:, 2]) < ON_TABLE]
    return float(np.quantile(table[:, 1], FAR_TABLE)) if len(table) else 0.0
