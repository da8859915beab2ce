"""A picture of a scene as it was taken, from an unknown place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shot:
    """rgb: [H, W, 3] uint8.  scale: its pixels for one of the file's.  focal: pixels, from EXIF, if it is known."""

    name: str
    rgb: NDArray[np.uint8]
    scale: float = 1.0
    focal: float | None = None
