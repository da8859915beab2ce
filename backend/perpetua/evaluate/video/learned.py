"""Measures that need a learned model: LPIPS and FVD, with weights that the user brings as TorchScript. Without them they are unavailable.

LPIPS (Zhang et al. 2018): a TorchScript that takes two pictures [N, 3, H, W] in [-1, 1] and gives their distance.
FVD (Unterthiner et al. 2018): a TorchScript I3D that takes a video [N, 3, T, H, W] in [0, 255] with ``rescale``, ``resize`` and
``return_features`` and gives [N, D], as the commonly used export does. Its figure depends on the weights and on how many clips there
are, so both are told with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import ClipError

Distance = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


@dataclass(frozen=True)
class Fvd:
    """value: the Fréchet distance.  clips: how many clips a set has.  sha256: of the weights' file."""

    value: float
    clips: int
    sha256: str


def load_script(path: Path) -> Any:
    """A TorchScript module in evaluation mode. Raises ``ClipError``."""
    if not path.is_file():
        raise ClipError(f"There is no file {path}; give the path of a TorchScript file with the weights.")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ClipError(
            f"{path} is no TorchScript file that can be loaded; export the model with torch.jit."
        ) from error


def lpips(path: Path) -> Distance:
    """Distance of two pictures [H, W, 3] uint8 by the user's model."""
    model = load_script(path)

    @torch.no_grad()
    def distance(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
        pair = [
            torch.from_numpy(p.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
            for p in (picture, truth)
        ]
        return float(model(*pair).mean())

    return distance


def features(model: Any, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[D]: what an I3D sees in a video [T, H, W, 3]."""
    video = torch.from_numpy(rgb.astype(np.float32)).permute(3, 0, 1, 2)[None]
    with torch.no_grad():
        return np.asarray(model(video, rescale=True, resize=True, return_features=True)[0], np.float64)


def frechet(first: NDArray, second: NDArray) -> float:
    """Fréchet distance of the normal distributions that fit two sets of features [N, D]: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)."""
    mean = ((first.mean(0) - second.mean(0)) ** 2).sum()
    a, b = (_factor(f) for f in (first, second))
    # tr (S1 S2)^1/2 is the sum of the singular values of A B^T where S = A^T A, whatever their rank
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean + (a**2).sum() + (b**2).sum() - 2 * shared)


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _factor(features: NDArray) -> NDArray:
    """[min(N, D), D] whose square is the covariance: the triangle of a QR decomposition, so that many clips cost no more."""
    spread = (features - features.mean(0)) / np.sqrt(max(1, len(features) - 1))
    return np.asarray(np.linalg.qr(spread, mode="r"))
