"""The teacher: a refiner that shows what the scene would do with other materials.

It plays the same actions in a second simulation whose materials differ, and its videos are renders of that. The loop sees
only the videos, as from a video model, but here the true motion behind them is known, so what the loop recovers of it
can be measured.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace

import msgspec
import numpy as np

from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import Memory, Refiner, RenderedVideo, RoundContext, Video, options_error
from perpetua.refine.check import checked
from perpetua.scene.materials import Material
from perpetua.scene.particles import Particles, RigidPose, State
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

FACTORS = {
    "youngs_modulus_factor": "youngs_modulus",
    "density_factor": "density",
    "friction_factor": "friction",
    "yield_stress_factor": "yield_stress",
    "viscosity_factor": "viscosity",
}
"""Option -> the material's value it multiplies."""
GRID = "grid_refinement"
STATE, TRAJECTORY = "teacher.state.", "teacher.trajectory."


class TeacherRefiner(Refiner):
    """Options, all 1 unless given and all above zero: ``youngs_modulus_factor``, ``density_factor``, ``friction_factor``,
    ``yield_stress_factor`` and ``viscosity_factor`` multiply that value of every object's material;
    ``grid_refinement`` is the teacher's grid cells per default grid cell along one axis."""

    def __init__(self, **options: object) -> None:
        problem = options_error("teacher", options, (*FACTORS, GRID))
        if problem:
            raise RefinerError(problem)
        self.options: dict[str, float] = {}
        for name, value in options.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
                raise RefinerError(
                    f"Refiner 'teacher': {name} is {value!r}; it must be a number above zero, where 1 changes nothing."
                )
            self.options[name] = float(value)  # type: ignore[arg-type]

    def world(self, scene: Scene) -> Scene:
        """``scene`` with the teacher's materials."""
        return replace(scene, bodies=[replace(b, material=self._material(b.material)) for b in scene.bodies])

    def _material(self, material: Material) -> Material:
        changes = {
            value: getattr(material, value) * self.options.get(option, 1.0)
            for option, value in FACTORS.items()
        }
        return msgspec.structs.replace(material, **changes)

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Simulate the round in the teacher's world, from where its own last round ended (from the scene's start in the first)."""
        start = unpack_state(memory) if f"{STATE}positions" in memory else context.start
        trajectory, end = context.simulate(
            self.world(context.scene), start, self.options.get(GRID, 1.0), progress
        )
        return {**pack_state(end), **pack_trajectory(trajectory)}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The teacher's motion from the video's camera."""
        shown = context.render(unpack_trajectory(memory), video.camera).rgb
        return checked(shown, video, "teacher")


def pack_state(state: State) -> Memory:
    """A state as named arrays."""
    arrays = {f"{STATE}{f.name}": getattr(state.particles, f.name) for f in fields(Particles)}
    arrays |= {f"{STATE}total_F": state.total_F, f"{STATE}time": np.array(state.time)}
    for name, array in state.memory.items():
        arrays[f"{STATE}memory_{name}"] = array
    for body, pose in state.rigid.items():
        arrays[f"{STATE}rigid_{body}"] = np.concatenate([getattr(pose, f.name) for f in fields(RigidPose)])
    return arrays


def unpack_state(memory: Memory) -> State:
    """What ``pack_state`` packed."""
    rigid = f"{STATE}rigid_"
    return State(
        Particles(**{f.name: memory[f"{STATE}{f.name}"] for f in fields(Particles)}),
        memory[f"{STATE}total_F"],
        {
            int(name.removeprefix(rigid)): RigidPose(*np.split(array, [3, 7, 10]))
            for name, array in memory.items()
            if name.startswith(rigid)
        },
        float(memory[f"{STATE}time"]),
        {
            name.removeprefix(f"{STATE}memory_"): array
            for name, array in memory.items()
            if name.startswith(f"{STATE}memory_")
        },
    )


def pack_trajectory(trajectory: Trajectory) -> Memory:
    """A trajectory as named arrays."""
    return {f"{TRAJECTORY}{f.name}": getattr(trajectory, f.name) for f in fields(Trajectory)}


def unpack_trajectory(memory: Memory) -> Trajectory:
    """What ``pack_trajectory`` packed."""
    return Trajectory(*(memory[f"{TRAJECTORY}{f.name}"] for f in fields(Trajectory)))
