"""A world of one scene: a Genesis scene and the parts its matter is made of, built once for a box of cells and a substep,
then loaded with states and advanced.

Steps of one substep each are taken from Python: that costs a tenth of a substep and lets the parts act every substep, at a
hundredth of the memory that Genesis' own substeps would take. Import after ``runtime.fresh``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.cloth.part import ClothPart
from perpetua.physics.forces import Force
from perpetua.physics.forces.compiled import CompiledForces
from perpetua.physics.gas.part import GasPart
from perpetua.physics.motion import Collider, Pin
from perpetua.physics.parts import Arrivals, Building, Part, Plan, Snapshot, Stored, quiet
from perpetua.physics.rigid_part import RigidPart
from perpetua.physics.shared_kernels import let_go
from perpetua.physics.soft import SoftPart
from perpetua.scene.particles import Particles
from perpetua.scene.scene import Scene

PARTS: tuple[type[Part], ...] = (RigidPart, SoftPart, ClothPart, GasPart)
"""The kinds of matter, in the order in which they enter a Genesis scene."""


class World:
    """The matter of ``scene`` in a running Genesis scene. One at a time in a process (see ``runtime``)."""

    def __init__(self, gs: Any, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        _refuse_unknown(scene)
        with quiet(), tempfile.TemporaryDirectory(prefix="perpetua-physics-") as folder:
            self._genesis = _genesis_scene(gs, scene, plan) if needs_genesis(scene) else None
            building = Building(gs, self._genesis, scene, plan, Path(folder))
            for kind in PARTS:
                if building.bodies_of(kind.models):
                    building.parts.append(kind(building))
            self.parts = tuple(building.parts)
            if self._genesis is not None:
                self._genesis.build()
        for part in self.parts:
            part.built()
        for part in self.parts:
            part.meet([other for other in self.parts if other is not part])
        self._forces = CompiledForces(plan.capacity, len(scene.bodies), plan.dt)
        self._gravity = np.full(3, np.nan)  # not yet told

    def adopt(self, scene: Scene, plan: Plan) -> None:
        """Become the world of ``scene``, which has the same bodies of materials with other numbers, with the substep of ``plan``, which
        must stay where bodies are rigid. Load a state before the next substep."""
        self.scene, self.plan = scene, plan
        self._forces.set_substep(plan.dt)
        for part in self.parts:
            part.adopt(scene, plan)

    @property
    def in_genesis(self) -> bool:
        """Whether a Genesis scene belongs to it, which takes memory that only a new start of Genesis gives back."""
        return self._genesis is not None

    def end(self) -> None:
        """Give its memory back; it is used no more."""
        for owner in (self, *self.parts):
            let_go(owner)

    def load(self, snapshot: Snapshot) -> None:
        """Make this the world's state. Particles must lie inside the box (Genesis would end the process)."""
        with quiet():
            for part in self.parts:
                part.load(snapshot)

    def store(self, before: Particles) -> Snapshot:
        """The world's state. ``before`` gives what no part changes."""
        out = Stored(before, np.ones(len(before), bool))
        for part in self.parts:
            part.store(out)
        return out.done()

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3], m/s^2. What it is already is not told again: four times a frame that was a twentieth of a rigid body's."""
        if np.array_equal(gravity, self._gravity):
            return
        self._gravity = np.array(gravity, np.float64)
        if self._genesis is not None:
            self._genesis.sim.set_gravity(tuple(float(g) for g in gravity))
        self._forces.set_gravity(gravity)
        for part in self.parts:
            part.set_gravity(gravity)

    def set_damping(self, rate: NDArray) -> None:
        """rate: [B], 1/s, at which each body's velocity decays."""
        self._forces.set_damping(np.exp(-np.asarray(rate) * self.plan.dt))

    def advance(
        self,
        forces: Sequence[Force],
        substeps: int,
        hold: NDArray | None = None,
        moved: Sequence[Pin | Collider] = (),
        arrivals: Arrivals | None = None,
    ) -> None:
        """Take ``substeps`` substeps, a control step, under ``forces``, which hold over all of them, with pins and colliders moving
        and ``arrivals`` leaving their emitters.

        ``hold``: [3] m/s^2 that bodies that do not settle are held against (gravity, while something settles).
        """
        self._forces.set_forces(forces)
        for part in self.parts:
            part.hold(hold)
            part.before_substeps(forces)
            part.set_moved(moved)
            if arrivals is not None:
                part.expect(arrivals, substeps)
        for substep in range(substeps):
            if arrivals is not None:
                for part in self.parts:
                    part.let_out(substep)
            if self._forces.pushing:
                self._forces.forget()
                for part in self.parts:
                    part.weigh(self._forces)
            for part in self.parts:
                part.before_substep(self._forces)
            for part in self.parts:
                part.substep()
        for part in self.parts:
            part.after_substeps(forces, substeps * self.plan.dt)


def needs_genesis(scene: Scene) -> bool:
    """Whether ``scene`` has rigid bodies, which Genesis moves; all other matter is moved by kernels of our own."""
    return any(body.material.is_rigid for body in scene.bodies)


def _refuse_unknown(scene: Scene) -> None:
    known = frozenset().union(*(part.models for part in PARTS))
    for body in scene.bodies:
        if body.material.model not in known:
            raise SimulationError(
                f"'{body.name}' has a material of the model '{body.material.model}', which is not simulated; "
                f"use one of: {', '.join(sorted(known))}."
            )


def _genesis_scene(gs: Any, scene: Scene, plan: Plan) -> Any:
    dx = plan.box.dx
    return gs.Scene(
        show_viewer=False,
        sim_options=gs.options.SimOptions(dt=plan.dt, substeps=1),
        mpm_options=gs.options.MPMOptions(
            lower_bound=tuple(float(c * dx) for c in plan.box.lower),
            upper_bound=tuple(float(c * dx) for c in plan.box.upper),
            grid_density=1.0 / dx,
            particle_size=scene.spacing,
        ),
    )
