"""A fit that was not told whose its Gaussians are comes apart into objects and background."""

from __future__ import annotations

import math

import numpy as np
import torch
from drawn_captures import Ball, capture_of
from numpy.typing import NDArray

from perpetua.reconstruct.fit.part import claimed, part
from perpetua.reconstruct.fit.train import Fit
from perpetua.reconstruct.surface.fusion import fuse
from perpetua.scene.gaussians import Gaussians

CENTRE, RADIUS = np.array([0.0, 0.0, 0.05]), 0.05


def splats(places: NDArray[np.float64]) -> Gaussians:
    count = len(places)
    return Gaussians.from_colors(
        torch.from_numpy(places).float(),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        torch.full((count, 3), 0.002),
        torch.full((count,), 0.9),
        torch.full((count, 3), 0.5),
    )


def test_a_thick_shell_is_the_objects_and_leaves_no_ghost() -> None:
    """A fit without depth puts an object's colours up to some voxels before its surface: the masks say that they are its."""
    capture = capture_of({"ball": [Ball(tuple(CENTRE), RADIUS)]}, 14, (160, 120))
    field = fuse(list(capture.views), 0, "ball", 64, 0.0)
    rng = np.random.default_rng(0)
    out = rng.normal(size=(2000, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    shell = CENTRE + (RADIUS + rng.uniform(-2, 3, (2000, 1)) * field.voxel) * out
    shell = shell[shell[:, 2] > 0.01]
    table = np.column_stack([rng.uniform(-0.3, 0.3, (800, 2)), rng.normal(0, 0.0003, 800)])
    table = table[np.hypot(*table[:, :2].T) > 0.04]
    beyond = CENTRE + 2.0 * RADIUS * out[:500]
    beyond = beyond[beyond[:, 2] > 0.01]
    everything = np.concatenate([shell, table, beyond])
    fit = Fit(splats(everything), np.full(len(everything), -1), splats(everything[:0]))

    found = claimed(fit, [field], capture.views)
    whose = np.split(found.objects, np.cumsum([len(shell), len(table)]))
    assert (whose[0] == 0).mean() > 0.9
    assert (whose[1] == -1).all()
    assert (whose[2] == -1).mean() > 0.95
    blind = claimed(fit, [field], [])
    assert (blind.objects[: len(shell)] == 0).mean() < 0.7, "without masks the shell's outside stays behind"
    background, (skin,) = part(found, [field], ["ball"], math.inf)
    ghost = np.linalg.norm(background.means.numpy() - CENTRE, axis=1) < 1.3 * RADIUS
    assert ghost[background.means[:, 2].numpy() > 0.01].sum() < 0.05 * len(shell)
    assert len(skin) > 0.9 * len(shell)
