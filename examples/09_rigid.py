"""Rigid bodies: a wooden ball thrown at a tower of blocks.

Run it; it leaves examples/out/09_rigid.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball, box
from perpetua_protocol.take import Round

SHOT = Shot(
    "tower",
    (
        Prop("lower", "wood", box(0.04, 0.04, 0.04), colour=(0.82, 0.62, 0.38)),
        Prop("middle", "wood", box(0.04, 0.04, 0.04), at=(0, 0, 0.04), colour=(0.35, 0.55, 0.75)),
        Prop("upper", "wood", box(0.04, 0.04, 0.04), at=(0, 0, 0.08), colour=(0.80, 0.33, 0.28)),
        Prop(
            "ball", "wood", ball(0.02), at=(-0.16, 0, 0.07), colour=(0.92, 0.80, 0.35), velocity=(2.5, 0, 0.3)
        ),
    ),
    (Round(30, name="throw"),),
    spacing=0.005,
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "09_rigid.mp4")
