"""Gas: steam rises from a pot and a draught takes it away.

Run it; it leaves examples/out/11_steam.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, cylinder
from perpetua_protocol.take import Round, ScalarTrack, Wind

SHOT = Shot(
    "steam",
    (
        Prop("pot", "porcelain", cylinder(0.05, 0.07), colour=(0.45, 0.50, 0.56)),
        Prop("steam", "steam", cylinder(0.03, 0.10), at=(0, 0, 0.075), colour=(0.97, 0.98, 1.0)),
    ),
    (
        Round(
            48,
            (
                Wind(
                    "draught",
                    (1, 0, 0),
                    ScalarTrack((0, 20, 30), (0.0, 0.0, 0.6)),
                    drag=6.0,
                    targets=("steam",),
                ),
            ),
            name="draught",
        ),
    ),
    target=(0.0, 0.0, 0.11),
    eye=(0.0, -0.6, 0.24),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "11_steam.mp4")
