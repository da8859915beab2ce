"""How fast Blender's timeline scrubs through caches: what ``perpetua bench playback`` runs inside bpy.

    .venv-blender/bin/python scripts/time_playback.py CACHE...

Prints a JSON list, a row a cache; ``perpetua.cli.bench_playback`` says what the figures are.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import sys
import time
from pathlib import Path

from run_in_bpy import MODULE, user_folder

PASSES = 10
STATUS = Path("/proc/self/status")


def anonymous_mb() -> float | None:
    """Memory of this process that no file backs, MB: mapped caches do not count. None where it is not known."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1e3


def measure(cache: str) -> dict:
    """Figures of one cache in an empty file."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    started = time.perf_counter()
    bpy.ops.perpetua.load_cache(directory=cache)
    load_s = time.perf_counter() - started
    row: dict = {"load_s": load_s}
    for display in ("SPLATS", "POINTS"):
        scene.perpetua.display = display
        row[f"{display.lower()}_shown"] = scrub(scene)
    return row


def scrub(scene) -> dict:
    """Frames/s of passes forwards and in a jumbled order, and memory after each."""
    frames = list(range(scene.frame_start, scene.frame_end + 1))
    rates, memory = [], []
    for turn in range(PASSES):
        order = frames if turn % 2 == 0 else random.Random(turn).sample(frames, len(frames))
        started = time.perf_counter()
        for frame in order:
            scene.frame_set(frame)
        rates.append(len(order) / (time.perf_counter() - started))
        memory.append(anonymous_mb())
    grown = None if memory[0] is None else memory[-1] - memory[0]
    return {"first_fps": rates[0], "fps": statistics.median(rates), "grown_mb": grown}


if __name__ == "__main__":
    folder = user_folder()
    import bpy

    bpy.ops.preferences.addon_enable(module=MODULE)
    print(json.dumps([measure(cache) for cache in sys.argv[1:]]))
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(0)
