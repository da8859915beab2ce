"""The artist's actions as accelerations of particles: the readable formulas.

``particle_loads`` holds the same ones compiled for every substep of the particles; rigid bodies use these.

Wind    a_i = drag * falloff(d_i) * (speed * direction - v_i)        m/s^2, air drag linear in the relative velocity (Stokes)
Push    a_i = F * w(d_i) / sum_j m_j w(d_j)                          m/s^2, so that sum_i m_i a_i = F newtons exactly

d_i is the distance of particle i from the action's centre. Both weights are (1 - (d/R)^2)^2 within the reach R for a push (a
compact bell, C1 at its edge; Monaghan 1992 uses such kernels), and 1 up to 3/4 of R and a smooth step to 0 from there for wind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.scene.actions import direction_at, is_active, sample_scalar, sample_vector
from perpetua_protocol.take import Push, Round, Wind

WIND, PUSH = 1, 2

EVERYWHERE = 1e6
"""m; the reach of a wind that blows everywhere."""

WIND_CORE = 0.75
"""Share of a wind's reach with its full strength."""


@dataclass(frozen=True)
class Load:
    """An action at a moment. kind: WIND or PUSH.  centre: [3], m.  vector: [3], air velocity in m/s or force in N.
    reach: m.  drag: 1/s.  bodies: [B] bool, which it acts on."""

    name: str
    kind: int
    centre: NDArray[np.float64]
    vector: NDArray[np.float64]
    reach: float
    drag: float
    bodies: NDArray[np.bool_]


def loads_at(round_: Round, start_frame: float, frame: float, names: list[str]) -> list[Load | None]:
    """One entry for each action of the round: what it does at ``frame`` of the take, None while it is not acting."""
    return [
        load(action, frame, names) if is_active(action, frame, round_, start_frame) else None
        for action in round_.actions
    ]


def load(action: Wind | Push, frame: float, names: list[str]) -> Load:
    """The keyed values of one action at ``frame`` of the take; ``names`` are the bodies' in order."""
    bodies = np.array([not action.targets or name in action.targets for name in names], bool)
    centre = sample_vector(action.location, frame)
    direction = direction_at(action.direction, frame)
    if isinstance(action, Wind):
        reach = EVERYWHERE if action.reach is None else action.reach
        return Load(
            action.name,
            WIND,
            centre,
            sample_scalar(action.speed, frame) * direction,
            reach,
            action.drag,
            bodies,
        )
    force = sample_scalar(action.force, frame) * direction
    return Load(action.name, PUSH, centre, force, action.reach, 0.0, bodies)


def falloff(kind: int, distance: NDArray, reach: float) -> NDArray:
    """Weight in [0, 1] of particles at ``distance`` [N] m from the centre."""
    share = np.clip(distance / reach, 0.0, 1.0)
    if kind == PUSH:
        return (1.0 - share**2) ** 2
    edge = np.clip((share - WIND_CORE) / (1.0 - WIND_CORE), 0.0, 1.0)
    return 1.0 - edge * edge * (3.0 - 2.0 * edge)


def pushed_mass(load: Load, positions: NDArray, mass: NDArray, body: NDArray) -> float:
    """sum_j m_j w(d_j), kg: what a push's force is divided by."""
    weight = falloff(load.kind, np.linalg.norm(positions - load.centre, axis=1), load.reach)
    return float((weight * mass * load.bodies[body]).sum())


def acceleration(
    load: Load,
    positions: NDArray,
    velocities: NDArray,
    mass: NDArray,
    body: NDArray,
    total: float | None = None,
) -> NDArray[np.float64]:
    """[N, 3] m/s^2 on particles at ``positions`` [N, 3] with ``velocities`` [N, 3], ``mass`` [N] kg and ``body`` [N].

    ``total`` is the pushed mass when other matter shares the push.
    """
    weight = falloff(load.kind, np.linalg.norm(positions - load.centre, axis=1), load.reach)
    weight = (weight * load.bodies[body])[:, None]
    if load.kind == WIND:
        return load.drag * weight * (load.vector - velocities)
    shared = pushed_mass(load, positions, mass, body) if total is None else total
    return load.vector * weight / shared if shared > 0 else np.zeros_like(positions, np.float64)


def reaches(item: Load, positions: NDArray, body: NDArray) -> bool:
    """Whether the action touches any particle at ``positions`` [N, 3] of ``body`` [N] that it is meant for."""
    weight = falloff(item.kind, np.linalg.norm(positions - item.centre, axis=1), item.reach)
    return bool((weight * item.bodies[body] > 0).any())


def wrench(
    item: Load, centre: NDArray, positions: NDArray, velocities: NDArray, mass: float, body: int, total: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force [3] N and torque [3] N m about ``centre`` [3] m of one action on the particles of a rigid ``body``, each of
    ``mass`` kg; ``total`` kg is everything the push is shared by."""
    count = len(positions)
    a = acceleration(item, positions, velocities, np.full(count, mass), np.full(count, body, np.int64), total)
    return mass * a.sum(0), mass * np.cross(positions - centre, a).sum(0)
