"""Does it look like the truth? PSNR and SSIM, of each frame and then of the clip as the mean over its frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

PSNR_LIMIT_DB = 100.0
"""Of frames that are equal, whose PSNR has no limit."""
SSIM_SIGMA_PX = 1.5


def psnr_by_frame(
    rgb: NDArray[np.uint8], truth: NDArray[np.uint8], where: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """[T] dB, of videos [T, H, W, 3], over all pixels or those ``where`` [T, H, W] says; NaN in a frame that has none."""
    found = np.full(len(rgb), np.nan)
    for number, (a, b) in enumerate(zip(rgb, truth)):
        wrong = ((a.astype(np.float64) - b) / 255) ** 2
        chosen = wrong if where is None else wrong[where[number]]
        if chosen.size:
            found[number] = min(PSNR_LIMIT_DB, -10 * np.log10(max(float(chosen.mean()), 1e-30)))
    return found


def psnr_of_clip(by_frame: NDArray[np.float64]) -> float:
    """dB: the mean over frames [T], without those that are NaN or equal to the truth's: a first frame that was given says nothing of the
    video, and its 100 dB would outweigh all others. A clip whose frames are all equal has 100 dB."""
    unequal = by_frame[by_frame < PSNR_LIMIT_DB]
    return float(unequal.mean()) if len(unequal) else float(np.nanmean(by_frame))


def ssim_by_frame(rgb: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[T], 1 for equal frames: structural similarity (Wang et al. 2004) with a Gaussian window of 1.5 pixels, mean over channels."""
    return np.array(
        [
            structural_similarity(
                a / np.float32(255), b / np.float32(255), data_range=1.0, channel_axis=-1,
                gaussian_weights=True, sigma=SSIM_SIGMA_PX, use_sample_covariance=False,
            )
            for a, b in zip(rgb, truth)
        ]
    )  # fmt: skip
