"""A tiny cache with known numbers, written by the engine's own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perpetua.cache.writer import CacheWriter
from perpetua_protocol.cache import SH_C0, CacheMeta, CameraRecord, RoundRecord
from perpetua_protocol.take import Click, ObjectSpec, Take

BACKGROUND, FOREGROUND = 7, 5
ROUNDS = (1, 3, 2)
"""Frames of the picture and of two rounds."""
# Turned 30 degrees about z, 1 m behind the origin, 0.2 m up
MATRIX = (0.8660254, 0, 0.5, 0.1, 0.5, 0, -0.8660254, -1.0, 0, 1.0, 0, 0.2, 0, 0, 0, 1.0)

MakeCache = Callable[..., Path]


def _splats(seed: int, count: int, frames: int | None = None, sheen: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (count,) if frames is None else (frames, count)
    rotation = rng.normal(size=(*shape, 4))
    rotation /= np.linalg.norm(rotation, axis=-1, keepdims=True)
    base = np.concatenate(
        [rng.uniform(-0.5, 0.5, (count, 3)) / SH_C0, rng.uniform(0.05, 0.95, (count, 1))], 1
    )
    arrays = {
        "position": rng.uniform(-0.1, 0.1, (*shape, 3)),
        "rotation": rotation,
        "scale": rng.uniform(0.001, 0.01, (*shape, 3)),
        "radiance_base": base,
    }
    if sheen:
        arrays["radiance_sh"] = rng.normal(size=(count, sheen, 3))
    if sheen and frames is not None:
        turns = rng.normal(size=(*shape, 4))
        arrays["turn"] = turns / np.linalg.norm(turns, axis=-1, keepdims=True)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture
def make_cache(tmp_path: Path) -> MakeCache:
    """``make_cache(colours_move=False, name="toy", rounds=ROUNDS, sheen=0)`` writes a cache and returns its folder. sheen: coefficients
    above degree 0."""

    def make(
        colours_move: bool = False, name: str = "toy", rounds: tuple[int, ...] = ROUNDS, sheen: int = 0
    ) -> Path:
        folder = tmp_path / "cache"
        cameras = [
            CameraRecord("front", "front", MATRIX, 40.0, 64, 36),
            CameraRecord("2 left", "side", MATRIX, 55.0, 64, 48),
        ]
        corner = (0.1, 0.1, 0.1)
        meta = CacheMeta(
            name=name, fps=25.0, rounds=[], cameras=cameras, bodies=[], background=BACKGROUND, foreground=FOREGROUND,
            particles=9, particle_spacing=0.01, lower=(0.0, 0.0, 0.0), upper=corner, files={},
            take=Take(name, "p.png", (ObjectSpec("ball", (Click(1, 1),)),)), backend="0",
        )  # fmt: skip
        writer = CacheWriter(folder, meta)
        writer.add_background("b" * 64, lambda: _splats(99, BACKGROUND, sheen=sheen))
        colours, start = _splats(0, FOREGROUND)["radiance_base"], 0
        for index, frames in enumerate(rounds):
            arrays = _splats(index, FOREGROUND, frames, sheen)
            if not colours_move:
                arrays["radiance_base"] = colours
            record = RoundRecord(index, start, frames, "", str(index) * 64, "0" * 64, 0.0)
            writer.add_round(record, lambda arrays=arrays: arrays)
            start += frames
        writer.finish()
        return folder

    return make
