"""Fields of force: dry sand in a vortex, jelly cubes pushed apart and drawn together, water stirred by turbulence.

Run it; it leaves examples/out/12_fields.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball, box
from perpetua_protocol.take import Drag, Falloff, Force, Round, Turbulence, Vortex

SHOT = Shot(
    "fields",
    (
        Prop("sand", "dry sand", box(0.06, 0.06, 0.03), at=(-0.14, 0, 0), colour=(0.90, 0.76, 0.50)),
        Prop("left", "jelly", box(0.03, 0.03, 0.03), at=(-0.02, 0, 0), colour=(0.45, 0.70, 0.40)),
        Prop("right", "jelly", box(0.03, 0.03, 0.03), at=(0.02, 0, 0), colour=(0.86, 0.60, 0.25)),
        Prop("water", "water", ball(0.025), at=(0.13, 0, 0.02), colour=(0.35, 0.62, 0.85)),
    ),
    (
        Round(
            16,
            (
                Vortex(
                    "whirl",
                    (-0.14, 0, 0),
                    strength=120.0,
                    inflow=25.0,
                    falloff=Falloff(max_distance=0.08),
                    targets=("sand",),
                ),
                Force("apart", (0, 0, 0.01), strength=5.0, targets=("left", "right")),
                Turbulence("stir", strength=5.0, size=0.04, targets=("water",)),
            ),
            name="stir",
        ),
        Round(
            16,
            (
                Force("together", (0, 0, 0.01), strength=-5.0, targets=("left", "right")),
                Drag("calm", linear=8.0, targets=("sand", "water")),
            ),
            name="calm",
        ),
    ),
    spacing=0.005,
    eye=(0.0, -0.6, 0.34),
    target=(0.0, 0.0, 0.02),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "12_fields.mp4")
