"""Whose each Gaussian is: a feature of one logit a class (no object, and each object), drawn through the views like a colour.

Learned from the views' masks by the cross-entropy of the drawn classes, and tied to the neighbours in space so that Gaussians
inside, which no view shows, follow those around them (Ye et al. 2024, "Gaussian Grouping", equations 4 and 5, with the classifier
folded into the feature).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

SURE = 3.0
"""Logit of the class that a Gaussian was seen with at the start."""
NEIGHBOURS = 8
SAMPLES = 1000
"""Gaussians whose neighbours are looked at in a step."""
LEAST = 1e-4
"""Probability below which the cross-entropy no longer rises."""


def first_logits(objects: NDArray[np.int64], count: int) -> Tensor:
    """[N, count + 1] float32: class 0 is no object, class k the object k - 1. objects: [N], -1 for none or not known."""
    logits = torch.zeros(len(objects), count + 1)
    logits[torch.arange(len(objects)), torch.from_numpy(objects) + 1] = SURE
    return logits


def classes(logits: Tensor) -> Tensor:
    """[N, objects] probabilities to draw, one channel an object; no object is what is left."""
    return torch.softmax(logits, -1)[:, 1:]


def cross_entropy(drawn: Tensor, objects: Tensor) -> Tensor:
    """Mean over pixels of -log p of the class seen. drawn: [H, W, objects], ``classes`` composited; objects: [H, W] int64, -1: none."""
    nothing = 1 - drawn.sum(-1, keepdim=True)
    chosen = torch.cat([nothing, drawn], -1).gather(-1, objects[..., None] + 1)
    return -torch.log(chosen.clamp_min(LEAST)).mean()


class Neighbours:
    """The neighbour term: the mean divergence KL(p_i || mean of the neighbours' p)."""

    def __init__(self, means: Tensor) -> None:
        places = means.detach().cpu().numpy()
        _, found = cKDTree(places).query(places, k=min(NEIGHBOURS + 1, len(places)))
        self.found = torch.from_numpy(found).to(means.device)

    def unlikeness(self, logits: Tensor) -> Tensor:
        """Of a random sample of Gaussians with ``logits`` [N, classes]."""
        chosen = torch.randint(len(self.found), (SAMPLES,), device=logits.device)
        own = torch.log_softmax(logits[chosen], -1)
        others = torch.softmax(logits[self.found[chosen]], -1).mean(1)
        return (own.exp() * (own - others.clamp_min(LEAST).log())).sum(-1).mean()
