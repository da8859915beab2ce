"""Reconstructs truth scenes in every way and measures them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from perpetua.evaluate.reconstruct.measures import Figures, measure, seen
from perpetua.evaluate.reconstruct.truth import TruthScene, read_truth
from perpetua.evaluate.reconstruct.ways import WAYS, WaySettings
from perpetua.progress import Progress
from perpetua.scene.scene import Scene

GIB = 2**30
SAMPLE_S = 0.05


@dataclass(frozen=True)
class SceneResult:
    """figures: by way.  pictures: [H, W, 3] uint8 rows of the truth and of each way, in a view around and in one to the side."""

    name: str
    figures: dict[str, Figures]
    pictures: NDArray[np.uint8]


def evaluate_scene(
    name: str, folder: Path, ways: list[str], settings: WaySettings, progress: Progress
) -> SceneResult:
    """The truth scene in ``folder``, reconstructed in ``ways``."""
    truth = read_truth(folder)
    figures: dict[str, Figures] = {}
    shown = [truth.tests[0], truth.tests[-1], *truth.sides]
    rows = [np.concatenate([view.rgb for view in shown], 1)]
    for way in ways:
        scene, seconds, peak = _timed(truth, way, settings, progress.of(f"{name} {way}"))
        figures[way] = measure(truth, scene, way != "views", seconds, peak)
        rows.append(np.concatenate([seen(truth, scene, view).rgb for view in shown], 1))
    return SceneResult(name, figures, np.concatenate(rows))


def _timed(
    truth: TruthScene, way: str, settings: WaySettings, progress: Progress
) -> tuple[Scene, float, float]:
    """The scene, the seconds it took, and the largest resident memory meanwhile, GiB."""
    process, peak, done = psutil.Process(), [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            done.wait(SAMPLE_S)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    clock = time.monotonic()
    try:
        scene = WAYS[way](truth, settings, progress)
    finally:
        done.set()
        watcher.join()
    return scene, time.monotonic() - clock, peak[0] / GIB
