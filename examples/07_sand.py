"""Sand: a column of dry sand slumps into a heap beside one of wet sand that stands.

Run it; it leaves examples/out/07_sand.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, cylinder
from perpetua_protocol.take import Round

SHOT = Shot(
    "sand",
    (
        Prop("dry", "dry sand", cylinder(0.032, 0.09), at=(-0.08, 0, 0), colour=(0.90, 0.76, 0.50)),
        Prop("wet", "wet sand", cylinder(0.032, 0.09), at=(0.08, 0, 0), colour=(0.62, 0.48, 0.32)),
    ),
    (Round(32, name="slump"),),
    spacing=0.005,
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "07_sand.mp4")
