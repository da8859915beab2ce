"""Emitters: chocolate is poured over a pudding and the jug is tipped back, a chute pours sugar onto a heap.

Run it; it leaves examples/out/16_emitters.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, cylinder
from perpetua_protocol.take import Emitter, MaterialSpec, Round, ScalarTrack, VectorTrack

JUG = Emitter(
    "jug",
    VectorTrack(
        (0, 12, 24, 36), ((-0.09, 0, 0.12), (-0.07, 0.01, 0.12), (-0.06, -0.01, 0.12), (-0.08, 0, 0.12))
    ),
    radius=0.008,
    speed=0.4,
    rate=ScalarTrack((0, 4, 30, 36), (0.3, 1.0, 1.0, 0.0)),
    material=MaterialSpec("chocolate"),
    start=0,
    end=36,
)
CHUTE = Emitter(
    "chute",
    (0.06, 0, 0.12),
    (0.4, 0, -1),
    radius=0.01,
    speed=0.35,
    material=MaterialSpec("sugar"),
    start=0,
    end=40,
)

SHOT = Shot(
    "emitters",
    (Prop("pudding", "jelly", cylinder(0.036, 0.045), at=(-0.075, 0, 0), colour=(0.95, 0.85, 0.55)),),
    (Round(24, (JUG, CHUTE), name="pour"), Round(24, (JUG, CHUTE), name="run out")),
    spacing=0.006,
    eye=(0.0, -0.46, 0.22),
    target=(0.0, 0.0, 0.05),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "16_emitters.mp4")
