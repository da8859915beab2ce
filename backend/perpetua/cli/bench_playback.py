"""``perpetua bench playback``: frames/s at which Blender's timeline scrubs through baked caches, in this checkout's bpy.

The caches are made for it: every splat moves, turns and changes its size in every frame, so that nothing can be left out.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from perpetua import __version__
from perpetua.cache.arrays import Arrays
from perpetua.cache.writer import CacheWriter
from perpetua.cli.blender import ROOT, BlenderMissing, blender_python
from perpetua.cli.console import table
from perpetua.errors import PerpetuaError
from perpetua_protocol.cache import BodyRecord, CacheMeta, CameraRecord, RoundRecord
from perpetua_protocol.take import Click, ObjectSpec, Take

DRIVER = ROOT / "scripts" / "time_playback.py"
SIZES = {"100k": (100_000, 60), "1m": (1_000_000, 24)}
"""Splats and frames of each cache; together 1.2 GB on disk while it runs."""
LOOKS_ALONG_Y = (1.0, 0, 0, 0, 0, 0, -1.0, -1.0, 0, 1.0, 0, 0, 0, 0, 0, 1.0)


class BenchFailed(PerpetuaError):
    """Blender did not measure."""

    code = "bench"


def bench_playback(as_json: bool) -> int:
    """Measure and print. The JSON has, for each size such as ``100k``, ``fps_100k``: the median of ten passes shown as splats, half of
    them in a jumbled order; ``fps_100k_first``, of the first; ``fps_100k_points``, shown as points, which Blender evaluates as well;
    ``load_s_100k``; and ``grown_mb_100k``, by how much memory grew from the first pass to the last (null where it is not known)."""
    python = blender_python()
    if python is None or not DRIVER.exists():
        raise BlenderMissing("Playback is measured in this checkout's bpy; run `make setup` in a checkout.")
    with tempfile.TemporaryDirectory(prefix="perpetua-playback-") as folder:
        caches = [write_cache(Path(folder) / name, *size) for name, size in SIZES.items()]
        done = subprocess.run(
            [str(python), str(DRIVER), *map(str, caches)], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise BenchFailed(f"Blender did not measure:\n{(done.stdout + done.stderr)[-2000:]}")
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    figures = {
        f"{figure}_{name}{ending}": value
        for name, row in zip(SIZES, rows, strict=True)
        for figure, ending, value in (
            ("fps", "", row["splats_shown"]["fps"]),
            ("fps", "_first", row["splats_shown"]["first_fps"]),
            ("fps", "_points", row["points_shown"]["fps"]),
            ("load_s", "", row["load_s"]),
            ("grown_mb", "", row["splats_shown"]["grown_mb"]),
        )
    }
    if as_json:
        print(json.dumps(figures))
    else:
        print(
            table(["", ""], [[name, f"{value:.3g}"] for name, value in figures.items() if value is not None])
        )
    return 0


def write_cache(folder: Path, splats: int, frames: int) -> Path:
    """A cache of a picture and one round in which all splats swing, turn and breathe."""
    take = Take("bench", "bench.png", (ObjectSpec("cloud", (Click(1, 1),)),))
    writer = CacheWriter(
        folder,
        CacheMeta(
            name="bench",
            fps=24.0,
            rounds=[],
            cameras=[CameraRecord("front", "front", LOOKS_ALONG_Y, 40.0, 64, 36)],
            bodies=[BodyRecord("cloud", "clay", "plastic", (-0.1, -0.1, 0.0), (0.1, 0.1, 0.2))],
            background=1,
            foreground=splats,
            particles=splats,
            particle_spacing=0.001,
            lower=(-0.1, -0.1, 0.0),
            upper=(0.1, 0.1, 0.2),
            files={},
            take=take,
            backend=__version__,
        ),
    )
    writer.add_background(
        "0" * 64, lambda: {k: v if k == "radiance_base" else v[0] for k, v in _swinging(1, 1).items()}
    )
    for index, start, length in ((0, 0, 1), (1, 1, frames - 1)):
        record = RoundRecord(index, start, length, "", f"{index}" * 64, "0" * 64, 0.0)
        writer.add_round(record, lambda length=length: _swinging(length, splats))  # type: ignore[misc]
    writer.finish()
    return folder


def _swinging(frames: int, splats: int) -> Arrays:
    rng = np.random.default_rng(0)
    phase = np.linspace(0, 2 * np.pi, frames, endpoint=False, dtype=np.float32)[:, None, None]
    place = rng.uniform(-0.1, 0.1, (splats, 3)).astype(np.float32)
    turn = 0.3 * np.sin(phase + 100 * place[:, :1])
    rotation = np.concatenate([np.cos(turn), np.sin(turn), 0 * turn, 0 * turn], -1)
    return {
        "position": place + 0.01 * np.sin(phase + 50 * place),
        "rotation": rotation.astype(np.float32),
        "scale": 0.001 * (1 + 0.2 * np.sin(phase + 70 * place)),
        "radiance_base": rng.uniform(0, 1, (splats, 4)).astype(np.float32),
    }
