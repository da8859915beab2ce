"""Snow: a snowball hits another and both crumble.

Run it; it leaves examples/out/06_snow.mp4.
"""

from pathlib import Path

from perpetua.demo.staged import Prop, Shot, ball
from perpetua_protocol.take import Round

SHOT = Shot(
    "snow",
    (
        Prop("still", "snow", ball(0.04), at=(0.03, 0, 0.001), colour=(0.93, 0.95, 0.99)),
        Prop(
            "thrown",
            "snow",
            ball(0.03),
            at=(-0.12, 0, 0.05),
            colour=(0.80, 0.88, 0.98),
            velocity=(3.5, 0, 0.3),
        ),
    ),
    (Round(28, name="hit"),),
)

if __name__ == "__main__":
    SHOT.play(Path(__file__).with_name("out") / "06_snow.mp4")
