"""Pictures of a virtual screen that keeps its pixels in a file (``Xvfb -fbdir``), written as PNG with what every Python has.

Blender's own screenshot operator gives black pictures on such a screen.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct(">25I")
"""Of X11's window dump (``XWDFile.h``): 25 numbers, then the window's name, then the colour map, then the pixels."""
COLOUR_BYTES = 12
"""An entry of the colour map."""


def read(path: Path) -> NDArray[np.uint8]:
    """What the screen shows now: [H,W,3] sRGB."""
    dump = path.read_bytes()
    header_bytes, _, _, _, width, height, *rest = HEADER.unpack_from(dump)
    bits, row_bytes, colours = rest[5], rest[6], rest[13]
    assert bits == 32, f"the screen has {bits} bits a pixel, not 32"
    start = header_bytes + colours * COLOUR_BYTES
    rows = np.frombuffer(dump, np.uint8, row_bytes * height, start).reshape(height, row_bytes)
    return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]


def save(screen: Path, path: Path) -> None:
    """Keep what the screen shows now as a PNG (ISO/IEC 15948: 8-bit RGB, no filter)."""
    pixels = read(screen)
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes())),
        (b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
