"""Where on their particles splats sit: bounded offsets that the videos may shift, while their mean stays with the matter.

A splat sits at  p + F delta tanh(o)  (PerpetualWonder's particles with K sub-Gaussians). What o learns is looks: a bump or an edge that
the picture's reconstruction had a little off. What all splats of a particle have in common is motion, and belongs to the particle;
so the mean of each particle's splats is held where it was,

    L_sim = mean over particles of |mean over its splats of the change of delta tanh(o)|^2,

which is the paper's term, but for where a particle's own splats are all on one side of it, as on a surface.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from perpetua.scene.binding import Binding

SIM_WEIGHT = 1.0
"""Price of a mean squared change of one spacing of where the mean of a particle's splats is."""
OFFSET_WEIGHT = 0.02
"""The same of each splat by itself, so that what no view sees stays."""


class SplatOffsets:
    """The offsets of the splats that hang on particles, as parameters: at first those of ``start``, while L_sim holds means where ``scene``
    has them.

    raw: [carried, 3], before tanh.  reach: m, what tanh is multiplied by.
    """

    def __init__(self, start: Binding, scene: Binding, spacing: float) -> None:
        count = start.carried
        self._start, self.spacing, self.reach = start, spacing, start.delta
        self.raw = start.offsets[:count].clone()
        self.at_first = scene.displacements()[:count].to(self.raw.device)
        _, self.owner, splats = torch.unique(start.particle[:count], return_inverse=True, return_counts=True)
        self.splats = splats[:, None].to(self.raw.dtype)

    @property
    def binding(self) -> Binding:
        """Of all splats, those on the ground as they were."""
        return replace(self._start, offsets=torch.cat([self.raw, self._start.offsets[len(self.raw) :]]))

    def price(self) -> Tensor:
        """L_sim and what holds single splats, a scalar."""
        change = (torch.tanh(self.raw) * self.reach - self.at_first) / self.spacing
        mean = torch.zeros_like(self.splats.expand(-1, 3)).index_add(0, self.owner, change) / self.splats
        return SIM_WEIGHT * mean.square().sum(1).mean() + OFFSET_WEIGHT * change.square().sum(1).mean()
