"""The artist's fields and pushes as accelerations of matter: one file a kind, with its formula.

    action (keyed)  --at(moment)-->  Force (numbers of this moment)  --row()-->  compiled kernel, every substep

``api`` says what a force is, ``compiled`` evaluates the same formulas on the matter of an engine; a new kind is a file here, a
line in ``force_at`` and a branch there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Force, Moment, Row
from perpetua.physics.forces.drag import Drag
from perpetua.physics.forces.push import Push
from perpetua.physics.forces.radial import Radial
from perpetua.physics.forces.turbulence import Turbulence
from perpetua.physics.forces.vortex import Vortex
from perpetua.physics.forces.wind import Wind
from perpetua.scene.actions import acts_in, window_of
from perpetua_protocol import actions
from perpetua_protocol.take import Round

__all__ = ["Field", "Force", "Moment", "Row", "force_at", "forces_at"]

ForceAction = (
    actions.Wind
    | actions.Force
    | actions.Vortex
    | actions.Turbulence
    | actions.Drag
    | actions.Push
    | actions.Poke
)
"""The actions that are forces; the others move matter themselves."""


def forces_at(round_: Round, start_frame: float, moment: Moment, names: list[str]) -> list[Force | None]:
    """One entry for each action of the round, which starts at ``start_frame``: the force it is at ``moment``, None while it is
    none. ``names`` are the bodies' in order."""
    out: list[Force | None] = []
    for action in round_.actions:
        if isinstance(action, ForceAction) and acts_in(
            action, moment.frame, moment.step, round_, start_frame
        ):
            out.append(force_at(action, moment, names, round_, start_frame))
        else:
            out.append(None)
    return out


def force_at(
    action: ForceAction, moment: Moment, names: list[str], round_: Round, start_frame: float
) -> Force:
    """The force that an action of ``round_`` is at ``moment``."""
    bodies = targeted(action, names)
    match action:
        case actions.Wind():
            return Wind.at(action, moment, bodies)
        case actions.Force():
            return Radial.at(action, moment, bodies)
        case actions.Vortex():
            return Vortex.at(action, moment, bodies)
        case actions.Turbulence():
            return Turbulence.at(action, moment, bodies)
        case actions.Drag():
            return Drag.at(action, moment, bodies)
        case actions.Push():
            return Push.at(action, moment, bodies)
        case actions.Poke():
            return Push.of_poke(action, window_of(action, round_, start_frame), moment, bodies)


def targeted(action: actions.Action, names: list[str]) -> NDArray[np.bool_]:
    """[B]: which of the bodies ``names`` the action acts on."""
    return np.array([not action.targets or name in action.targets for name in names], bool)
