"""A collider in grains: a shovel drives into a heap of damp sand, and lifts what lies on it.

Run it; it leaves examples/out/15_shovel.mp4.
"""

from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from perpetua.demo.staged import Prop, Shape, Shot
from perpetua.demo.tools import mesh_of
from perpetua_protocol.take import Collider, MaterialSpec, RotationTrack, Round, VectorTrack


def heap(radius: float, height: float) -> Shape:
    """A cone."""
    mesh = trimesh.creation.cone(radius, height, sections=48)
    return Shape(
        mesh,
        lambda p: (p[:, 2] >= 0) & (np.hypot(p[:, 0], p[:, 1]) <= radius * (1 - p[:, 2] / height)),
    )


def shovel() -> trimesh.Trimesh:
    """A blade with a back, two sides and a handle; its edge is at the origin, along y."""
    plates = [
        ((0.075, 0.060, 0.005), (-0.0375, 0.0, 0.0025)),
        ((0.005, 0.070, 0.035), (-0.0775, 0.0, 0.0175)),
        ((0.075, 0.005, 0.014), (-0.0375, 0.0325, 0.007)),
        ((0.075, 0.005, 0.014), (-0.0375, -0.0325, 0.007)),
    ]
    parts = [trimesh.creation.box(size) for size, _ in plates]
    for part, (_, place) in zip(parts, plates, strict=True):
        part.apply_translation(place)
    handle = trimesh.creation.cylinder(0.007, 0.11, sections=24)
    handle.apply_transform(trimesh.transformations.rotation_matrix(-1.1, (0, 1, 0)))
    handle.apply_translation((-0.125, 0.0, 0.055))
    return trimesh.util.concatenate([*parts, handle])


def turned(radians: float) -> tuple[float, float, float, float]:
    """The edge turned up by an angle."""
    w, x, y, z = Rotation.from_rotvec([0, -radians, 0]).as_quat(scalar_first=True)
    return w, x, y, z


SPADE = Collider(
    "shovel",
    mesh_of(shovel()),
    VectorTrack(
        (0, 14, 20, 34, 44),
        (
            (-0.11, 0, 0.012),
            (0.06, 0, 0.006),
            (0.055, 0, 0.035),
            (0.02, 0, 0.13),
            (0.0, 0, 0.135),
        ),
    ),
    RotationTrack((0, 6, 14, 20, 44), (turned(-0.12), turned(0.0), turned(0.0), turned(0.32), turned(0.30))),
    friction=0.4,
)

SHOT = Shot(
    "shovel",
    (
        Prop(
            "sand",
            MaterialSpec("wet sand", cohesion=300.0),
            heap(0.095, 0.07),
            at=(0.03, 0, 0),
            colour=(0.76, 0.62, 0.42),
        ),
    ),
    (Round(44, (SPADE,), name="dig"),),
    spacing=0.005,
    eye=(0.03, -0.46, 0.34),
    target=(0.01, 0.0, 0.055),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "15_shovel.mp4")
