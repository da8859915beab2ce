"""The kinds of action an artist can place: what each is called, what carries it in Blender, and which numbers it has.

Where Blender has a force field of the kind, an empty with that field carries it; the other kinds are plain empties, and a
collider is any mesh. What Blender's field lacks is a custom property of the object. No Blender in here.
"""

from __future__ import annotations

from dataclasses import dataclass

START, END = "perpetua_start", "perpetua_end"
KIND = "perpetua_kind"
"""Names the kind of an object without one of Blender's force fields."""
FORCE, IMPULSE, REACH = "perpetua_force", "perpetua_impulse", "perpetua_reach"
POUR_SPEED, RATE = "perpetua_pour", "perpetua_rate"
DRAG, EDDY_SPEED, FRICTION = "perpetua_drag", "perpetua_speed", "perpetua_friction"
DEFAULT_DRAG = 2.0
"""1/s, how quickly matter takes up the air's velocity."""


@dataclass(frozen=True)
class Number:
    """A number of an action. name: the custom property, or the property of Blender's field. text: its tooltip."""

    name: str
    label: str
    text: str
    default: float
    low: float = 0.0
    high: float = 10_000.0


@dataclass(frozen=True)
class Kind:
    """A kind of action.

    field: Blender's force field, empty where it has none. fields: numbers of that field, the first is the strength.
    own: custom properties; without a field the first is the strength. direction: where the +Z
    of a new one points. away_m: how far against its direction from the objects' middle a new one stands. idle_when_zero: which of its
    numbers, all zero, mean that it does nothing (names of the take).
    """

    name: str
    label: str
    text: str
    icon: str
    field: str = ""
    fields: tuple[Number, ...] = ()
    own: tuple[Number, ...] = ()
    display: str = "PLAIN_AXES"
    direction: tuple[float, float, float] = (0.0, 0.0, 1.0)
    away_m: float = 0.0
    idle_when_zero: tuple[str, ...] = ()

    @property
    def strength(self) -> Number | None:
        """The number that says how strong it is; None for what holds exactly (a pin, a collider)."""
        if self.fields:
            return self.fields[0]
        return self.own[0] if self.own and self.idle_when_zero else None


WINDOW = (
    Number(START, "Start", "First frame of the timeline it acts in", 0, -1_000_000, 1_000_000),
    Number(END, "End", "Frame of the timeline it stops at", 0, -1_000_000, 1_000_000),
)
_FLOW = Number("flow", "Flow (1/s)", "How quickly the field slows matter down; 0 does not slow it", 0.0)
_BALL = Number(REACH, "Reach (m)", "Radius of the ball it acts in", 0.03, 0.0001, 10.0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "wind",
            "Wind",
            "Moving air that carries matter along, where the arrow points",
            "FORCE_WIND",
            "WIND",
            fields=(Number("strength", "Speed (m/s)", "How fast the air moves", 3.0),),
            own=(
                Number(
                    DRAG,
                    "Grip (1/s)",
                    "How quickly matter takes up the air's speed: 0.5 is a breath on clay, 6 is dense air",
                    DEFAULT_DRAG,
                    0.0,
                    100.0,
                ),
            ),
            direction=(1.0, 0.0, 0.0),
            away_m=0.25,
            idle_when_zero=("speed",),
        ),
        Kind(
            "force",
            "Force",
            "Pushes matter away from a point, or pulls it in where the strength is negative",
            "FORCE_FORCE",
            "FORCE",
            fields=(
                Number("strength", "Strength (m/s\u00b2)", "Acceleration; negative pulls in", 5.0),
                _FLOW,
            ),
            idle_when_zero=("strength", "flow"),
        ),
        Kind(
            "vortex",
            "Vortex",
            "Spins matter up around the arrow",
            "FORCE_VORTEX",
            "VORTEX",
            fields=(
                Number(
                    "strength",
                    "Spin (1/s\u00b2)",
                    "Gain of turning speed; negative turns the other way",
                    50.0,
                ),
                Number(
                    "inflow", "Inflow (1/s\u00b2)", "Pull towards the axis, which keeps matter circling", 0.0
                ),
            ),
            idle_when_zero=("strength", "inflow"),
        ),
        Kind(
            "turbulence",
            "Turbulence",
            "Stirs matter with eddies that come and go",
            "FORCE_TURBULENCE",
            "TURBULENCE",
            fields=(
                Number("strength", "Strength (m/s\u00b2)", "Acceleration, as a root mean square", 5.0),
                Number("size", "Eddy Size (m)", "How far it is from one eddy to the next", 0.05),
                Number("seed", "Seed", "Another number is another field", 1),
                _FLOW,
            ),
            own=(
                Number(
                    EDDY_SPEED, "Change (m/s)", "How fast the eddies travel; 0 freezes them", 0.1, 0.0, 100.0
                ),
            ),
            idle_when_zero=("strength", "flow"),
        ),
        Kind(
            "drag",
            "Drag",
            "Slows matter down",
            "FORCE_DRAG",
            "DRAG",
            fields=(
                Number("linear_drag", "Linear (1/s)", "Slowing in proportion to the speed", 2.0),
                Number(
                    "quadratic_drag", "Quadratic (1/m)", "Slowing in proportion to the speed squared", 0.0
                ),
            ),
            idle_when_zero=("linear", "quadratic"),
        ),
        Kind(
            "push",
            "Push",
            "Newtons over a ball of matter, along the arrow, for a while",
            "EMPTY_SINGLE_ARROW",
            own=(Number(FORCE, "Force (N)", "Force over the whole ball", 5.0), _BALL),
            display="SINGLE_ARROW",
            direction=(0.0, 0.0, -1.0),
            idle_when_zero=("force",),
        ),
        Kind(
            "poke",
            "Poke",
            "A blow along the arrow: gives its whole impulse at once",
            "FORCE_LENNARDJONES",
            own=(
                Number(
                    IMPULSE,
                    "Impulse (N s)",
                    "Momentum it gives: 0.05 moves 100 g at half a metre a second",
                    0.05,
                ),
                _BALL,
            ),
            display="SINGLE_ARROW",
            direction=(0.0, 0.0, -1.0),
            idle_when_zero=("impulse",),
        ),
        Kind(
            "pin",
            "Pin",
            "A hand that holds what is in its ball and carries it where you key it",
            "PINNED",
            own=(
                Number(
                    REACH,
                    "Reach (m)",
                    "Radius of the ball it holds; 0 holds its objects whole",
                    0.03,
                    0.0,
                    10.0,
                ),
            ),
            display="CUBE",
        ),
        Kind(
            "emitter",
            "Emitter",
            "A tap, a spout or a chute: matter streams out of it along the arrow, and stays",
            "MOD_FLUIDSIM",
            own=(
                Number(POUR_SPEED, "Speed (m/s)", "How fast it streams", 0.7, 0.0, 100.0),
                Number(
                    RATE,
                    "Open",
                    "Share of the mouth that it fills: 0 is shut; it gets thinner, not slower",
                    1.0,
                    0.0,
                    1.0,
                ),
                Number(REACH, "Mouth (m)", "Radius of its mouth", 0.01, 0.0005, 1.0),
            ),
            display="SINGLE_ARROW",
            direction=(0.0, 0.0, -1.0),
            away_m=0.15,
            idle_when_zero=("speed",),
        ),
        Kind(
            "collider",
            "Collider",
            "The active mesh becomes a solid thing: matter cannot enter it, and is moved by it where you key it",
            "MOD_PHYSICS",
            own=(Number(FRICTION, "Friction", "0 is ice, 1 is rubber", 0.5, 0.0, 10.0),),
        ),
    )
}

BY_FIELD = {kind.field: kind for kind in KINDS.values() if kind.field}
"""Blender's name of a force field: the kind it carries."""
