# mypy: disable-error-code="no-untyped-def, valid-type"
"""The particles of all soft bodies where the compiled passes read and write them.

The layout is that of Genesis' particle solvers, ``particles[0, p, 0]`` with one time level and one environment, so that a kernel that
acts on the one acts on the other.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

ONE_THREAD = 1
"""For loops that sum into shared places, on a CPU: one thread needs no atomic operations, which make such a loop eight times as long,
and adds in the same order every time. A GPU ignores it."""

FIELDS = ("pos", "vel", "F", "C", "Jp")


@qd.data_oriented
class Matter:
    """``count`` particles. pos: m.  vel: m/s.  F: elastic deformation.  C: 1/s, APIC's affine velocity.  Jp: plastic memory."""

    def __init__(self, count: int) -> None:
        vec3, mat3 = qd.types.vector(3, qd.f32), qd.types.matrix(3, 3, qd.f32)
        state = qd.types.struct(pos=vec3, vel=vec3, F=mat3, C=mat3, Jp=qd.f32)
        self.particles = state.field(shape=(1, count, 1), layout=qd.Layout.SOA)
        self.particles_ng = qd.types.struct(active=qd.u1).field(shape=(1, count, 1), layout=qd.Layout.SOA)
        self._n_particles = self.count = count
        self.particles_ng.active.fill(1)

    def write(self, **arrays: NDArray) -> None:
        """Arrays [count, ...] by the names of ``FIELDS``."""
        for name, values in arrays.items():
            target = getattr(self.particles, name)
            target.from_numpy(np.ascontiguousarray(values, np.float32)[None, :, None])

    def read(self, name: str) -> NDArray[np.float32]:
        """[count, ...] one of ``FIELDS``."""
        values: NDArray[np.float32] = getattr(self.particles, name).to_numpy()[0, :, 0]
        return values
