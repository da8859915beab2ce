"""Splats of simple solids on a table, made from exact depth, and written as other programs write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.cache.export_ply import PROPERTIES, write_ply
from perpetua.reconstruct.capture.capture import Capture
from perpetua.reconstruct.fit.start import start
from perpetua.scene.gaussians import SH_C0, Gaussians
from perpetua.scene.rotations import quaternion_from_matrix

Array = NDArray[np.float64]


def splats_of(capture: Capture, count: int = 9000) -> Gaussians:
    """Splats on all that the views of ``capture`` see but the sky; those on the table lie flat."""
    begun = start(capture, count, 0)
    near = np.linalg.norm(begun.means, axis=1) < 1.0
    means, sizes = begun.means[near], np.repeat(0.7 * begun.sizes[near, None], 3, 1)
    sizes[means[:, 2] < 1e-4, 2] *= 0.05
    return Gaussians.from_colors(
        torch.from_numpy(means).float(),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1),
        torch.from_numpy(sizes).float(),
        torch.full((len(means),), 0.97),
        torch.from_numpy(begun.colors[near]).float(),
    )


def moved(splats: Gaussians, turn: Array, shift: Array, scale: float) -> Gaussians:
    """Where a point x lies at scale * turn @ x + shift."""
    rotation = torch.from_numpy(turn).float()
    means = scale * splats.means @ rotation.T + torch.from_numpy(shift).float()
    quats = quaternion_from_matrix(rotation).expand(len(splats), 4).clone()
    return replace(splats, means=means, quats=quats, log_scales=splats.log_scales + float(np.log(scale)))


def rows_of(splats: Gaussians) -> NDArray[np.float32]:
    """[N, 17] as the PLY file has them."""
    rows = np.zeros((len(splats), len(PROPERTIES)), np.float32)
    rows[:, 0:3], rows[:, 6:9], rows[:, 9] = splats.means, splats.sh[:, 0], splats.opacity_logits
    rows[:, 10:13], rows[:, 13:17] = splats.log_scales, splats.quats
    return rows


def write(path: Path, splats: Gaussians) -> Path:
    """As PLY by the project's own export, or as ``.splat``."""
    if path.suffix == ".ply":
        write_ply(path, rows_of(splats))
        return path
    kind = np.dtype([("m", "<f4", 3), ("s", "<f4", 3), ("c", "u1", 4), ("q", "u1", 4)])
    records = np.zeros(len(splats), kind)
    records["m"], records["s"] = splats.means, splats.scales
    colours = torch.cat([0.5 + SH_C0 * splats.sh[:, 0], splats.opacities[:, None]], 1).numpy()
    records["c"] = np.clip(np.rint(colours * 255), 0, 255)
    unit = (splats.quats / splats.quats.norm(dim=1, keepdim=True)).numpy()
    records["q"] = np.clip(np.rint(unit * 128 + 128), 0, 255)
    records.tofile(path)
    return path
