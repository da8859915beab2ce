"""What a world is composed of: each part owns the bodies of some material models, or acts on them.

A part adds what it needs to a Genesis scene that is being built, takes its share of a state, acts before every substep,
and gives its share back. Parts of matter meet each other inside Genesis (solids, liquids and rigid bodies) or by what they read of
each other before a substep. To add a kind of matter, write a part and name it in ``world.PARTS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.grid import Box
from perpetua.scene.particles import Memory, Particles, RigidPose
from perpetua.scene.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from perpetua.physics.cloth.surroundings import Surroundings
    from perpetua.physics.forces import Force
    from perpetua.physics.forces.compiled import CompiledForces
    from perpetua.physics.motion import Collider, Pin


@dataclass(frozen=True)
class Plan:
    """What a world is compiled for. dt: substep, s.  capacity: actions at once."""

    box: Box
    dt: float
    capacity: int


@dataclass(frozen=True)
class Snapshot:
    """All that a world is loaded with and gives back: the particles of all bodies, the pose of every rigid body by its index,
    by name the arrays that a part needs besides to go on as if it had never stopped, and which particles [P] are there: the others
    wait in their emitters or have faded, and are neither seen nor felt."""

    particles: Particles
    rigid: dict[int, RigidPose]
    memory: Memory
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class Stored:
    """A snapshot that is being written after the particles ``before``; each part fills in its own bodies' rows."""

    before: Particles
    present: NDArray[np.bool_]
    rigid: dict[int, RigidPose] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    _changed: dict[str, NDArray] = field(default_factory=dict)

    def array(self, name: str) -> NDArray:
        """The particles' array of that name, to be written into."""
        if name not in self._changed:
            self._changed[name] = getattr(self.before, name).copy()
        return self._changed[name]

    def done(self) -> Snapshot:
        """What was written, and of ``before`` what was not."""
        return Snapshot(replace(self.before, **self._changed), self.rigid, self.memory, self.present)


@dataclass(frozen=True)
class Arrivals:
    """Particles that leave their emitters in a control step. index: [n], which of the scene's.  positions: [n, 3] m and velocities:
    [n, 3] m/s, as they do.  seconds: [n], when, since the step began."""

    index: NDArray[np.int64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Building:
    """What parts are built from. gs: Genesis.  genesis: its scene, not yet built.  folder: for files that Genesis reads while
    it builds; gone afterwards."""

    gs: Any
    genesis: Any
    scene: Scene
    plan: Plan
    folder: Path
    parts: list[Part] = field(default_factory=list)
    """The parts constructed so far, for those that act on another."""

    def bodies_of(self, models: frozenset[str]) -> list[int]:
        """Indices of the bodies whose material is of one of ``models``."""
        return [i for i, body in enumerate(self.scene.bodies) if body.material.model in models]


class Part:
    """One kind of matter in a world, or something that acts on it. All methods but the constructor may be left out."""

    models: ClassVar[frozenset[str]] = frozenset()
    """Material models whose bodies are its own."""

    def __init__(self, building: Building) -> None:
        """Add entities and force fields to the Genesis scene before it is built."""

    def built(self) -> None:
        """The Genesis scene is built: make fields, fill in constants."""

    def meet(self, others: Sequence[Part]) -> None:
        """All parts are built; ``others`` are those of the same world."""

    def load(self, snapshot: Snapshot) -> None:
        """Take its share of ``snapshot``, and drop whatever it remembers of before."""

    def store(self, out: Stored) -> None:
        """Write its share of the state as it is now."""

    def adopt(self, scene: Scene, plan: Plan) -> None:
        """Go on as the same bodies of materials with other numbers, and with another substep: nothing is compiled anew. A state
        is loaded before the next substep."""

    def hold(self, acceleration: NDArray | None) -> None:
        """Hold bodies that do not settle against ``acceleration`` [3] m/s^2 (gravity) from now on; None lets them go."""

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3] m/s^2 from now on, for what Genesis does not move (it has been told)."""

    def set_moved(self, moved: Sequence[Pin | Collider]) -> None:
        """A control step begins: the pins that hold its matter and the colliders that matter cannot enter."""

    def expect(self, arrivals: Arrivals, substeps: int) -> None:
        """A control step of ``substeps`` begins in which ``arrivals`` leave their emitters."""

    def let_out(self, substep: int) -> None:
        """Once before each of its substeps, if anything arrives in it: what arrives in this one is there from now on."""

    def weigh(self, forces: CompiledForces) -> None:
        """Once before each substep in which something is pushed: let ``forces`` weigh its matter."""

    def before_substeps(self, forces: Sequence[Force]) -> None:
        """Once before the substeps over which ``forces`` hold."""

    def after_substeps(self, forces: Sequence[Force], seconds: float) -> None:
        """Once after them; they were ``seconds`` long together."""

    def before_substep(self, forces: CompiledForces) -> None:
        """Act on its matter, once before each substep, and let ``forces`` act on it."""

    def substep(self) -> None:
        """All parts have acted: move its matter by a substep, if ``before_substep`` has not."""

    # -- how other parts see its matter ---------------------------------------------------------------------------

    @property
    def points(self) -> int:
        """How many particles cloth can touch."""
        return 0

    def point_bodies(self) -> NDArray[np.int32]:
        """[points]: the body of each."""
        return np.zeros(0, np.int32)

    def show(self, near: Surroundings, first: int) -> None:
        """Write its particles' places and velocities into ``near`` from index ``first`` on."""

    def feel(self, near: Surroundings, first: int) -> None:
        """Take the impulses that cloth gave its particles."""

    def motion(self) -> tuple[NDArray, NDArray]:
        """Positions [n, 3] m and velocities [n, 3] m/s of its particles, which air flows around."""
        return np.zeros((0, 3)), np.zeros((0, 3))


class quiet(warnings.catch_warnings):
    """Genesis and Quadrants warn of their own inner workings; none of it is for the artist."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
