"""Hands surfaces and cameras to Blender's Python, and reads back the pictures and what each pixel sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import DataError
from perpetua.phys4d.data.spec import SceneSpec
from perpetua.phys4d.data.surfaces import Surface
from perpetua.scene import Camera

BLENDER_VARIABLE = "PERPETUA_BLENDER_PYTHON"
"""A Python that can import bpy; else the project's own ``.venv-blender`` is looked for."""
SCRIPT = Path(__file__).with_name("render.py")


@dataclass(frozen=True)
class Filmed:
    """One camera's film. rgb: [T, H, W, 3] sRGB.  depth: [T, H, W] m, 0 where nothing is.  number: [T, H, W], the surface that a
    pixel's middle sees, from 1, 0 for the room.  after: [T, H, W, 3] m, world: where what is seen is in the next frame; nothing is
    said of the room, which stays."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    number: NDArray[np.uint8]
    after: NDArray[np.float32]


def film(
    spec: SceneSpec, shown: Sequence[Surface], cameras: Mapping[str, Sequence[Camera]], samples: int
) -> dict[str, Filmed]:
    """Film ``shown`` through every camera's way, by its name. Raises ``DataError`` where Blender fails."""
    python = blender_python()
    with TemporaryDirectory(prefix="perpetua-film-") as name:
        folder = Path(name)
        _write(folder, spec, shown, cameras, samples)
        log = folder / "blender.log"
        with log.open("wb") as out:
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            done = subprocess.run(
                [python, SCRIPT, folder], stdout=out, stderr=subprocess.STDOUT, env=environment
            )
        last = folder / "data" / f"{list(cameras)[-1]}_{spec.frames - 1:04d}.exr"
        if done.returncode or not last.is_file():
            tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-4:]
            raise DataError(
                f"Blender did not film scene '{spec.name}' (exit {done.returncode}): {' / '.join(tail)}"
            )
        return {camera: _read(folder, camera, spec.frames) for camera in cameras}


def blender_python() -> Path:
    """The Python that imports bpy. Raises ``DataError`` if there is none."""
    if chosen := os.environ.get(BLENDER_VARIABLE):
        found = Path(chosen).expanduser()
    else:
        found = Path(sys.prefix).parent / ".venv-blender" / "bin" / "python"
    if not found.is_file():
        raise DataError(
            f"There is no Blender's Python at {found}; run `make setup`, or set {BLENDER_VARIABLE} to a Python that can import bpy."
        )
    return found


def _write(
    folder: Path,
    spec: SceneSpec,
    shown: Sequence[Surface],
    cameras: Mapping[str, Sequence[Camera]],
    samples: int,
) -> None:
    """``job.json``: what does not move. ``arrays.npz``: ``camera/<name>`` [T, 4, 4] (Blender's matrix_world); of surface i in
    frame t ``i/t/points``, ``i/t/after`` and ``i/t/rest`` [V, 3] m, and ``i/faces`` or ``i/t/faces`` [F, 3]."""
    arrays: dict[str, NDArray] = {}
    entries: list[dict[str, Any]] = []
    for i, surface in enumerate(shown):
        there = [frame for frame in surface.frames if frame is not None]
        fixed = bool(there) and all(frame.faces is there[0].faces for frame in there)
        for t, frame in enumerate(surface.frames):
            if frame is not None:
                arrays |= {
                    f"{i}/{t}/points": frame.points,
                    f"{i}/{t}/after": frame.after,
                    f"{i}/{t}/rest": frame.rest,
                }
                arrays[f"{i}/faces" if fixed else f"{i}/{t}/faces"] = frame.faces
        entries.append(
            {"name": surface.name, "look": surface.look, "draws": surface.draws, "radius": surface.radius, "fixed": fixed, "sharp": surface.sharp}
        )  # fmt: skip
    for name, way in cameras.items():
        arrays[f"camera/{name}"] = np.stack([camera.matrix_world for camera in way])
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    job = {
        "surfaces": entries,
        "room": spec.room,
        "lamps": spec.lamps,
        "middle": spec.middle,
        "cameras": {name: np.radians(way[0].horizontal_fov_degrees).item() for name, way in cameras.items()},
        "frames": spec.frames,
        "width": spec.width,
        "height": spec.height,
        "samples": samples,
        "seed": spec.seed % (1 << 31),
    }
    (folder / "job.json").write_bytes(msgspec.json.encode(job))


def _read(folder: Path, camera: str, frames: int) -> Filmed:
    rgb, depth, number, after = [], [], [], []
    for t in range(frames):
        picture = cv2.imread(str(folder / "rgb" / f"{camera}_{t:04d}.png"), cv2.IMREAD_COLOR)
        if picture is None:
            raise DataError(
                f"Blender left no picture of frame {t} by camera '{camera}'; look at the disk's space."
            )
        rgb.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        z, object_number, place = _passes(folder / "data" / f"{camera}_{t:04d}.exr")
        depth.append(z)
        number.append(object_number)
        after.append(place)
    return Filmed(np.stack(rgb), np.stack(depth), np.stack(number), np.stack(after))


def _passes(path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """z-depth [H, W] m, object numbers [H, W] and ``after`` [H, W, 3] m of one frame."""
    import OpenEXR

    channels = {name: channel.pixels for name, channel in OpenEXR.File(str(path)).channels().items()}
    z = next(v for k, v in channels.items() if k.endswith("Depth.Z"))
    number = next(v for k, v in channels.items() if k.endswith("IndexOB.X"))
    after = next(v for k, v in channels.items() if k.endswith(".after"))
    return (
        np.where(z < FAR_M, z, 0).astype(np.float32),
        np.rint(number).astype(np.uint8),
        after[..., :3].astype(np.float32),
    )


FAR_M = 1e8
"""Blender writes 1e10 where nothing is hit."""
