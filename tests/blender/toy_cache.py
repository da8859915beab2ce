"""A tiny 4D cache written by hand, as PROTOCOL.md and ``perpetua_protocol.cache`` describe it."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np

from perpetua_protocol.cache import SH_C0, BodyRecord, CacheMeta, CameraRecord, FileRecord, RoundRecord
from perpetua_protocol.take import Click, ObjectSpec, Take

IDENTITY = (1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0)
# A Blender camera at (0, -1, 0) that looks along +y with z up.
LOOKS_ALONG_Y = (1.0, 0, 0, 0, 0, 0, -1.0, -1.0, 0, 1.0, 0, 0, 0, 0, 0, 1.0)


def radiance(srgb: np.ndarray, opacity: float | np.ndarray) -> np.ndarray:
    """[N,3] sRGB colours in [0, 1] -> [N,4] as a cache keeps them."""
    base = np.empty((len(srgb), 4), np.float32)
    base[:, :3] = (np.asarray(srgb) - 0.5) / SH_C0
    base[:, 3] = opacity
    return base


def write_cache(
    folder: Path,
    background: int = 40,
    foreground: int = 25,
    rounds: tuple[int, ...] = (4, 3),
    seed: int = 0,
    sheen: int = 0,
) -> Path:
    """Frame 0 and ``rounds``; every number is drawn from ``seed``. sheen: coefficients above degree 0."""
    rng = np.random.default_rng(seed)

    def splats(frames: int | None, count: int) -> dict[str, np.ndarray]:
        shape = (count,) if frames is None else (frames, count)
        rotation = rng.normal(size=(*shape, 4))
        rotation /= np.linalg.norm(rotation, axis=-1, keepdims=True)
        more: dict[str, np.ndarray] = {}
        if sheen:
            more["radiance_sh"] = rng.uniform(-0.1, 0.1, (count, sheen, 3)).astype(np.float32)
        if sheen and frames is not None:
            turns = rng.normal(size=(*shape, 4))
            more["turn"] = (turns / np.linalg.norm(turns, axis=-1, keepdims=True)).astype(np.float32)
        return more | {
            "position": rng.uniform(-0.1, 0.1, (*shape, 3)).astype(np.float32),
            "rotation": rotation.astype(np.float32),
            "scale": rng.uniform(0.002, 0.01, (*shape, 3)).astype(np.float32),
            "radiance_base": radiance(rng.uniform(0, 1, (count, 3)), rng.uniform(0.2, 0.95, count)),
        }

    arrays = {f"background/{k}.npy": v for k, v in splats(None, background).items()}
    records, start = [], 0
    for index, frames in enumerate((1, *rounds)):
        arrays |= {f"round_{index:03d}/{k}.npy": v for k, v in splats(frames, foreground).items()}
        bounds = ((-0.3, -0.3, -0.1), (0.3, 0.3, 0.6 + index)) if index else None
        folder_of = f"round_{index:03d}"
        records.append(RoundRecord(index, start, frames, folder_of, "d" * 64, "5" * 64, 1.5, bounds=bounds))
        start += frames
    return write_arrays(folder, arrays, records, background, foreground)


def write_arrays(
    folder: Path, arrays: dict[str, np.ndarray], records: list[RoundRecord], background: int, foreground: int
) -> Path:
    """The arrays and a ``meta.json`` that names them."""
    files = {}
    for name, array in arrays.items():
        path = folder / name
        data = npy_bytes(array)
        exchange(path, data)
        files[name] = FileRecord(hashlib.sha256(data).hexdigest(), len(data))
    meta = CacheMeta(
        name=folder.name,
        fps=24.0,
        rounds=records,
        cameras=[
            CameraRecord("front", "front", LOOKS_ALONG_Y, 40.0, 64, 36),
            CameraRecord("left", "side", LOOKS_ALONG_Y, 40.0, 64, 36),
            CameraRecord("right", "side", LOOKS_ALONG_Y, 40.0, 64, 36),
        ],
        bodies=[BodyRecord("ball", "clay", "plastic", (-0.05, -0.05, 0.0), (0.05, 0.05, 0.1))],
        background=background,
        foreground=foreground,
        particles=foreground,
        particle_spacing=0.004,
        lower=(-0.5, -0.5, 0.0),
        upper=(0.5, 0.5, 0.5),
        files=files,
        take=Take("toy", "ball.png", (ObjectSpec("ball", (Click(32, 18),)),)),
        backend="0.1.0",
    )
    exchange(folder / "meta.json", msgspec.json.encode(meta))
    return folder


def write_look(folder: Path) -> Path:
    """A look at an input: a grey ``front.png``, and a cache without rounds that names it and its camera."""
    data = png_bytes(np.full((72, 96, 3), 128, np.uint8))
    exchange(folder / "front.png", data)
    meta = CacheMeta(
        name="look",
        fps=24.0,
        rounds=[],
        cameras=[CameraRecord("front", "front", LOOKS_ALONG_Y, 35.0, 96, 72)],
        bodies=[],
        background=0,
        foreground=0,
        particles=0,
        particle_spacing=0.0,
        lower=(0.0, 0.0, 0.0),
        upper=(0.0, 0.0, 0.0),
        files={"front.png": FileRecord(hashlib.sha256(data).hexdigest(), len(data))},
        take=Take("look", "room.ply", ()),
        backend="0.1.0",
    )
    exchange(folder / "meta.json", msgspec.json.encode(meta))
    return folder


def png_bytes(rgb: np.ndarray) -> bytes:
    """The picture [H,W,3] as a PNG."""
    height, width, _ = rgb.shape
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def npy_bytes(array: np.ndarray) -> bytes:
    """The array as an ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def exchange(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, as a cache is written: somebody may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.part")
    work.write_bytes(data)
    os.replace(work, path)
