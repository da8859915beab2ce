"""How far each view is to be believed, frame by frame: as far as it agrees with the others.

All views show one motion, so where the render comes near most of the videos but not near one, that one is wrong. It takes three
views to tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 4.0
"""Frames; how far around a compared frame its difference speaks for the view."""
NEWEST = 0.3
"""Weight of the newest difference in the running mean."""
TOLERATED = 1.3
"""Views whose difference is so many times the others' median are still fully believed."""
STEEPNESS = 4
"""Power of what is beyond that; a view with twice the tolerated difference counts a sixteenth."""
FEWEST_VIEWS = 3


class Trust:
    """Running differences of every view and frame, and the weights in (0, 1] that follow from them."""

    def __init__(self, views: int, frames: int) -> None:
        self.difference = np.zeros((views, frames))
        self.heard = np.zeros((views, frames))
        self.frames = np.arange(frames)

    def hear(self, view: int, frame: int, difference: float) -> None:
        """Take note of a photometric difference."""
        near = NEWEST * np.exp(-0.5 * ((self.frames - frame) / REACH) ** 2)
        self.difference[view] += near * (difference - self.difference[view])
        self.heard[view] += near * (1 - self.heard[view])

    def weights(self) -> NDArray[np.float32]:
        """[V, T]: 1 where a view differs from the render no more than the others do."""
        views, _ = self.difference.shape
        trusted = np.ones(self.difference.shape, np.float32)
        if views < FEWEST_VIEWS or not (self.heard > 0).all():
            return trusted
        seen = self.difference / self.heard  # what has not been heard pulls towards nothing
        for view in range(views):
            usual = TOLERATED * np.median(np.delete(seen, view, 0), 0)
            trusted[view] = np.minimum(1.0, (usual / np.maximum(seen[view], 1e-12)) ** STEEPNESS)
        return trusted
