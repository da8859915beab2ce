"""Cloth over rigid bodies, and a pin on cloth: a cloth falls over a ball on a block, and a hand draws it away.

Run it; it leaves examples/out/13_unveiled.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball, box, sheet
from perpetua_protocol.take import Pin, Round, VectorTrack

SHOT = Shot(
    "unveiled",
    (
        Prop("block", "wood", box(0.07, 0.07, 0.03), colour=(0.62, 0.42, 0.26)),
        Prop("ball", "porcelain", ball(0.035), at=(0, 0, 0.03), colour=(0.35, 0.55, 0.75)),
        Prop("cloth", "silk", sheet(0.19, 0.19), at=(0, 0, 0.115), colour=(0.84, 0.30, 0.26)),
    ),
    (
        Round(26, name="veiled"),
        Round(
            34,
            (
                Pin(
                    "hand",
                    VectorTrack(
                        (26, 34, 50, 60), ((0, 0, 0.1), (0, 0, 0.15), (0.15, -0.02, 0.2), (0.16, -0.02, 0.2))
                    ),
                    reach=0.016,
                    targets=("cloth",),
                ),
            ),
            name="drawn away",
        ),
    ),
    spacing=0.006,
    eye=(0.03, -0.62, 0.28),
    target=(0.03, 0.0, 0.08),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "13_unveiled.mp4")
