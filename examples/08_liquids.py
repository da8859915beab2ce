"""Liquids: a tap fills a cup while a column of water collapses in a bowl, and jam beside them creeps.

Run it; it leaves examples/out/08_liquids.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, box, cup
from perpetua.demo.tools import mesh_of
from perpetua_protocol.take import Collider, Emitter, Round

TAP = Emitter("tap", (0.0, -0.03, 0.11), radius=0.008, speed=0.4, colour=(0.35, 0.62, 0.85), start=0, end=30)
GLASS = Collider("glass", mesh_of(cup(0.032, 0.075, 0.005).mesh), (0.0, -0.03, 0.0), friction=0.0)
BOWL = Collider("bowl", mesh_of(cup(0.062, 0.05, 0.005).mesh), (-0.12, 0.02, 0.0), friction=0.0)

SHOT = Shot(
    "liquids",
    (
        Prop("water", "water", box(0.05, 0.05, 0.08), at=(-0.12, 0.02, 0.006), colour=(0.35, 0.62, 0.85)),
        Prop("jam", "jam", box(0.05, 0.05, 0.08), at=(0.12, 0, 0), colour=(0.62, 0.10, 0.18)),
    ),
    (Round(42, (TAP, GLASS, BOWL), name="flow"),),
    spacing=0.005,
    eye=(0.0, -0.42, 0.44),
    target=(0.0, 0.0, 0.03),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "08_liquids.mp4")
