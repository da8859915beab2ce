"""Puffs of gas that an emitter lets out live for a while and fade away; so the same ones are let out again and again.

They take turns: there are as many as are let out within the longest life of one, and so each has faded when its turn comes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.scene.materials import Material
from perpetua.scene.scene import Scene

LIFETIMES = 0.6
"""Puffs live between 1 - LIFETIMES / 2 and 1 + LIFETIMES / 2 of their material's lifetime, or they would all end at once."""


def longest_life(material: Material, fps: float) -> float:
    """Frames after which a puff of ``material`` has been gone for one at least."""
    return (1.0 + LIFETIMES / 2) * material.lifetime * fps + 1.0


def taking_turns(frames: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """[p]: when each of the p puffs is let out last that suffice for releases at ``frames`` [n], in their order, if none is let out again
    within ``longest`` frames. The i-th release is puff i mod p."""
    count = len(frames)
    puffs = int((np.arange(count) - np.searchsorted(frames, frames - longest) + 1).max(initial=0))
    first = np.arange(puffs)
    return frames[first + puffs * ((count - 1 - first) // max(puffs, 1))]


def turn_of(puffs: int, count: int) -> NDArray[np.int64]:
    """[count]: which of ``puffs`` puffs, in the order in which they are let out last, each of a round's releases is."""
    return (np.arange(count) - count) % puffs


def faded_puffs(scene: Scene, owner: NDArray[np.int32], start_frame: float, fps: float) -> NDArray[np.int64]:
    """[n]: for each particle that comes, of body ``owner`` [n], the puff of that body that has faded away and can come again; -1 where
    there is none."""
    again = np.full(len(owner), -1, np.int64)
    for index in np.unique(owner):
        if index < len(scene.bodies) and scene.bodies[index].material.model == "gas":
            assert scene.released is not None
            gone = scene.released + longest_life(scene.bodies[index].material, fps) < start_frame
            free = np.flatnonzero((scene.particles.body == index) & gone)
            mine = np.flatnonzero(owner == index)[: len(free)]
            again[mine] = free[: len(mine)]
    return again
