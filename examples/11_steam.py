"""Gas: steam rises from the spout of a pot, and a draught bends it.

Run it; it leaves examples/out/11_steam.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, cylinder
from perpetua_protocol.take import Emitter, MaterialSpec, Round, ScalarTrack, Wind

SPOUT = Emitter("steam", (0.045, 0, 0.07), (0.6, 0, 1), 0.008, 1.2, material=MaterialSpec("steam"))
DRAUGHT = Wind("draught", (-1, 0, 0), ScalarTrack((0, 20, 28), (0.0, 0.0, 0.4)), drag=4.0, targets=("steam",))

SHOT = Shot(
    "steam",
    (Prop("pot", "porcelain", cylinder(0.05, 0.07), colour=(0.45, 0.50, 0.56)),),
    (Round(48, (SPOUT, DRAUGHT), name="boil"),),
    spacing=0.008,
    eye=(0.0, -0.8, 0.26),
    target=(0.04, 0.0, 0.15),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "11_steam.mp4")
