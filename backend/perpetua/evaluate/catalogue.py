"""The worlds of the benchmark. Each says what the simulator believes, what the artist does, and how the truth differs.

A body is some ten centimetres large. Actions are written for a round that starts at frame 0 and moved to where it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from perpetua.errors import UnknownNameError
from perpetua.evaluate.worlds import Solid, ball, block, drum, hanging_sheet, make_scene
from perpetua.scene import Scene
from perpetua.scene.materials import resolve
from perpetua_protocol.take import Action, Drag, MaterialSpec, Push, Round, Wind


@dataclass(frozen=True)
class Truth:
    """How the true world differs from the simulator's. factors: by which material values are multiplied; hidden: actions of which
    the simulator knows nothing, in every round; grid_refinement: cells per default cell along an axis."""

    says: str
    factors: dict[str, float] = field(default_factory=dict)
    hidden: tuple[Action, ...] = ()
    grid_refinement: float = 1.0

    def world(self, scene: Scene) -> Scene:
        """``scene`` with the true materials."""
        bodies = []
        for body in scene.bodies:
            changed = {name: getattr(body.material, name) * factor for name, factor in self.factors.items()}
            bodies.append(replace(body, material=msgspec.structs.replace(body.material, **changed)))
        return replace(scene, bodies=bodies)


@dataclass(frozen=True)
class LoopWorld:
    """A world of the benchmark. solids: made for a particle spacing (m).  rounds: the artist's actions, one tuple a round, in turns
    if more rounds are played."""

    name: str
    solids: Callable[[float], list[Solid]]
    spacing: float
    rounds: tuple[tuple[Action, ...], ...]
    truth: Truth

    def scene(self, width: int, height: int) -> Scene:
        """The scene as the simulator believes it, with a front camera of ``width`` x ``height`` pixels."""
        return make_scene(self.solids(self.spacing), self.spacing, width, height)

    def played(self, rounds: int, frames: int) -> tuple[Round, ...]:
        """The artist's rounds, ``frames`` long each."""
        return tuple(
            Round(frames, _moved(self.rounds[index % len(self.rounds)], index * frames))
            for index in range(rounds)
        )

    def true_round(self, played: Round, start: int) -> Round:
        """A round as it truly happens, ``start`` frames into the take."""
        return msgspec.structs.replace(played, actions=(*played.actions, *_moved(self.truth.hidden, start)))


def _moved(actions: tuple[Action, ...], frames: int) -> tuple[Action, ...]:
    """The actions ``frames`` later."""
    return tuple(
        msgspec.structs.replace(
            action,
            start=None if action.start is None else action.start + frames,
            end=None if action.end is None else action.end + frames,
        )
        for action in actions
    )


def _solid(
    name: str, preset: str, make: Callable, colour: tuple[float, float, float], **options: object
) -> Callable:
    def solids(spacing: float) -> list[Solid]:
        return [Solid(name, resolve(MaterialSpec(preset)), make(spacing), colour, **options)]  # type: ignore[arg-type]

    return solids


_SHOVE = Wind("shove", (1.0, 0.1, 0.0), 2.5, 2.2, end=4.0)
_RETURN = Wind("return", (-0.8, -0.6, 0.0), 2.5, 2.2, end=4.0)
_ASIDE = Wind("aside", (0.2, 1.0, 0.0), 2.5, 2.2, end=4.0)
"""Short gusts of some 5 m/s^2 that set a thing sliding over a table."""

LOOP_WORLDS: dict[str, LoopWorld] = {
    world.name: world
    for world in (
        LoopWorld(
            "jelly",
            _solid("jelly", "jelly", lambda s: drum(0.04, 0.095, (0, 0, 0.0475)), (0.75, 0.25, 0.3)),
            0.0095,
            (
                (Wind("right", (1.0, 0.2, 0.0), 1.5, 1.4),),
                (Wind("left", (-1.0, 0.3, 0.0), 1.5, 1.4),),
                (Wind("away", (0.3, 1.0, 0.0), 1.5, 1.4),),
                (Wind("near", (0.2, -1.0, 0.0), 1.5, 1.4),),
            ),
            Truth(
                "four times stiffer, and twice the internal damping",
                {"youngs_modulus": 4.0, "viscosity": 2.0},
            ),
        ),
        LoopWorld(
            "clay",
            _solid("clay", "clay", lambda s: ball(0.045, (0, 0, 0.045)), (0.8, 0.5, 0.3)),
            0.0085,
            (
                (Push("press", (0.0, 0.0, 0.05), (0.1, 0.0, -1.0), 16.0, 0.09, end=8.0),),
                (Push("lean", (0.0, 0.0, 0.04), (0.3, 0.15, -1.0), 20.0, 0.1, end=8.0),),
                (Push("back", (0.0, 0.0, 0.03), (-0.35, 0.2, -1.0), 26.0, 0.12, end=8.0),),
                (Push("down", (0.0, 0.0, 0.03), (0.1, -0.35, -1.0), 30.0, 0.12, end=8.0),),
            ),
            Truth("half the yield stress, and a grid half as fine again", {"yield_stress": 0.5}, (), 1.5),
        ),
        LoopWorld(
            "rigid",
            _solid("brick", "wood", lambda s: block((0.09, 0.06, 0.06), (0, 0, 0.03)), (0.7, 0.55, 0.35)),
            0.0085,
            (
                (Push("turn", (-0.04, 0.03, 0.03), (1.0, 0.0, 0.0), 1.8, 0.05, end=4.0),),
                (_RETURN,),
                (_ASIDE,),
                (_SHOVE,),
            ),
            Truth(
                "three quarters of the friction, and a wind",
                {"friction": 0.75},
                (Wind("draught", (0.4, -1.0, 0.0), 2.0, 0.3),),
            ),
        ),
        LoopWorld(
            "sand",
            _solid("heap", "sand", lambda s: drum(0.045, 0.07, (0, 0, 0.035)), (0.8, 0.68, 0.42)),
            0.0085,
            (
                (),
                (Wind("right", (1.0, 0.2, 0.0), 2.0, 2.2, end=4.0),),
                (Push("press", (0.0, 0.0, 0.03), (0.0, 0.0, -1.0), 8.0, 0.06, end=8.0),),
                (Wind("back", (-1.0, 0.4, 0.0), 2.0, 2.2, end=4.0),),
            ),
            Truth("less friction, inside and on the table", {"friction_angle": 0.7, "friction": 0.6}),
        ),
        LoopWorld(
            "jam",
            _solid("blob", "jam", lambda s: drum(0.04, 0.05, (0, 0, 0.025)), (0.6, 0.12, 0.18)),
            0.0085,
            (
                (),
                (Wind("right", (1.0, 0.0, 0.0), 1.6, 1.4),),
                (Wind("left", (-1.0, -0.4, 0.0), 1.6, 1.4),),
                (),
            ),
            Truth(
                "a third of the viscosity, and a wind",
                {"viscosity": 0.33},
                (Wind("draught", (0.3, 1.0, 0.0), 1.5, 0.8),),
            ),
        ),
        LoopWorld(
            "cloth",
            _solid(
                "cloth",
                "cotton",
                lambda s: hanging_sheet(0.14, 0.12, 0.15, s),
                (0.35, 0.5, 0.75),
                resting=False,
            ),
            0.007,
            (
                (Wind("gust", (0.2, 1.0, 0.0), 2.0, 3.0, end=8.0),),
                (Wind("back", (0.2, -1.0, 0.0), 2.0, 3.0, end=8.0),),
                (),
                (Wind("side", (1.0, 0.5, 0.0), 2.0, 3.0, end=8.0),),
            ),
            Truth(
                "a wind that nobody told of, and damping by the air",
                {},
                (Wind("draught", (0.5, 1.0, 0.0), 1.5, 2.0), Drag("air", 1.0)),
            ),
        ),
    )
}


def loop_world(name: str) -> LoopWorld:
    """The world called ``name``. Raises ``UnknownNameError`` that lists those there are."""
    if name not in LOOP_WORLDS:
        raise UnknownNameError(f"There is no scene called '{name}'; choose among: {', '.join(LOOP_WORLDS)}.")
    return LOOP_WORLDS[name]
