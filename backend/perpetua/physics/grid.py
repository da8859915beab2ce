"""The box of grid cells that a simulation computes in: tight around the scene, and grown when matter needs room.

Genesis loops over every cell each substep and cannot move its grid, so the box is as small as the motion allows and is
exchanged for a larger one when particles come close to its faces. Boxes are multiples of a cell and nodes stay where they
are when a box grows, so growing changes no bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua_protocol.take import Vec3

PADDING_CELLS = 3
"""Genesis keeps particles this many cells inside its bounds."""

MARGIN_CELLS = 6
"""Particles closer than this to a face get a larger box: the padding, the kernel's reach, and one to spare."""

BYTES_A_NODE = 184
"""Of each soft body's grid: its momentum and mass, and what it remembers of a substep's contacts."""

MOST_BYTES = 1_500_000_000
"""Largest grid; 200 nodes along each axis for a single soft body."""

ROUNDING_CELLS = 8
"""Faces move by this many cells, so that similar scenes share compiled kernels."""

FARTHEST_M = 200.0
"""Farther from the origin single precision moves things in steps of ten micrometres."""


@dataclass(frozen=True)
class Box:
    """Cells from ``lower`` to ``upper`` [3] of size ``dx`` m, counted from the world's origin: a node stands at i * dx."""

    lower: tuple[int, int, int]
    upper: tuple[int, int, int]
    dx: float

    @property
    def corners(self) -> tuple[Vec3, Vec3]:
        """Lower and upper corner, m."""
        (a, b, c), (d, e, f) = self.lower, self.upper
        h = self.dx
        return (a * h, b * h, c * h), (d * h, e * h, f * h)

    @property
    def size(self) -> Vec3:
        """Its extent along each axis, m."""
        low, high = self.corners
        return high[0] - low[0], high[1] - low[1], high[2] - low[2]

    def bytes(self, fields: int) -> int:
        """Memory of its grid with a velocity field for each of ``fields`` soft bodies."""
        return int(np.prod(np.subtract(self.upper, self.lower) + 1, dtype=np.int64)) * fields * BYTES_A_NODE

    def contains(self, low: NDArray, high: NDArray) -> bool:
        """Whether matter between the corners ``low`` and ``high`` [3] m stayed off the faces, where Genesis stops it."""
        margin = (PADDING_CELLS + 0.5) * self.dx
        return bool(
            (low > np.multiply(self.lower, self.dx) + margin).all()
            and (high < np.multiply(self.upper, self.dx) - margin).all()
        )

    def holds(self, low: NDArray, high: NDArray, travel: float = 0.0) -> bool:
        """Whether matter between the corners ``low`` and ``high`` [3] m, moving up to ``travel`` m, has room."""
        margin = MARGIN_CELLS * self.dx
        return bool(
            (lowest(low, travel) - margin >= np.multiply(self.lower, self.dx)).all()
            and (high + travel + margin <= np.multiply(self.upper, self.dx)).all()
        )


def lowest(low: NDArray, travel: float) -> NDArray[np.float64]:
    """[3] m: how far matter whose lower corner is ``low`` [3] m gets within ``travel`` m; what stands above the plane z = 0 stays there."""
    out = np.asarray(low, np.float64) - travel
    out[2] = max(out[2], min(float(low[2]), 0.0))
    return out


def box_around(low: NDArray, high: NDArray, dx: float, room: float) -> Box:
    """Box of cells ``dx`` m around matter between the corners ``low`` and ``high`` [3] m, with ``room`` m to each side
    and above. Below the support plane z = 0 nothing moves, so no room is spent there."""
    margin = MARGIN_CELLS * dx + room
    lower = np.asarray(low, np.float64) - margin
    lower[2] = min(-(MARGIN_CELLS + 2) * dx, low[2] - MARGIN_CELLS * dx)
    upper = np.asarray(high, np.float64) + margin
    lo = np.floor(lower / dx / ROUNDING_CELLS) * ROUNDING_CELLS
    hi = np.ceil(upper / dx / ROUNDING_CELLS) * ROUNDING_CELLS
    return Box(_ints(lo), _ints(hi), dx)


def check_size(box: Box, fields: int, who: str, frame: int) -> None:
    """Raises ``SimulationError`` naming ``who`` if a grid in ``box`` for ``fields`` soft bodies would take more than ``MOST_BYTES``."""
    need = box.bytes(fields)
    if need > MOST_BYTES:
        nodes = " x ".join(f"{n + 1}" for n in np.subtract(box.upper, box.lower))
        extent = " x ".join(f"{side:.2g}" for side in box.size)
        raise SimulationError(
            f"At frame {frame} '{who}' needs a grid of {extent} m, {nodes} nodes {1000 * box.dx:.3g} mm apart for {fields} soft "
            f"{'body' if fields == 1 else 'bodies'}: {need / 1e9:,.1f} GB of memory, and at most {MOST_BYTES / 1e9:.1f} GB are allowed. Use "
            "a larger particle spacing, bring the objects closer together, or lower the force that drives them apart."
        )


def grown(box: Box, low: NDArray, high: NDArray, travel: float, who: str, frame: int, fields: int = 1) -> Box:
    """A box for matter of ``fields`` bodies between ``low`` and ``high`` [3] m that moves up to ``travel`` m, in exchange for ``box``.

    Each face that is too close moves out by the box's extent at least. Where that takes too much memory the box leaves behind what the matter
    has left. Raises ``SimulationError`` naming ``who`` where no box can hold it all, or it is too far away.
    """
    dx = box.dx
    margin = MARGIN_CELLS * dx
    reach = lowest(low, travel) - margin
    old_lower, old_upper = np.asarray(box.lower), np.asarray(box.upper)
    step = old_upper - old_lower
    lower = np.where(reach < old_lower * dx, np.minimum(reach / dx, old_lower - step), old_lower)
    upper = np.where(
        high + travel + margin > old_upper * dx,
        np.maximum((high + travel + margin) / dx, old_upper + step),
        old_upper,
    )
    lo = np.floor(lower / ROUNDING_CELLS) * ROUNDING_CELLS
    hi = np.ceil(upper / ROUNDING_CELLS) * ROUNDING_CELLS
    if not np.isfinite(lo).all() or not np.isfinite(hi).all() or _far(low, high) > FARTHEST_M:
        raise SimulationError(_too_far(who, frame, _far(low, high)))
    larger = Box(_ints(lo), _ints(hi), dx)
    if larger.bytes(fields) > MOST_BYTES:
        larger = box_around(low, high, dx, travel + ROUNDING_CELLS * dx)
        check_size(larger, fields, who, frame)
    return larger


def check_near(positions: NDArray, body: NDArray, names: list[str], frame: int) -> None:
    """Raises ``SimulationError`` naming the body of a particle beyond ``FARTHEST_M`` (what is on no grid has no box)."""
    if max(positions.max(), -positions.min()) > FARTHEST_M:
        away = np.abs(positions).max(1)
        raise SimulationError(_too_far(names[int(body[away.argmax()])], frame, float(away.max())))


def _too_far(who: str, frame: int, away: float) -> str:
    return (
        f"'{who}' leaves the space that can be simulated at frame {frame} (it reaches {away:.2g} m from the origin, and {FARTHEST_M:g} m are "
        "the limit); lower the force that throws it, or end it earlier."
    )


def _far(low: NDArray, high: NDArray) -> float:
    return float(max(np.abs(low).max(), np.abs(high).max()))


def _ints(corner: NDArray) -> tuple[int, int, int]:
    x, y, z = (int(v) for v in corner)
    return x, y, z
