"""Cameras of pictures of one still scene, and a sparse cloud of its points, by COLMAP (Schoenberger and Frahm 2016) through pycolmap.

The lens is one for pictures of one size: known (a pinhole), or found with its first coefficient of distortion. The world's unit is the mean
distance of the cameras from the cloud's middle; which way is up is not known.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.poses.plausible import (
    Matches,
    check_all_placed,
    check_overlap,
    check_still,
    check_texture,
    check_walked,
)
from perpetua.reconstruct.poses.shot import Shot

Array = NDArray[np.float64]

FEATURES = 4096
"""In a picture, at most."""
OVERLAP = 8
"""Frames of a video before and after each that it is matched with."""
EXHAUSTIVE = 14
"""Pictures up to which all pairs are matched, also of a video."""
MIDDLE = (0.1, 0.9)
"""Quantiles of the cloud that its middle is between."""


@dataclass(frozen=True)
class Placed:
    """A shot's camera. K: [3, 3] pixels.  distortion: the first radial coefficient, of x / z squared.  world_to_camera: [4, 4], OpenCV."""

    K: Array
    distortion: float
    world_to_camera: Array


@dataclass(frozen=True)
class Poses:
    """placed: by shot, None for those that could not be placed.  points: [N, 3] and colors: [N, 3] in [0, 1] of the cloud."""

    placed: tuple[Placed | None, ...]
    points: Array
    colors: Array


def find_poses(
    shots: Sequence[Shot], in_sequence: bool, fov_degrees: float | None, seed: int, progress: Progress
) -> Poses:
    """The cameras of ``shots``. in_sequence: each was taken near the one before. fov_degrees: of the lens, horizontally, if it is known.

    Raises ``CaptureError`` that says what about the pictures keeps them from being placed.
    """
    with tempfile.TemporaryDirectory(prefix="perpetua-poses-") as name:
        folder = Path(name)
        database = folder / "database.db"
        names = [f"{index:04d}.png" for index in range(len(shots))]
        (folder / "images").mkdir()
        for file, shot in zip(names, shots, strict=True):
            Image.fromarray(shot.rgb).save(folder / "images" / file, compress_level=1)
        progress(0.0, "looking for points in the pictures")
        pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value  # what it finds is said by our own errors
        pycolmap.set_random_seed(seed)
        _extract(database, folder / "images", names, shots, fov_degrees)
        with pycolmap.Database.open(str(database)) as store:
            ids = _ids(store, names)
            check_texture(shots, [store.num_keypoints_for_image(index) for index in ids])
        progress(0.3, "matching the pictures")
        _match(database, folder, names, in_sequence)
        with pycolmap.Database.open(str(database)) as store:
            matches = _matches(store, ids)
        check_overlap(shots, matches)
        progress(0.7, "placing the cameras")
        found = _map(database, folder, fov_degrees, seed)
        poses = _poses(found, names)
    check_walked(shots, poses.placed, matches)
    check_all_placed(shots, [placed is not None for placed in poses.placed], matches)
    check_still(shots, poses.placed, matches)
    return poses


def _extract(
    database: Path, images: Path, names: list[str], shots: Sequence[Shot], fov_degrees: float | None
) -> None:
    reader = pycolmap.ImageReaderOptions()
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = FEATURES
    sizes = {shot.rgb.shape for shot in shots}
    mode = pycolmap.CameraMode.SINGLE if len(sizes) == 1 else pycolmap.CameraMode.PER_IMAGE
    focals = {shot.focal for shot in shots}
    height, width = shots[0].rgb.shape[:2]
    if fov_degrees is not None:
        if len(sizes) > 1:
            raise CaptureError(
                "The pictures differ in size, so that one field of view cannot be that of all; leave `horizontal_fov_degrees` out."
            )
        focal = 0.5 * width / math.tan(math.radians(fov_degrees) / 2)
        reader.camera_model = "SIMPLE_PINHOLE"
        reader.camera_params = f"{focal},{width / 2},{height / 2}"
    elif len(sizes) == 1 and len(focals) == 1 and None not in focals:
        reader.camera_params = f"{shots[0].focal},{width / 2},{height / 2},0"
    pycolmap.extract_features(database, images, names, mode, reader, options)


def _ids(store: pycolmap.Database, names: list[str]) -> list[int]:
    by_name = {image.name: image.image_id for image in store.read_all_images()}
    return [by_name[name] for name in names]


def _match(database: Path, folder: Path, names: list[str], in_sequence: bool) -> None:
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    if not in_sequence or len(names) <= EXHAUSTIVE:
        pycolmap.match_exhaustive(database, options)
        return
    # a camera that goes all around comes back to where it began
    pairs = {
        tuple(sorted((index, (index + step) % len(names))))
        for index in range(len(names))
        for step in range(1, OVERLAP + 1)
    }
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = folder / "pairs.txt"
    pairing.match_list_path.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in sorted(pairs)))
    pycolmap.match_image_pairs(database, options, pairing)


def _matches(store: pycolmap.Database, ids: list[int]) -> list[Matches]:
    """What every two shots have in common."""
    found = []
    points = [np.asarray(store.read_keypoints(index))[:, :2].astype(np.float64) for index in ids]
    for first in range(len(ids)):
        for second in range(first + 1, len(ids)):
            if not store.exists_matches(ids[first], ids[second]):
                continue
            pairs = np.asarray(store.read_matches(ids[first], ids[second]), dtype=np.int64).reshape(-1, 2)
            geometry = store.read_two_view_geometry(ids[first], ids[second])
            a, b = points[first][pairs[:, 0]], points[second][pairs[:, 1]]
            found.append(Matches(first, second, a, b, len(geometry.inlier_matches)))
    return found


def _map(
    database: Path, folder: Path, fov_degrees: float | None, seed: int
) -> pycolmap.Reconstruction | None:
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.min_model_size = 3
    options.ba_refine_focal_length = fov_degrees is None
    options.ba_refine_extra_params = fov_degrees is None
    options.mapper.abs_pose_refine_focal_length = fov_degrees is None
    options.mapper.abs_pose_refine_extra_params = fov_degrees is None
    out = folder / "sparse"
    out.mkdir()
    models = pycolmap.incremental_mapping(database, folder / "images", out, options)
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _poses(model: pycolmap.Reconstruction | None, names: list[str]) -> Poses:
    """A model with its unit and middle set."""
    if model is None:
        return Poses((None,) * len(names), np.empty((0, 3)), np.empty((0, 3)))
    points = np.array([p.xyz for p in model.points3D.values()]).reshape(-1, 3)
    colors = np.array([p.color for p in model.points3D.values()]).reshape(-1, 3) / 255.0
    by_name = {image.name: image for image in model.images.values() if image.has_pose}
    low, high = np.quantile(points, MIDDLE, axis=0)
    middle = points[((points >= low) & (points <= high)).all(1)].mean(0)
    centres = np.array([image.projection_center() for image in by_name.values()])
    unit = float(np.linalg.norm(centres - middle, axis=1).mean())

    def placed(name: str) -> Placed | None:
        if name not in by_name:
            return None
        image = by_name[name]
        pose = np.eye(4)
        pose[:3] = image.cam_from_world().matrix()
        pose[:3, 3] = (pose[:3, 3] + pose[:3, :3] @ middle) / unit
        camera = image.camera
        K = np.asarray(camera.calibration_matrix(), dtype=np.float64)
        return Placed(K, float(camera.params[3]) if len(camera.params) > 3 else 0.0, pose)

    return Poses(tuple(placed(name) for name in names), (points - middle) / unit, colors)
