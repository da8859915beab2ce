"""The smooth warp that one video has and the others have not: estimated where nothing moves, and taken out.

A refined video is a few pixels off here and there, differently from every camera. The backdrop shows by how much: it stands
still, so whatever moves there is the video's own. The offsets d(x, t) of a coarse grid that make V(x + d) look like the backdrop
B are found by Gauss-Newton with the backdrop's gradients (inverse compositional: Baker and Matthews 2004) in every bare pixel
of every frame at once, pulled towards zero and towards steadiness, and reach over the objects by the grid's smoothness alone.
Motion of the objects themselves is never looked at, so no warp can stand for it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor
from torch.nn import functional

ROWS, COLUMNS = 4, 5
"""Of the grid."""
FRAMES_APART = 6.0
"""Between the warp's knots in time."""
BLURS = (2.0, 1.0, 1.0)
"""pixels at a width of 160; one Gauss-Newton step each."""
USUAL = 1.5
"""pixels at that width; standard deviation of a warp's offsets."""
STEADY = 1.0
"""The same, of how much an offset changes from knot to knot."""
NOISE = 0.05
"""Of a colour, neighbouring pixels' together; what differs by more counts ever less."""
PIXELS = 4000
"""That are compared in a frame, at most about."""


def warp_of(video: Tensor, backdrop: Tensor, bare: NDArray[np.bool_]) -> Tensor | None:
    """[T, H, W, 2] pixels (right, down): where in ``video`` [T, H, W, 3] the places of ``backdrop`` [H, W, 3] are.

    bare: [T, H, W], where no object is. None where the backdrop shows nothing to hold on to.
    """
    frames, height, width, _ = video.shape
    unit = width / 160
    every = max(1, int(np.sqrt(height * width / PIXELS)))
    space = _hats(height, ROWS)[::every, None, :, None] * _hats(width, COLUMNS)[None, ::every, None, :]
    space = space.reshape(-1, ROWS * COLUMNS)
    time = _hats(frames, max(2, round((frames - 1) / FRAMES_APART) + 1))
    knots, size = time.shape[1], 2 * space.shape[1]
    prior = np.kron(_steadiness(knots) / (STEADY * unit) ** 2, np.eye(size))
    prior += np.eye(knots * size) / (USUAL * unit) ** 2
    offsets = np.zeros(knots * size)
    frame_numbers = range(frames)
    for blur in BLURS:
        sigma = (blur * unit, blur * unit, 0)
        still = gaussian_filter(backdrop.numpy().astype(np.float64), sigma)
        down, right = (g[::every, ::every] for g in np.gradient(still, axis=(0, 1)))
        still = still[::every, ::every]
        slopes = np.stack([right, down]).reshape(2, -1, 3)
        matrix, vector = prior.copy(), -prior @ offsets
        for frame in frame_numbers:
            d = (time[frame] @ offsets.reshape(knots, size)).reshape(2, -1)
            seen = _sampled(
                gaussian_filter(video[frame].numpy().astype(np.float64), sigma),
                space @ d[0],
                space @ d[1],
                every,
            )
            off = seen - still.reshape(-1, 3)
            weight = bare[frame, ::every, ::every].ravel() / (1 + (off**2).mean(1) / NOISE**2) ** 2 / NOISE**2
            H = np.block(
                [[space.T @ ((weight * (a * b).sum(1))[:, None] * space) for b in slopes] for a in slopes]
            )
            g = np.concatenate([space.T @ (weight * (a * off).sum(1)) for a in slopes])
            near = time[frame]
            matrix += np.kron(np.outer(near, near), H)
            vector -= np.kron(near, g)
        offsets = offsets + np.linalg.solve(matrix, vector)
    if not np.isfinite(offsets).all():
        return None
    grid = torch.from_numpy((time @ offsets.reshape(knots, size)).reshape(frames, 2, ROWS, COLUMNS)).float()
    return functional.interpolate(grid, (height, width), mode="bilinear", align_corners=True).permute(
        0, 2, 3, 1
    )


def unwarped(images: Tensor, warp: Tensor) -> Tensor:
    """[T, H, W, C]: ``images`` [T, H, W, C] at the places that ``warp`` [T, H, W, 2] pixels leads to."""
    _, height, width, _ = images.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([x, y], -1) + warp
    scaled = 2 * at / torch.tensor([width - 1, height - 1]) - 1
    sampled = functional.grid_sample(
        images.permute(0, 3, 1, 2), scaled, mode="bicubic", padding_mode="border", align_corners=True
    )
    return sampled.permute(0, 2, 3, 1).clamp(0, 1)


def _hats(count: int, nodes: int) -> NDArray[np.float64]:
    """[count, nodes]: weights of linear interpolation between evenly spread nodes."""
    place = np.linspace(0, nodes - 1, count)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(nodes)))


def _steadiness(knots: int) -> NDArray[np.float64]:
    """[knots, knots]: squared first differences."""
    D = np.diff(np.eye(knots), axis=0)
    return D.T @ D


def _sampled(image: NDArray, right: NDArray, down: NDArray, every: int) -> NDArray[np.float64]:
    """[n, 3]: ``image`` [H, W, 3] at every so many pixels, shifted by ``right`` and ``down`` [n] pixels."""
    y, x = (a.ravel() for a in np.mgrid[: image.shape[0] : every, : image.shape[1] : every])
    at = [y + down, x + right]
    return np.stack([map_coordinates(c, at, order=1, mode="nearest") for c in image.transpose(2, 0, 1)], -1)
