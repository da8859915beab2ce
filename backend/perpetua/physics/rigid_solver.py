"""Genesis' solver of rigid bodies, without the scene around it: the scene's own step keeps clocks, recorders and sensors that a world has no
use for, which takes a fifth of a substep of one body.

Import after ``runtime.fresh``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import genesis as gs  # noqa: TID253
from genesis.utils.misc import qd_to_torch  # noqa: TID253


class RigidSolver:
    """The rigid solver of ``genesis``, a Genesis scene that has been built."""

    def __init__(self, genesis: Any) -> None:
        self._solver = genesis.sim.rigid_solver
        self._state = self._solver.get_state()
        self.links = self._solver.dyn_state.links
        self._pushes = [_view(self.links.cfrc_applied_vel), _view(self.links.cfrc_applied_ang)]
        self._coupling = [_view(self.links.cfrc_coupling_vel), _view(self.links.cfrc_coupling_ang)]

    def load(self, write: Callable[[Any], None]) -> None:
        """Start from what ``write`` puts into a Genesis ``RigidSolverState``; nothing of what was before is carried on."""
        write(self._state)
        self._solver.set_state(0, self._state)
        for force in (*self._pushes, *self._coupling):
            force.zero_()

    def substep(self) -> None:
        """Move the bodies by a substep under what pushes them, which then lets go."""
        self._solver.substep(0)
        for force in self._pushes:
            force.zero_()

    def trouble(self) -> str | None:
        """What Genesis says went wrong since the state was loaded, or None."""
        try:
            self._solver.check_errno()
        except gs.GenesisException as error:
            return str(error)
        return None


def _view(field: Any) -> Any:
    """A tensor that shares the memory of a Quadrants ``field``."""
    return qd_to_torch(field, copy=False)
