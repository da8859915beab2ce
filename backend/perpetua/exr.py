"""Reads depth from OpenEXR files as Blender and other renderers write them: scan lines, half or float, uncompressed or ZIP.

The layout is that of "OpenEXR File Layout" (openexr.com). OpenCV's wheels read no EXR, and a depth channel is all that is needed.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ClipError

MAGIC = 20000630
LINES_A_BLOCK = {0: 1, 2: 1, 3: 16}
"""Scan lines that are compressed together, by compression: none, ZIPS, ZIP."""
PIXEL_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
DEPTH_CHANNELS = ("Z", "V", "Y", "R")
"""Names under which depth is found, the first that is there; with a layer's name before it too (``ViewLayer.Depth.Z``)."""


def read_exr_depth(path: Path) -> NDArray[np.float32]:
    """[H, W] m: the depth channel. Raises ``ClipError`` for what is no such EXR."""
    data = path.read_bytes()
    try:
        return _depth(path, data)
    except (struct.error, IndexError, ValueError, KeyError, zlib.error) as error:
        raise ClipError(
            f"{path} is no readable EXR ({error}); write it again, with ZIP compression."
        ) from error


def _depth(path: Path, data: bytes) -> NDArray[np.float32]:
    magic, version = struct.unpack_from("<iI", data)
    if magic != MAGIC or version & 0x1A00:  # tiled, deep or of several parts
        raise ClipError(f"{path} is no single-part scan-line EXR; write one, with ZIP compression.")
    header, at = _header(data, 8)
    compression = header["compression"][0]
    if compression not in LINES_A_BLOCK:
        raise ClipError(
            f"{path} is compressed in a way that is not read here; write it with ZIP compression, or none."
        )
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = _channels(header["channels"])
    wanted = _depth_channel(path, [name for name, _ in channels])
    lines = LINES_A_BLOCK[compression]
    offsets = struct.unpack_from(f"<{-(-height // lines)}Q", data, at)
    out = np.empty((height, width), np.float32)
    row_bytes = sum(width * kind.itemsize for _, kind in channels)
    for offset in offsets:
        first, size = struct.unpack_from("<ii", data, offset)
        block = data[offset + 8 : offset + 8 + size]
        count = min(lines, bottom - first + 1)
        if compression and size < count * row_bytes:
            block = _unzipped(block)
        start = 0
        for row in range(first - top, first - top + count):
            for name, kind in channels:
                if name == wanted:
                    out[row] = np.frombuffer(block, kind, width, start)
                start += width * kind.itemsize
    return out


def _header(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and where the header ends."""
    found = {}
    while data[at] != 0:
        name, at = _text(data, at)
        _, at = _text(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at + 1


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode("latin-1"), end + 1


def _channels(data: bytes) -> list[tuple[str, np.dtype]]:
    found: list[tuple[str, np.dtype]] = []
    at = 0
    while data[at] != 0:
        name, at = _text(data, at)
        kind, _, across, down = struct.unpack_from("<iiii", data, at)
        if (across, down) != (1, 1):
            raise ValueError("a channel has fewer pixels than the picture")
        found.append((name, PIXEL_TYPES[kind]))
        at += 16
    return found


def _depth_channel(path: Path, names: list[str]) -> str:
    for wanted in DEPTH_CHANNELS:
        for name in names:
            if name.rsplit(".", 1)[-1] == wanted:
                return name
    raise ClipError(f"{path} has the channels {', '.join(names)} and none called Z; write depth as Z.")


def _unzipped(block: bytes) -> bytes:
    """Undo zlib, the running difference, and the split into even and odd bytes."""
    packed = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
    packed[1:] -= 128
    flat = (np.cumsum(packed) & 255).astype(np.uint8)
    half = (len(flat) + 1) // 2
    out = np.empty_like(flat)
    out[0::2], out[1::2] = flat[:half], flat[half:]
    return out.tobytes()
