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
    """Running differences of every view and frame, and the weights in [0, 1] that follow from them. shows: [V, T], whether objects are
    in sight; a view is not believed where it shows none, and says nothing of the others there."""

    def __init__(self, shows: NDArray[np.bool_]) -> None:
        self.shows = shows
        self.difference = np.zeros(shows.shape)
        self.heard = np.zeros(shows.shape)
        self.frames = np.arange(shows.shape[1])

    def hear(self, view: int, frame: int, difference: float) -> None:
        """Take note of a photometric difference."""
        near = NEWEST * np.exp(-0.5 * ((self.frames - frame) / REACH) ** 2)
        self.difference[view] += near * (difference - self.difference[view])
        self.heard[view] += near * (1 - self.heard[view])

    def weights(self) -> NDArray[np.float32]:
        """[V, T]: 1 where a view differs from the render no more than the others do."""
        trusted = self.shows.astype(np.float32)
        telling = np.flatnonzero(self.shows.sum(0) >= FEWEST_VIEWS)
        if not (self.heard > 0)[self.shows].all():
            return trusted
        # what has not been heard pulls towards nothing
        seen = np.full(self.shows.shape, np.nan)
        np.divide(self.difference, self.heard, out=seen, where=self.shows)
        for view in range(len(seen)):
            here = telling[self.shows[view, telling]]
            usual = TOLERATED * np.nanmedian(np.delete(seen, view, 0)[:, here], 0)
            trusted[view, here] = np.minimum(1.0, (usual / np.maximum(seen[view, here], 1e-12)) ** STEEPNESS)
        return trusted
