"""Elastic matter: a jelly falls on the table, wobbles and is poked.

Run it; it leaves examples/out/04_jelly.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, cylinder
from perpetua_protocol.take import Poke, Round

SHOT = Shot(
    "jelly",
    (Prop("jelly", "jelly", cylinder(0.045, 0.06), at=(-0.04, 0, 0.07), colour=(0.86, 0.22, 0.26)),),
    (
        Round(20, name="fall"),
        Round(28, (Poke("poke", (-0.08, 0, 0.05), (1, 0, 0.2), 0.16, reach=0.04),), name="poke"),
    ),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "04_jelly.mp4")
