"""The coarse video at a size and length that a model can take, and its answer back at the video's own.

Nothing is stretched: the picture is scaled by one factor, and its edge is repeated where the model's size is wider or higher.
At the end the last frame is repeated until there are as many frames as the model counts in. On the way back what was added is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.scene.cameras import Camera

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """From [frames, height, width] to [model_frames, model_height, model_width], with the picture at left, top of the latter."""

    frames: int
    height: int
    width: int
    model_frames: int
    model_height: int
    model_width: int
    left: int
    top: int
    inner_height: int
    inner_width: int

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels for a pixel of the video, right and down; they differ only by rounding."""
        return self.inner_width / self.width, self.inner_height / self.height

    def images(self, stack: Array) -> Array:
        """[F, H, W, ...] pictures or masks of up to ``frames`` frames -> [model frames, model height, model width, ...]."""
        fitted = np.stack([self.image(frame) for frame in stack])
        return np.concatenate([fitted, np.repeat(fitted[-1:], self.model_frames - len(fitted), axis=0)])

    def flows(self, stack: Array) -> Array:
        """[F - 1, H, W, 2] pixels -> [model frames - 1, ...] model pixels; nothing moves in frames that were added."""
        moved = np.stack([self.image(frame) for frame in stack]) * np.array(self.scale, np.float32)
        still = np.zeros((self.model_frames - 1 - len(moved), *moved.shape[1:]), np.float32)
        return np.concatenate([moved, still])

    def back(self, stack: Array) -> Array:
        """[model frames, model height, model width, 3] -> [frames, height, width, 3]."""
        inner = stack[
            : self.frames,
            self.top : self.top + self.inner_height,
            self.left : self.left + self.inner_width,
        ]
        return np.stack([resized(frame, self.width, self.height) for frame in inner])

    def cameras(self, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        """The cameras of up to ``frames`` frames -> those of the model's frames, in its pixels."""
        x, y = self.scale
        onto = np.array([[x, 0, self.left], [0, y, self.top], [0, 0, 1]])
        fitted = [
            replace(camera, K=onto @ camera.K, width=self.model_width, height=self.model_height)
            for camera in cameras
        ]
        return (*fitted, *[fitted[-1]] * (self.model_frames - len(fitted)))

    def image(self, frame: Array) -> Array:
        """[H, W, ...] -> [model height, model width, ...]."""
        below = self.model_height - self.top - self.inner_height
        right = self.model_width - self.left - self.inner_width
        inner = resized(frame, self.inner_width, self.inner_height)
        edges = [(self.top, below), (self.left, right)] + [(0, 0)] * (inner.ndim - 2)
        return np.pad(inner, edges, mode="edge")


def fit_to(
    shape: tuple[int, int, int],
    width: int | None,
    multiple: int,
    stride: int,
    exactly: tuple[int, int] | None = None,
) -> Fit:
    """How a video of ``shape`` (frames, height, width) goes into a model.

    ``width``: pixels the picture should have in the model, its own if None.  ``multiple``: of pixels, both ways.  ``stride``: frames
    in a latent; the model takes a multiple of it and one more.  ``exactly``: (height, width) of a model that takes no other.
    """
    frames, height, video_width = shape
    if exactly is not None:
        scale = min(exactly[0] / height, exactly[1] / video_width)
        inner = max(1, round(height * scale)), max(1, round(video_width * scale))
        model = exactly
    else:
        scale = (width or video_width) / video_width
        inner = max(1, round(height * scale)), max(1, round(video_width * scale))
        model = _up(inner[0], multiple), _up(inner[1], multiple)
    return Fit(
        frames, height, video_width, 1 + _up(frames - 1, stride), *model,
        (model[1] - inner[1]) // 2, (model[0] - inner[0]) // 2, *inner,
    )  # fmt: skip


def resized(frame: Array, width: int, height: int) -> Array:
    """[H, W, ...] at another size: means over areas when it shrinks, cubic when it grows, clipped to what it held."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height * width < frame.shape[0] * frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.clip(cv2.resize(frame, (width, height), interpolation=how), frame.min(), frame.max())


def _up(value: int, multiple: int) -> int:
    return max(1, -(-value // multiple)) * multiple
