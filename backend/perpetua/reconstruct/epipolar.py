"""How far what two pictures show alike lies from where the motion between their cameras lets it lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sampson_distance(a: Array, b: Array, relative: Array) -> Array:
    """[N] in focal lengths, to first order, of matches from their epipolar lines (Hartley and Zisserman 2004, equation 11.9).

    a, b: [N, 3] directions (x, y, 1) in the first and the second camera.  relative: [4, 4], from the first camera's axes to the second's.
    """
    x, y, z = relative[:3, 3]
    E = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative[:3, :3]
    ahead, back = a @ E.T, b @ E
    slope = np.sqrt((ahead[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1))
    return np.asarray(np.abs((b * ahead).sum(1)) / np.maximum(slope, 1e-12))
