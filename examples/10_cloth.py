"""Cloth and wind: a cotton towel hangs in a gust, and a silk one falls over a ball of jelly.

Run it; it leaves examples/out/10_cloth.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball, sheet
from perpetua_protocol.take import Round, ScalarTrack, Wind

SHOT = Shot(
    "cloth",
    (
        Prop(
            "towel",
            "cotton",
            sheet(0.14, 0.16, upright=True),
            at=(-0.12, 0, 0.04),
            colour=(0.35, 0.52, 0.72),
            held=True,
        ),
        Prop("ball", "jelly", ball(0.035), at=(0.11, 0, 0), colour=(0.86, 0.22, 0.26)),
        Prop("silk", "silk", sheet(0.14, 0.14), at=(0.11, 0, 0.09), colour=(0.90, 0.82, 0.55)),
    ),
    (
        Round(
            36,
            (
                Wind(
                    "gust",
                    (0.3, -1, 0),
                    ScalarTrack((0, 8, 24, 32), (0.0, 1.4, 1.4, 0.0)),
                    drag=4.0,
                    targets=("towel",),
                ),
            ),
            name="gust",
        ),
    ),
    spacing=0.007,
    eye=(0.0, -0.6, 0.25),
    target=(0.0, 0.0, 0.08),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "10_cloth.mp4")
