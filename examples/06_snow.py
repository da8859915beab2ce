"""Fresh snow: a snowball lands on a heap of it and stays, and a boot leaves its print.

Run it; it leaves examples/out/06_snow.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball, cylinder
from perpetua_protocol.take import Push, Round

SHOT = Shot(
    "snow",
    (
        Prop("heap", "fresh snow", cylinder(0.075, 0.045), colour=(0.93, 0.95, 0.99)),
        Prop(
            "snowball",
            "fresh snow",
            ball(0.022),
            at=(-0.06, 0, 0.10),
            colour=(0.80, 0.88, 0.98),
            velocity=(1.2, 0, -3.2),
        ),
    ),
    (
        Round(14, name="hit"),
        Round(14, (Push("boot", (0.035, 0, 0.045), (0, 0, -1), 15.0, reach=0.03, end=24),), name="print"),
    ),
    spacing=0.0065,
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "06_snow.mp4")
