"""Particles and everything else a simulation needs to continue as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Memory = dict[str, NDArray]
"""Arrays by name that one kind of matter keeps besides its particles, such as the air that carries smoke."""


@dataclass(frozen=True)
class Particles:
    """P particles of all objects, ordered by object. Float32 unless said otherwise.

    positions: [P, 3], m.  velocities: [P, 3], m/s.  F: [P, 3, 3], the engine's *elastic* deformation gradient.
    C: [P, 3, 3], 1/s, APIC affine velocity.  plastic: [P], the engine's plastic memory (Jp of snow and sand; 1 where
    unused).  body: [P] int32, index of the object in ``Scene.bodies``.
    """

    positions: Array
    velocities: Array
    F: Array
    C: Array
    plastic: Array
    body: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.positions)

    @staticmethod
    def at_rest(positions: Array, body: NDArray[np.int32]) -> Particles:
        """Particles without motion or deformation."""
        count = len(positions)
        eye = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3)).copy()
        zeros = np.zeros((count, 3), np.float32)
        return Particles(
            positions.astype(np.float32), zeros, eye, np.zeros_like(eye), np.ones(count, np.float32), body
        )

    def followed_by(self, more: Particles) -> Particles:
        """These particles and ``more`` after them."""
        return Particles(
            *(np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self))
        )


def present(total_F: NDArray) -> NDArray[np.bool_]:
    """[..., P] of whole deformations [..., P, 3, 3]: which particles are in the world. One that has not left its emitter yet, or has
    faded away, has no size: its whole deformation is zero."""
    return np.asarray(np.any(total_F, (-1, -2)))


@dataclass(frozen=True)
class RigidPose:
    """A rigid body's motion. position: [3] m and quaternion: [4] wxyz map the body's rest shape to now (rest: 0 and
    1, 0, 0, 0; the turn is about the rest centre of mass); velocity: [3] m/s of that centre; angular_velocity: [3] rad/s, world axes."""

    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    velocity: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]

    @staticmethod
    def at_rest() -> RigidPose:
        return RigidPose(np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))


@dataclass(frozen=True)
class State:
    """All a restart needs. ``total_F`` [P, 3, 3] is the whole deformation since the picture (elastic, plastic and
    rotation), which carries the splats, and zero where a particle is not there (``present``); the engine's own elastic F is in
    ``particles``."""

    particles: Particles
    total_F: Array
    rigid: dict[int, RigidPose] = field(default_factory=dict)
    """Pose of every rigid body, by its index."""
    time: float = 0.0
    """Seconds since the picture."""
    memory: Memory = field(default_factory=dict)
    """What else the engine's parts need to go on; nobody but the part that wrote an array knows what it means."""

    def save(self, path: Path) -> None:
        """Write as one ``.npz`` file (uncompressed)."""
        arrays = {f.name: getattr(self.particles, f.name) for f in fields(Particles)}
        for body, pose in self.rigid.items():
            arrays[f"rigid_{body}"] = np.concatenate(
                [pose.position, pose.quaternion, pose.velocity, pose.angular_velocity]
            )
        for name, array in self.memory.items():
            arrays[f"memory_{name}"] = array
        np.savez(path, total_F=self.total_F, time=np.float64(self.time), **arrays)

    @staticmethod
    def load(path: Path) -> State:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as data:
            particles = Particles(**{f.name: data[f.name] for f in fields(Particles)})
            rigid = {
                int(name.removeprefix("rigid_")): RigidPose(*np.split(data[name], [3, 7, 10]))
                for name in data.files
                if name.startswith("rigid_")
            }
            memory = {
                name.removeprefix("memory_"): data[name] for name in data.files if name.startswith("memory_")
            }
            return State(particles, data["total_F"], rigid, float(data["time"]), memory)

    def with_particles(self, **changes: NDArray) -> State:
        """A copy with some of the particles' arrays exchanged."""
        return replace(self, particles=replace(self.particles, **changes))
