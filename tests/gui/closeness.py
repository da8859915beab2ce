"""How what Blender's viewport drew compares with what the engine's renderer draws of the same splats."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.cache.arrays import gaussians_of
from perpetua.cache.export_video import camera_of
from perpetua.render import render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera
from perpetua_protocol.cache import Cache

Picture = NDArray[np.float32]
"""[H,W,3] sRGB in [0, 1]."""

BORDER_PX = 3
"""Of the camera's frame that is left out: Blender draws a line around it."""


class Views:
    """Pictures of the screen with a viewport that looks through the take's front camera."""

    def __init__(self, pictures: Path, cache: Cache) -> None:
        self._pictures, self._cache = pictures, cache
        self._left, self._top, self._width, self._height = json.loads((pictures / "frame.json").read_text())
        self._x, self._y = math.ceil(self._left) + BORDER_PX, math.ceil(self._top) + BORDER_PX
        self._columns = math.floor(self._left + self._width) - BORDER_PX - self._x
        self._rows = math.floor(self._top + self._height) - BORDER_PX - self._y

    def seen(self, name: str) -> Picture:
        """What is within the camera's frame in a picture of the screen."""
        screen = cv2.imread(str(self._pictures / f"{name}.png"))
        inside = screen[self._y : self._y + self._rows, self._x : self._x + self._columns]
        return np.float32(inside[..., ::-1]) / 255

    def drawn(self, frame: int) -> Picture:
        """The same pixels of a frame of the take, as the engine draws them."""
        camera = self._camera()
        behind = render_layers(gaussians_of(self._cache.background()), camera)
        return (
            compose(render_layers(gaussians_of(self._cache.frame(frame)), camera), behind)
            .rgb.clamp(0, 1)
            .numpy()
        )

    def _camera(self) -> Camera:
        record = next(camera for camera in self._cache.meta.cameras if camera.role == "front")
        focal = 0.5 * self._width / math.tan(math.radians(record.horizontal_fov_degrees) / 2)
        middle = self._left + self._width / 2 - self._x, self._top + self._height / 2 - self._y
        K = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
        return replace(camera_of(record), K=K, width=self._columns, height=self._rows)


def psnr(seen: Picture, drawn: Picture) -> float:
    """Peak signal-to-noise ratio, dB."""
    return float(-10 * np.log10(np.mean((seen - drawn) ** 2)))
