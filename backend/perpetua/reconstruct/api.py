"""What a reconstructor and a segmenter take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import Capture
from perpetua.scene.scene import Scene
from perpetua_protocol.take import ObjectSpec, Take


@dataclass(frozen=True)
class Picture:
    """A picture as the engine uses it. rgb: [H, W, 3] uint8 sRGB; scale: pixels here per pixel of the file (a large
    file is reduced); focal_35mm: mm of the EXIF 35 mm equivalent, if the file has one; path: where it came from; depth: [H, W] float32
    m along the optical axis, infinite where nothing is, if a depth map came with it."""

    rgb: NDArray[np.uint8]
    scale: float
    focal_35mm: float | None
    path: Path
    depth: NDArray[np.float32] | None = None
    focal: float | None = None
    """Pixels, what an estimator of depth found; counts where neither the artist nor the file says it."""


@dataclass(frozen=True)
class DepthEstimate:
    """depth: [H, W] float32 m along the optical axis, infinite where nothing is.  focal: pixels of the picture, or None if nothing is
    said of the lens."""

    depth: NDArray[np.float32]
    focal: float | None


class DepthEstimator(Protocol):
    """Says how far what a picture shows is."""

    def estimate(self, rgb: NDArray[np.uint8], focal: float | None) -> DepthEstimate:
        """The depth of a picture [H, W, 3]. focal: pixels, what is known of the lens."""
        ...


class Segmenter(Protocol):
    """Finds an object in a picture."""

    def segment(self, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
        """[H, W] coverage in [0, 1]. Clicks and boxes are in pixels of the file. Raises ``SegmentationError``."""
        ...


class MaskTracker(Protocol):
    """Carries objects through the frames of a video."""

    def track(
        self, frames: Sequence[NDArray[np.uint8]], first: NDArray[np.int32], progress: Progress
    ) -> list[NDArray[np.int32]]:
        """[H, W] for each of ``frames`` [H, W, 3]: the index of the object that is seen, -1 for none. first: [H, W] that of frame 0."""
        ...


class CaptureReconstructor(Protocol):
    """Builds the world of frame 0 from pictures from several places."""

    def reconstruct(self, capture: Capture, take: Take, progress: Progress) -> Scene:
        """Raises ``CaptureError``, ``MaterialError`` or ``ReconstructionError``."""
        ...


class Reconstructor(Protocol):
    """Builds the world of frame 0 from one picture."""

    def reconstruct(self, picture: Picture, take: Take, progress: Progress) -> Scene:
        """Raises ``SegmentationError``, ``CameraError``, ``MaterialError`` or ``ReconstructionError``."""
        ...
