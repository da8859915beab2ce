"""Job functions that stand in for a bake: the same signature, the same kind of cache folder, and no physics."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from perpetua.errors import SimulationError
from perpetua.progress import Progress
from perpetua_protocol.take import Take


def write_round(output: Path, index: int, frames: int, points: int = 1000) -> None:
    """Add a round to a cache as ``perpetua.cache`` does: arrays first, then ``meta.json`` exchanged."""
    folder = output / f"round_{index:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(index)
    np.save(folder / "position.npy", rng.random((frames, points, 3), np.float32))
    meta_path = output / "meta.json"
    meta = json.loads(meta_path.read_text()) if meta_path.exists() else {"files": {}, "rounds": []}
    data = (folder / "position.npy").read_bytes()
    meta["files"][f"round_{index:03d}/position.npy"] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    meta["rounds"] = [r for r in meta["rounds"] if r["index"] != index] + [{"index": index, "frames": frames}]
    work = output / ".meta.json"
    work.write_text(json.dumps(meta))
    os.replace(work, meta_path)


def bake(
    take: Take, picture: Path, store: Path, output: Path, through_round: int, progress: Progress
) -> dict[str, Any]:
    """Reconstruct and bake at once."""
    print("this must not reach the pipe to the backend")
    progress.of("reconstruct")(1.0, "built")
    write_round(output, 0, 1)
    for index in range(1, through_round + 1):
        for step in range(5):
            progress.of(f"round {index}: simulate")((step + 1) / 5, f"frame {step}")
        write_round(output, index, take.rounds[index - 1].frames)
        progress.of("cache")(1.0)
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    return {"cache": str(output), "frames": 1 + through_round * 4, "picture": digest, "pid": os.getpid()}


def by_name(
    take: Take, picture: Path, store: Path, output: Path, through_round: int, progress: Progress
) -> dict[str, Any]:
    """Does what the take's name says, so that one backend can meet every fate in a test."""
    listen = progress.of("round 1: simulate")
    listen(0.25, "on the way")
    match take.name:
        case "patient":
            write_round(output, 0, 1)
            while True:
                time.sleep(0.01)
                listen(0.5, "still at it")
        case "deaf":
            time.sleep(600)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(3)
        case "sentence":
            raise SimulationError("The clay left the box in frame 7; lower the wind.")
        case "bug":
            raise ZeroDivisionError("division by zero")
        case "nan":
            return {"seconds": float("nan")}
        case "chatty":
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                listen(0.5, "again")
        case "once":  # dies the first time, like a run that was killed; the second goes on
            mark = store / "was-here"
            if not mark.exists():
                mark.touch()
                while True:
                    time.sleep(0.01)
                    listen(0.5, "first attempt")
    return bake(take, picture, store, output, through_round, progress)
