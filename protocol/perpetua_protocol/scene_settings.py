"""What an artist knows of how a take's picture was taken, and who helps where one picture does not show enough."""

from __future__ import annotations

from typing import Literal

import msgspec

from perpetua_protocol.tracks import Vec3

Matrix16 = tuple[
    float, float, float, float,
    float, float, float, float,
    float, float, float, float,
    float, float, float, float,
]  # fmt: skip


class SplatView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The camera in whose picture the objects of a set of splats are clicked."""

    matrix_world: Matrix16
    """Blender's camera matrix, row by row (camera looks along its -Z, +Y up), in the file's own axes and unit."""
    horizontal_fov_degrees: float = 40.0
    width: int = 640
    """Pixels."""
    height: int = 480
    """Pixels."""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of reconstruction that can be swapped, by its registered name."""

    name: str = ""
    """Empty is what needs no weights."""
    model: str = ""
    """Folder of its weights inside the models folder; empty is the only one there that fits."""


class ViewMaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who paints what one picture does not show: a video refiner, given a film of the scene from a camera that goes around it."""

    name: str = ""
    """Of a refiner; empty makes no views."""
    options: dict[str, bool | int | float | str] = {}
    """As of the refiner."""
    degrees: float = 40.0
    """How far the camera goes to each side."""
    frames: int = 25
    """Of each of the two films."""


class SceneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the artist knows of how the picture was taken. None lets the program guess."""

    horizontal_fov_degrees: float | None = None
    """None reads the picture's EXIF focal length, or takes 40 degrees."""
    horizon_y: float | None = None
    """Picture row of the horizon, pixels; may lie outside the picture."""
    table_edge_y: float | None = None
    """Picture row where the table ends and the backdrop begins, pixels."""
    camera_pitch_degrees: float | None = None
    """How far the camera looks down; overrides the horizon."""
    particle_spacing: float | None = None
    """Distance between particles, m; None aims at the quality's particle count."""
    depth: str = ""
    """Name of the picture's depth map, which lies beside it: EXR (m along the optical axis) or 16-bit PNG (mm). None if empty."""
    views: tuple[str, ...] = ()
    """Names of further pictures of the same still scene, which lie beside the picture; ``take.yaml`` may write patterns such as
    ``*.jpg``. The places they were taken from are found."""
    video_frames: int = 32
    """Frames of a video that are used, at most."""
    metres_per_unit: float | None = None
    """Scale of splats, of a capture, or of pictures whose cameras are found; None goes by an object's height or its material."""
    up: Vec3 | None = None
    """Direction up in a set of splats, in the file's own axes; None finds the largest plane below the camera."""
    view: SplatView | None = None
    """Where a set of splats is looked at from; None looks at its middle."""
    splats: Literal["3dgs", "2dgs"] = "3dgs"
    """What a capture is fitted with: ellipsoids, or discs, whose surfaces are better; those need a CUDA GPU."""
    depth_estimator: Provider = Provider()
    """Who says how far what the picture shows is, if no depth map does; none if its name is empty."""
    view_maker: ViewMaker = ViewMaker()
    """Who paints the sides of a scene of one picture, which is then built anew from what is painted."""
    segmenter: Provider = Provider()
    """Who finds objects at clicks and boxes. With sam2 it also carries them through the frames of a video."""
