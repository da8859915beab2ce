"""Where the picture was taken from: focal length, pitch, and the table's far edge, from what the artist knows or a guess.

The camera found here stands one metre above the plane z = 0 at x = y = 0, looking north (+Y); the reconstructor later scales and
shifts the world so that the object has its height and stands at the origin.

Rows and the plane: with focal length f and principal row c, a camera that looks down by p sees the horizon at row
c - f tan(p), and a point of the plane at distance D (along +Y) at the row where D = cot(angle below the horizon).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CameraError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.images import reduced
from perpetua.reconstruct.regions import lab
from perpetua.scene.cameras import Camera
from perpetua_protocol.take import SceneSettings

DEFAULT_FOV_DEGREES = 40.0
"""Horizontal field of view of a 50 mm lens on a full frame, the usual still life."""
FULL_FRAME_WIDTH_MM = 36.0
EDGE_TO_BASE = 1.5
"""How much farther the table's end is than the object's base, when only its row is known (a guess)."""
DEFAULT_PITCH_DEGREES = 8.0
"""When nothing at all is known."""
MIN_PITCH_ROOM_DEGREES = 2.0
"""The object's base must lie at least this far below the horizon."""


@dataclass(frozen=True)
class View:
    """camera: the picture's, at (0, 0, 1) m.  edge_distance: m (in that world) from the camera, along +Y, to where the
    table ends and the backdrop stands."""

    camera: Camera
    edge_distance: float


def focal_pixels(picture: Picture, settings: SceneSettings) -> float:
    """Focal length in pixels of the reduced picture, a usual one if nothing is known of it. Raises ``CameraError`` for an impossible
    field of view."""
    width = picture.rgb.shape[1]
    return known_focal_pixels(picture, settings) or picture.focal or usual_focal_pixels(width)


def usual_focal_pixels(width: int) -> float:
    """Focal length in pixels of DEFAULT_FOV_DEGREES across a picture of ``width`` pixels."""
    return 0.5 * width / math.tan(math.radians(DEFAULT_FOV_DEGREES) / 2)


def known_focal_pixels(picture: Picture, settings: SceneSettings) -> float | None:
    """Focal length in pixels of the reduced picture, as the artist or the file says it. Raises as ``focal_pixels``."""
    width = picture.rgb.shape[1]
    if settings.horizontal_fov_degrees is not None:
        fov = settings.horizontal_fov_degrees
        if not 1.0 <= fov <= 170.0:
            raise CameraError(f"The picture's field of view is {fov:g} degrees; use one between 1 and 170.")
        return 0.5 * width / math.tan(math.radians(fov) / 2)
    if picture.focal_35mm is not None:
        return width * picture.focal_35mm / FULL_FRAME_WIDTH_MM
    return None


def pitch_of_horizon(row: float, focal: float, centre_row: float) -> float:
    """Radians the camera looks down, from the horizon's row."""
    return math.atan((centre_row - row) / focal)


def horizon_of_pitch(pitch: float, focal: float, centre_row: float) -> float:
    """Row of the horizon for a camera that looks down by ``pitch`` radians."""
    return centre_row - focal * math.tan(pitch)


def distance_of_row(row: float, pitch: float, focal: float, centre_row: float) -> float:
    """Distance along +Y to where the plane one metre below the camera is seen at ``row``."""
    below = pitch + math.atan((row - centre_row) / focal)
    if below <= 0:
        raise CameraError(
            f"Row {row:.0f} of the picture lies above the horizon, so the table cannot be seen there; "
            "lower the horizon row or raise the camera's pitch."
        )
    return 1.0 / math.tan(below)


def camera_at(pitch: float, focal: float, width: int, height: int) -> Camera:
    """The camera at (0, 0, 1) m looking north and down by ``pitch`` radians."""
    s, c = math.sin(pitch), math.cos(pitch)
    rotation = np.array(
        [[1.0, 0.0, 0.0], [0.0, -s, -c], [0.0, c, -s]]
    )  # rows: right, down, forward in world axes
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ np.array([0.0, 0.0, 1.0])
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(K, world_to_camera, width, height, "picture", "front")


def find_view(picture: Picture, settings: SceneSettings, base_row: float, matte: NDArray[np.float32]) -> View:
    """The picture's camera. base_row: lowest row of the resting object, pixels of the reduced picture; matte: [H, W],
    all objects. Raises ``CameraError`` if what the artist gave puts the object's base above the horizon.
    """
    height, width = picture.rgb.shape[:2]
    focal, centre = focal_pixels(picture, settings), height / 2
    edge_row = (
        settings.table_edge_y * picture.scale
        if settings.table_edge_y is not None
        else table_edge(picture.rgb, base_row, matte)
    )
    if settings.camera_pitch_degrees is not None:
        pitch = math.radians(settings.camera_pitch_degrees)
        if not -math.pi / 2 < pitch < math.pi / 2:
            raise CameraError(
                f"The camera's pitch is {settings.camera_pitch_degrees:g} degrees; use one between -90 and 90."
            )
    elif settings.horizon_y is not None:
        pitch = pitch_of_horizon(settings.horizon_y * picture.scale, focal, centre)
    elif edge_row is not None and edge_row < base_row - 2:
        pitch = pitch_of_horizon(_horizon_from_edge(edge_row, base_row), focal, centre)
    else:
        pitch = math.radians(DEFAULT_PITCH_DEGREES)
    below = pitch + math.atan((base_row - centre) / focal)
    if below < math.radians(MIN_PITCH_ROOM_DEGREES):
        if settings.camera_pitch_degrees is not None or settings.horizon_y is not None:
            raise CameraError(
                f"The object's base (row {base_row / picture.scale:.0f}) lies on or above the horizon; "
                "lower the horizon row or raise the camera's pitch."
            )
        pitch += math.radians(MIN_PITCH_ROOM_DEGREES) - below
    base_distance = distance_of_row(base_row, pitch, focal, centre)
    horizon = horizon_of_pitch(pitch, focal, centre)
    if edge_row is None or edge_row <= horizon + 1 or edge_row >= base_row - 1:
        edge_distance = EDGE_TO_BASE * base_distance
    else:
        edge_distance = distance_of_row(edge_row, pitch, focal, centre)
    return View(camera_at(pitch, focal, width, height), edge_distance)


def _horizon_from_edge(edge_row: float, base_row: float) -> float:
    """The horizon at which the table's edge is EDGE_TO_BASE times as far as the object's base.

    Distance on a plane goes with 1 / (row - horizon): (base - h) / (edge - h) = EDGE_TO_BASE, solved for h.
    """
    return (EDGE_TO_BASE * edge_row - base_row) / (EDGE_TO_BASE - 1)


def table_edge(rgb: NDArray[np.uint8], base_row: float, matte: NDArray[np.float32]) -> float | None:
    """Row of the table's far edge: the strongest long, level edge above the object's base; None if there is none.

    A row scores by the median over columns free of objects of the change of colour across it (strips of 1.5% of the height above
    and below), so that an edge must run through most of the picture.
    """
    height, width = rgb.shape[:2]
    ratio = min(1.0, 320 / width)
    size = (max(2, round(width * ratio)), max(2, round(height * ratio)))
    image = lab(reduced(rgb, *size))
    covered = reduced(matte, *size) > 0.02
    strip = max(2, round(0.015 * size[1]))
    sums = np.cumsum(np.concatenate([np.zeros((1, *image.shape[1:]), np.float32), image]), 0)
    means = (sums[strip:] - sums[:-strip]) / strip  # means[r] is of rows r .. r + strip - 1
    change = np.abs(means[strip:] - means[:-strip]).sum(-1)  # across the line above row r + strip
    free = ~(covered[strip : strip + len(change)] | covered[: len(change)])
    first, last = round(0.25 * size[1]), min(int(base_row * ratio) - strip, size[1]) - strip
    scores = np.zeros(len(change))
    for row in range(max(0, first - strip), min(last, len(change))):
        columns = change[row][free[row]]
        if len(columns) > 0.3 * size[0]:
            scores[row] = np.quantile(columns, 0.4)
    if not scores.any() or scores.max() < MIN_EDGE_CHANGE:
        return None
    return float((scores.argmax() + strip) / ratio)


MIN_EDGE_CHANGE = 6.0
"""Lab units across a table's edge, in most columns."""
