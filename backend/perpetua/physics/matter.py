# mypy: disable-error-code="no-untyped-def, valid-type"
"""The particles of all soft bodies where the compiled passes read and write them."""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.shared_kernels import Shared, floats, integers, matrices, shared_kernels, vectors

ONE_THREAD = 1
"""For loops that sum into shared places, on a CPU: one thread needs no atomic operations, which make such a loop eight times as long,
and adds in the same order every time. A GPU ignores it."""

NEVER = -1

FIELDS = ("pos", "vel", "F", "C", "Jp")


@shared_kernels
class Matter(Shared):
    """``count`` particles. pos: m.  vel: m/s.  F: elastic deformation.  C: 1/s, APIC's affine velocity.  Jp: plastic memory.
    active: 1, or 0 for what is not there.  birth: the substep of the control step in which it leaves its emitter, or NEVER."""

    def __init__(self, count: int) -> None:
        self.pos, self.vel = vectors(3, count), vectors(3, count)
        self.F, self.C = matrices(3, count), matrices(3, count)
        self.Jp = floats(count)
        self.active = integers(count)
        self.active.fill(1)
        self.birth = integers(count)
        self.birth.fill(NEVER)

    def write(self, **arrays: NDArray) -> None:
        """Arrays [count, ...] by the names of ``FIELDS``."""
        for name, values in arrays.items():
            getattr(self, name).from_numpy(np.ascontiguousarray(values, np.float32))

    def set_present(self, present: NDArray) -> None:
        """present: [count] bool; the others take no part in anything."""
        self.active.from_numpy(np.asarray(present, np.int32))

    def present(self) -> NDArray[np.bool_]:
        """[count]"""
        return np.asarray(self.active.to_numpy() == 1)

    def expect(self, rows: NDArray, substeps: NDArray, **arrays: NDArray) -> None:
        """The particles ``rows`` [n] become active before their ``substeps`` [n], with ``arrays`` [n, ...] by the names of ``FIELDS``."""
        birth = np.full(self.birth.shape, NEVER, np.int32)
        birth[rows] = substeps
        self.birth.from_numpy(birth)
        for name, values in arrays.items():
            whole = self.read(name)
            whole[rows] = values
            self.write(**{name: whole})

    @qd.kernel
    def let_out(self, substep: qd.i32):
        """Make active what is expected in this substep."""
        for p in range(self.birth.shape[0]):
            if self.birth[p] == substep:
                self.active[p] = 1

    def read(self, name: str) -> NDArray[np.float32]:
        """[count, ...] one of ``FIELDS``."""
        values: NDArray[np.float32] = getattr(self, name).to_numpy()
        return values
