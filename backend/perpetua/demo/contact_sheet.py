"""A contact sheet: a row a video, frames from its start to its end."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLUMNS = 6
CELL_WIDTH = 320
"""pixels"""
LABEL_HEIGHT = 18
"""pixels"""
PAPER = (24, 24, 26)
INK = (220, 220, 220)


def contact_sheet(videos: list[Path], path: Path) -> Path:
    """Write the sheet of these videos to ``path`` as PNG, and return it."""
    rows = [(video.stem, _samples(read_video(video))) for video in videos]
    height = max(cell.height for _, cells in rows for cell in cells)
    sheet = Image.new("RGB", (COLUMNS * CELL_WIDTH, len(rows) * (height + LABEL_HEIGHT)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (name, cells) in enumerate(rows):
        top = row * (height + LABEL_HEIGHT)
        draw.text((6, top + 3), name.replace("_", " "), fill=INK)
        for column, cell in enumerate(cells):
            sheet.paste(cell, (column * CELL_WIDTH, top + LABEL_HEIGHT))
    sheet.save(path)
    return path


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    """All frames [H, W, 3] of a video."""
    frames = imageio_ffmpeg.read_frames(str(path))
    width, height = next(frames)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames]


def _samples(frames: list[NDArray[np.uint8]]) -> list[Image.Image]:
    chosen = [frames[round(i * (len(frames) - 1) / (COLUMNS - 1))] for i in range(COLUMNS)]
    size = (CELL_WIDTH, round(CELL_WIDTH * chosen[0].shape[0] / chosen[0].shape[1]))
    return [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in chosen]
