"""The smooth warp that one video has and the others have not: estimated where nothing moves, and taken out.

A refined video is a few pixels off here and there, differently from every camera. The backdrop shows by how much: it stands
still, so whatever moves there is the video's own. The offsets d(x, t) of a coarse grid that make V(x + d) look like the backdrop
B are found by Gauss-Newton with the backdrop's gradients (inverse compositional: Baker and Matthews 2004) in every bare pixel
of every frame at once, pulled towards zero and towards steadiness, and reach over the objects by the grid's smoothness alone.
Motion of the objects themselves is never looked at, so no warp can stand for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
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
    here = (slice(None, None, every), slice(None, None, every))
    space = _products(hats(height, ROWS)[::every], hats(width, COLUMNS)[::every])
    time = hats(frames, max(2, round((frames - 1) / FRAMES_APART) + 1))
    knots, size = time.shape[1], 2 * ROWS * COLUMNS
    prior = np.kron(steadiness(knots) / (STEADY * unit) ** 2, np.eye(size))
    prior += np.eye(knots * size) / (USUAL * unit) ** 2
    offsets = np.zeros(knots * size)
    shown, still = video.cpu().numpy(), backdrop.cpu().numpy()
    bare = bare[:, *here].reshape(frames, -1)
    down, right = np.mgrid[:height, :width][:, *here].reshape(2, 1, -1)
    for blur in BLURS:
        known = _blurred(still, blur * unit)
        slopes = np.stack([np.gradient(known, axis=axis)[here].reshape(-1, 3) for axis in (1, 0)])
        known = known[here].reshape(-1, 3)
        moments = np.zeros((frames, 5, len(known)))
        for frame, image in enumerate(shown):
            d = (time[frame] @ offsets.reshape(knots, size)).reshape(2, -1)
            seen = _sampled(
                _blurred(image, blur * unit), right + space.single @ d[0], down + space.single @ d[1]
            )
            off = seen - known
            weight = bare[frame] / (1 + (off**2).mean(1) / NOISE**2) ** 2 / NOISE**2
            x, y = slopes
            terms = [x * x, x * y, y * y, x * off, y * off]
            moments[frame] = weight * np.stack([term.sum(-1) for term in terms])
        matrix, vector = prior.copy(), -prior @ offsets
        quadratic, linear = space.hessians(moments[:, :3]), _summed(moments[:, 3:], space.single)
        for near, H, g in zip(time, quadratic, linear, strict=True):
            matrix += np.kron(np.outer(near, near), H)
            vector -= np.kron(near, g.ravel())
        offsets = offsets + np.linalg.solve(matrix, vector)
    if not np.isfinite(offsets).all():
        return None
    grid = torch.from_numpy((time @ offsets.reshape(knots, size)).reshape(frames, 2, ROWS, COLUMNS)).float()
    warp = functional.interpolate(grid, (height, width), mode="bilinear", align_corners=True)
    return warp.permute(0, 2, 3, 1).to(video.device)


def unwarped(images: Tensor, warp: Tensor) -> Tensor:
    """[T, H, W, C]: ``images`` [T, H, W, C] at the places that ``warp`` [T, H, W, 2] pixels leads to."""
    _, height, width, _ = images.shape
    axes = (torch.arange(size, device=images.device) for size in (height, width))
    y, x = torch.meshgrid(*axes, indexing="ij")
    at = torch.stack([x, y], -1) + warp
    scaled = 2 * at / at.new_tensor([width - 1, height - 1]) - 1
    sampled = functional.grid_sample(
        images.permute(0, 3, 1, 2), scaled, mode="bicubic", padding_mode="border", align_corners=True
    )
    return sampled.permute(0, 2, 3, 1).clamp(0, 1)


def hats(count: int, nodes: int) -> NDArray[np.float64]:
    """[count, nodes]: weights of linear interpolation between evenly spread nodes."""
    place = np.linspace(0, nodes - 1, count)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(nodes)))


def steadiness(knots: int) -> NDArray[np.float64]:
    """[knots, knots]: squared first differences."""
    D = np.diff(np.eye(knots), axis=0)
    return D.T @ D


@dataclass(frozen=True)
class _Products:
    """Weights of a grid's nodes at pixels. single: [n, M], of each node.  pairs: [n, J], of two nodes together, where any pixel has
    both; rows, columns: [J], which two."""

    single: csr_matrix
    pairs: csr_matrix
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def hessians(self, weights: NDArray) -> NDArray[np.float64]:
        """[T, 2 M, 2 M]: sums over pixels of the products of weights with ``weights`` [T, 3, n] (xx, xy and yy of each frame)."""
        nodes = self.single.shape[1]
        sums = _summed(weights, self.pairs)
        blocks = np.zeros((*weights.shape[:2], nodes, nodes))
        blocks[..., self.rows, self.columns] = sums
        blocks[..., self.columns, self.rows] = sums
        xx, xy, yy = blocks.swapaxes(0, 1)
        return np.concatenate([np.concatenate([xx, xy], -1), np.concatenate([xy, yy], -1)], -2)


def _summed(weights: NDArray, at_pixels: csr_matrix) -> NDArray[np.float64]:
    """[T, k, J]: sums over pixels of ``weights`` [T, k, n] times ``at_pixels`` [n, J]."""
    sums = at_pixels.T @ weights.reshape(-1, weights.shape[-1]).T
    return np.asarray(sums).T.reshape(*weights.shape[:2], -1)


def _products(down: NDArray, right: NDArray) -> _Products:
    """Of the grid whose rows and columns weigh ``down`` [h, R] and ``right`` [w, C], at all h x w pixels."""
    single = (down[:, None, :, None] * right[None, :, None, :]).reshape(len(down) * len(right), -1)
    rows, columns = np.triu_indices(single.shape[1])
    together = ((single > 0).T.astype(np.float64) @ (single > 0))[rows, columns] > 0
    rows, columns = rows[together], columns[together]
    return _Products(csr_matrix(single), csr_matrix(single[:, rows] * single[:, columns]), rows, columns)


def _sampled(image: NDArray, right: NDArray, down: NDArray) -> NDArray[np.float32]:
    """[n, 3]: ``image`` [H, W, 3] at places ``right`` and ``down`` [1, n] pixels."""
    x, y = right.astype(np.float32), down.astype(np.float32)
    seen = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen[0], np.float32)


def _blurred(image: NDArray, sigma: float) -> NDArray[np.float32]:
    """[H, W, 3] smoothed by a Gaussian of ``sigma`` pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
