"""What a physics engine takes and gives. Genesis is the one that comes with the project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from perpetua.errors import SimulationError
from perpetua.progress import Progress
from perpetua.scene.particles import State
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory
from perpetua_protocol.take import Round, Vec3, Vector


@dataclass(frozen=True)
class RoundPlan:
    """What happens in one round. start_frame is the take's frame the round starts from; a key of an action at frame f
    is reached at time f / fps."""

    round: Round
    start_frame: int
    fps: float
    gravity: Vector
    seed: int = 0
    max_substeps: int | None = None
    grid_refinement: float = 1.0
    """Grid cells per default grid cell along one axis; a teacher world may use a finer one."""


@dataclass(frozen=True)
class Simulation:
    """A round's result: the trajectory of all particles, and the state at its last frame."""

    trajectory: Trajectory
    end: State
    substeps: int
    """Substeps a frame that the stability rule chose."""
    idle: tuple[str, ...] = ()
    """Names of the round's actions that reached no object."""
    bounds: tuple[Vec3, Vec3] | None = None
    """Lower and upper corner, m, of the box that soft matter was computed in at the end. It follows the matter, up to a size beyond
    which the round stops with an error that gives the numbers; None where nothing soft was in the scene."""


class SimulationStopped(SimulationError):
    """A round that went wrong after it had begun. ``so_far``: its good frames, the last of them as the end; at least the start."""

    def __init__(self, message: str, so_far: Simulation) -> None:
        super().__init__(message)
        self.so_far = so_far


class PhysicsEngine(Protocol):
    """Moves particles. Must be deterministic for the same inputs in a fresh process."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        """Advance ``state`` by the round's frames.

        Raises ``SimulationError`` for what cannot be simulated, and within a frame ``SimulationStopped``, naming the object and
        the likely remedy, when something explodes or leaves the bounds.
        """
        ...
