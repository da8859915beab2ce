"""Liquids: a column of water collapses and spreads beside one of jam that creeps.

Run it; it leaves examples/out/08_liquids.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, box
from perpetua_protocol.take import Round

SHOT = Shot(
    "liquids",
    (
        Prop("water", "water", box(0.05, 0.05, 0.08), at=(-0.08, 0, 0), colour=(0.35, 0.62, 0.85)),
        Prop("jam", "jam", box(0.05, 0.05, 0.08), at=(0.10, 0, 0), colour=(0.62, 0.10, 0.18)),
    ),
    (Round(24, name="flow"),),
    spacing=0.005,
    eye=(0.0, -0.55, 0.3),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "08_liquids.mp4")
