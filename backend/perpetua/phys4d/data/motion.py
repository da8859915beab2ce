"""The coarse simulation's motion on disk, so that coarse pictures can be made anew without simulating again.

DIR/motion/<scene>.npz    positions [T, P, 3] m, F [T, P, 3, 3] and times [T] s, and the scene's description that they follow from
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import msgspec
import numpy as np

from perpetua.errors import DataError
from perpetua.phys4d.data.spec import SceneSpec
from perpetua.phys4d.data.world import scene_of, simulate
from perpetua.progress import Progress
from perpetua.scene import Scene, Trajectory


def coarse_motion(spec: SceneSpec, folder: Path) -> tuple[Scene, Trajectory]:
    """The coarse scene and its motion: as ``folder`` has it, else simulated and kept there. Raises ``SimulationError``, or ``DataError``
    naming a damaged file."""
    path = folder / "motion" / f"{spec.name}.npz"
    described = msgspec.json.encode(spec)
    if path.is_file():
        found = _read(path, described)
        if found is not None:
            return scene_of(spec, spec.spacings[0]), found
    scene, motion = simulate(spec, spec.spacings[0], Progress())
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(
            file, allow_pickle=False, positions=motion.positions, F=motion.F, times=motion.times, spec=np.frombuffer(described, np.uint8)
        )  # fmt: skip
    os.replace(unfinished, path)
    return scene, motion


def _read(path: Path, described: bytes) -> Trajectory | None:
    """None if the file is of a scene of another description."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if file["spec"].tobytes() != described:
                return None
            return Trajectory(file["positions"], file["F"], file["times"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is damaged ({error}); delete it and run `perpetua data generate` again."
        ) from error
