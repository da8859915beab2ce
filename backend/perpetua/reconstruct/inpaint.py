"""Paint over the objects: what the camera could not see behind them, continued from what it saw around them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def paint_over(image: Image, hole: NDArray[np.bool_], edge_row: float) -> Image:
    """[H, W, 3] in [0, 1] with the pixels of ``hole`` [H, W] replaced. Table and backdrop meet at ``edge_row``."""
    eight = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    filled = cv2.inpaint(eight, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], filled.astype(np.float32) / 255.0, image)
