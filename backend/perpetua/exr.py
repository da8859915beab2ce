"""Depth and other single channels in OpenEXR files: reads those of Blender and other renderers (scan lines, half or float,
uncompressed or ZIP), and writes depth.

The layout is that of "OpenEXR File Layout" (openexr.com). OpenCV's wheels read no EXR, and a depth channel is all that is needed.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ExrError

MAGIC = 20000630
LINES_A_BLOCK = {0: 1, 2: 1, 3: 16}
"""Scan lines that are compressed together, by compression: none, ZIPS, ZIP."""
PIXEL_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
DEPTH_CHANNELS = ("Z", "V", "Y", "R")
"""Names under which depth is found, the first that is there; with a layer's name before it too (``ViewLayer.Depth.Z``)."""


def read_exr_depth(path: Path) -> NDArray[np.float32]:
    """[H, W] m: the depth channel. Raises ``ExrError`` for what is no such EXR."""
    return read_exr_channel(path, DEPTH_CHANNELS)


def read_exr_channel(path: Path, names: tuple[str, ...]) -> NDArray[np.float32]:
    """[H, W]: the channel with the first of ``names`` that the file has, with or without a layer's name before it. Raises
    ``ExrError`` for what is no such EXR."""
    data = path.read_bytes()
    try:
        return _channel(path, data, names)
    except (struct.error, IndexError, ValueError, KeyError, zlib.error) as error:
        raise ExrError(
            f"{path} is no readable EXR ({error}); write it again, with ZIP compression."
        ) from error


def _channel(path: Path, data: bytes, names: tuple[str, ...]) -> NDArray[np.float32]:
    magic, version = struct.unpack_from("<iI", data)
    if magic != MAGIC or version & 0x1A00:  # tiled, deep or of several parts
        raise ExrError(f"{path} is no single-part scan-line EXR; write one, with ZIP compression.")
    header, at = _header(data, 8)
    compression = header["compression"][0]
    if compression not in LINES_A_BLOCK:
        raise ExrError(
            f"{path} is compressed in a way that is not read here; write it with ZIP compression, or none."
        )
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = _channels(header["channels"])
    wanted = _chosen(path, [name for name, _ in channels], names)
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


def _chosen(path: Path, there: list[str], names: tuple[str, ...]) -> str:
    for wanted in names:
        for name in there:
            if name == wanted or name.endswith("." + wanted):
                return name
    raise ExrError(
        f"{path} has the channels {', '.join(there)} and none called {names[0]}; write it as {names[0]}."
    )


def _unzipped(block: bytes) -> bytes:
    """Undo zlib, the running difference, and the split into even and odd bytes."""
    packed = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
    packed[1:] -= 128
    flat = (np.cumsum(packed) & 255).astype(np.uint8)
    half = (len(flat) + 1) // 2
    out = np.empty_like(flat)
    out[0::2], out[1::2] = flat[:half], flat[half:]
    return out.tobytes()


def write_exr_depth(path: Path, depth: NDArray[np.float32]) -> None:
    """Write depth [H, W] m as the channel Z: float, ZIP compression."""
    height, width = depth.shape
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    header = struct.pack("<iI", MAGIC, 2) + b"".join(
        _attribute(name, kind, value)
        for name, kind, value in (
            ("channels", "chlist", b"Z\0" + struct.pack("<iiii", 2, 0, 1, 1) + b"\0"),
            ("compression", "compression", b"\3"),
            ("dataWindow", "box2i", box),
            ("displayWindow", "box2i", box),
            ("lineOrder", "lineOrder", b"\0"),
            ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
            ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
            ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        )
    )
    header += b"\0"
    blocks = []
    for first in range(0, height, LINES_A_BLOCK[3]):
        raw = depth[first : first + LINES_A_BLOCK[3]].astype("<f4").tobytes()
        packed = _zipped(raw)
        body = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<ii", first, len(body)) + body)
    starts = len(header) + 8 * len(blocks) + np.cumsum([0, *(len(block) for block in blocks[:-1])])
    path.write_bytes(header + struct.pack(f"<{len(blocks)}Q", *starts.tolist()) + b"".join(blocks))


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def _zipped(raw: bytes) -> bytes:
    """The split into even and odd bytes, the running difference, and zlib."""
    flat = np.frombuffer(raw, np.uint8)
    apart = np.concatenate([flat[0::2], flat[1::2]]).astype(np.int64)
    apart[1:] = (apart[1:] - apart[:-1] + 128) & 255
    return zlib.compress(apart.astype(np.uint8).tobytes())
