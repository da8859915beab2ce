"""Elasto-plastic matter and pushes: a thumb presses clay down, another from the side; the dents stay.

Run it; it leaves examples/out/05_clay.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball
from perpetua_protocol.take import Push, Round

SHOT = Shot(
    "clay",
    (Prop("clay", "clay", ball(0.04), colour=(0.80, 0.46, 0.30)),),
    (
        Round(16, (Push("thumb", (0, 0, 0.08), (0, 0, -1), 30.0, reach=0.03, end=8),), name="from above"),
        Round(
            16,
            (Push("finger", (-0.04, -0.01, 0.03), (1, 0, 0), 20.0, reach=0.025, end=21),),
            name="from the left",
        ),
    ),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "05_clay.mp4")
