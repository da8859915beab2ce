"""What the viewport shows of forces and of the simulated place, as line segments in world space. No Blender in here.

A shape is [N, 2, 3]: N segments from a point to a point, m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lines = NDArray[np.float64]
Vec = NDArray[np.float64]

CIRCLE_POINTS = 48
HEAD = 0.22
"""Length of an arrow's head, as a share of the arrow."""
SPOKES = 6
"""Arrows of a force that acts from a point: one along each half axis."""


def arrow(tail: Vec, tip: Vec) -> Lines:
    """An arrow with a head of four strokes. tail, tip: [3]."""
    along = tip - tail
    length = float(np.linalg.norm(along))
    if length == 0.0:
        return np.zeros((0, 2, 3))
    side, other = across(along / length)
    back = tip - HEAD * along
    barbs = [back + 0.4 * HEAD * length * s for s in (side, -side, other, -other)]
    return np.array([[tail, tip], *([tip, barb] for barb in barbs)])


def circle(centre: Vec, axis: Vec, radius: float) -> Lines:
    """A circle about a unit ``axis``."""
    side, other = across(axis)
    angles = np.linspace(0, 2 * np.pi, CIRCLE_POINTS + 1)
    points = centre + radius * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * other)
    return np.stack([points[:-1], points[1:]], 1)


def ball(centre: Vec, radius: float) -> Lines:
    """Three great circles."""
    return np.concatenate([circle(centre, axis, radius) for axis in np.eye(3)])


def burst(centre: Vec, size: float, inwards: bool) -> Lines:
    """Arrows away from a point along every half axis, or towards it."""
    ends = [(centre + 0.3 * size * axis, centre + size * axis) for axis in (*np.eye(3), *-np.eye(3))]
    return np.concatenate([arrow(far, near) if inwards else arrow(near, far) for near, far in ends])


def whirl(centre: Vec, axis: Vec, radius: float, backwards: bool) -> Lines:
    """A circle about a unit ``axis`` with three arrow heads that say which way it turns, and the axis itself."""
    side, other = across(axis)
    parts = [circle(centre, axis, radius), np.array([[centre, centre + radius * axis]])]
    for angle in np.linspace(0, 2 * np.pi, 3, endpoint=False):
        out = np.cos(angle) * side + np.sin(angle) * other
        way = np.cross(axis, out) * (-1.0 if backwards else 1.0)
        tip = centre + radius * out
        parts.append(np.array([[tip, tip + radius * 0.2 * (s * out - way)] for s in (1.0, -1.0)]))
    return np.concatenate(parts)


def eddies(centre: Vec, size: float) -> Lines:
    """Three circles side by side: matter is stirred."""
    offsets = 0.7 * size * np.array([(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.2)])
    towards_us = np.array([0.0, 1.0, 0.0])
    return np.concatenate([circle(centre + offset, towards_us, 0.5 * size) for offset in offsets])


def cross(centre: Vec, size: float) -> Lines:
    """Three short lines through a point."""
    return np.array([[centre - size * axis, centre + size * axis] for axis in np.eye(3)])


def box(lower: Vec, upper: Vec) -> Lines:
    """The twelve edges of a box."""
    corners = np.array([[(lower, upper)[i >> a & 1][a] for a in range(3)] for i in range(8)])
    edges = [(i, i | 1 << a) for i in range(8) for a in range(3) if not i >> a & 1]
    return corners[np.array(edges)]


def grid(centre: Vec, half: float, lines: int = 8) -> Lines:
    """A square of crossing lines in the plane z = 0 around ``centre``."""
    steps = np.linspace(-half, half, lines + 1)
    x, y = float(centre[0]), float(centre[1])
    along_y = [[(x + s, y - half, 0.0), (x + s, y + half, 0.0)] for s in steps]
    along_x = [[(x - half, y + s, 0.0), (x + half, y + s, 0.0)] for s in steps]
    return np.array(along_x + along_y)


def across(axis: Vec) -> tuple[Vec, Vec]:
    """Two unit vectors at right angles to a unit ``axis`` and to each other, right-handed with it."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    side = np.cross(helper, axis)
    side /= np.linalg.norm(side)
    return side, np.cross(axis, side)
