"""A rigid body on soft matter: a rolling pin rolls dough out, thinner on the way back.

Run it; it leaves examples/out/14_dough.mp4.
"""

from pathlib import Path

from scipy.spatial.transform import Rotation

from perpetua.demo.staged import Prop, Shot, box, roller
from perpetua_protocol.take import Pin, RotationTrack, Round, Vec3, VectorTrack

RADIUS, LENGTH = 0.022, 0.18
FIRST, SECOND = 0.022, 0.014
"""How far the pin's lowest line is above the table on its way there and back, m."""


def rolling(start: int, frames: int, x0: float, x1: float, z0: float, z1: float) -> Pin:
    """The pin held by its ends and rolled from ``x0`` to ``x1``, its lowest line going from ``z0`` to ``z1`` in the first quarter."""
    keys = tuple(float(start + i) for i in range(frames + 1))
    share = [i / frames for i in range(frames + 1)]
    eased = [s * s * (3 - 2 * s) for s in share]
    places: list[Vec3] = [
        (x0 + (x1 - x0) * e, 0.0, RADIUS + z0 + (z1 - z0) * min(1.0, 4 * s))
        for s, e in zip(share, eased, strict=True)
    ]
    turns = [Rotation.from_rotvec([0, (x - x0) / RADIUS, 0]).as_quat(scalar_first=True) for x, _, _ in places]
    rotation = RotationTrack(keys, tuple((q[0], q[1], q[2], q[3]) for q in turns))
    return Pin("hands", VectorTrack(keys, tuple(places)), rotation, reach=None, targets=("pin",))


SHOT = Shot(
    "dough",
    (
        Prop("pin", "wood", roller(RADIUS, LENGTH), at=(-0.125, 0, FIRST), colour=(0.72, 0.50, 0.28)),
        Prop("dough", "dough", box(0.13, 0.11, 0.032), colour=(0.94, 0.87, 0.70)),
    ),
    (
        Round(24, (rolling(0, 24, -0.125, 0.13, FIRST, FIRST),), name="there"),
        Round(26, (rolling(24, 26, 0.13, -0.13, FIRST, SECOND),), name="and back"),
    ),
    spacing=0.0055,
    eye=(0.05, -0.5, 0.3),
    target=(0.0, 0.0, 0.02),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "14_dough.mp4")
