"""Values keyed over the take's frames: linear between keys (rotations along the shortest arc), constant outside them."""

from __future__ import annotations

import msgspec

Vec3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
"""w, x, y, z, as Blender writes it; its length does not matter."""


class ScalarTrack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number keyed over time: linear between keys, constant outside them."""

    frames: tuple[float, ...]
    values: tuple[float, ...]


class VectorTrack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vector keyed over time: linear between keys, constant outside them."""

    frames: tuple[float, ...]
    values: tuple[Vec3, ...]


class RotationTrack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rotation keyed over time: at even speed along the shortest arc between keys, constant outside them."""

    frames: tuple[float, ...]
    values: tuple[Quaternion, ...]


Scalar = float | ScalarTrack
Vector = Vec3 | VectorTrack
Rotation = Quaternion | RotationTrack
