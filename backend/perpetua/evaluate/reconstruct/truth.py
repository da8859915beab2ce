"""Scenes whose truth is known: a capture rendered by Blender, and the plane and closed surfaces that it shows."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import trimesh
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.capture.folder import TRANSFORMS, read_capture

Array = NDArray[np.float64]

SCENES = ("clay_ball", "cloth_on_a_line", "sand_castle", "glass_jar", "rolling_pin_and_dough")
SCRIPT = Path("scripts") / "render_truth_scenes.py"
SIDE = "side"
"""Start of the names of views that stand SIDE_DEGREES to the sides of the front view."""


class ObjectTruth(msgspec.Struct, frozen=True):
    """An object in ``truth.json``."""

    mesh: str
    material: str
    resting: bool
    thickness: float | None = None
    """m, of cloth."""


class PlaneTruth(msgspec.Struct, frozen=True):
    """The support plane in ``truth.json``: normal . x = height."""

    normal: list[float]
    height: float


class TruthRecord(msgspec.Struct, frozen=True):
    """``truth.json``."""

    plane: PlaneTruth
    centre: list[float]
    objects: dict[str, ObjectTruth]


@dataclass(frozen=True)
class TruthScene:
    """name; capture: its views; up: [3] the plane's normal; record: what the objects are; solids: their closed surfaces, m."""

    name: str
    capture: Capture
    up: Array
    record: TruthRecord
    solids: dict[str, trimesh.Trimesh]

    @property
    def sides(self) -> list[CapturedView]:
        """Views 20 degrees to either side of the front one."""
        return [v for v in self.capture.held_out if Path(v.name).stem.startswith(SIDE)]

    @property
    def tests(self) -> list[CapturedView]:
        """Views all around that nothing is learned from."""
        return [v for v in self.capture.held_out if not Path(v.name).stem.startswith(SIDE)]


def read_truth(folder: Path) -> TruthScene:
    """The truth scene in ``folder``. Raises ``CaptureError``."""
    path = folder / "truth.json"
    if not path.is_file():
        raise CaptureError(f"There is no truth.json in {folder}; render the scene again.")
    try:
        record = msgspec.json.decode(path.read_bytes(), type=TruthRecord)
    except msgspec.DecodeError as error:
        raise CaptureError(f"{path} is damaged ({error}); render the scene again.") from error
    solids = {name: trimesh.load_mesh(folder / thing.mesh) for name, thing in record.objects.items()}
    return TruthScene(
        folder.name, read_capture(folder), np.array(record.plane.normal, dtype=np.float64), record, solids
    )


def rendered(name: str, home: Path, width: int, python: Path | None) -> Path:
    """The folder of a truth scene under ``home``, rendered with Blender's ``python`` if it is not there yet."""
    folder = home / f"{name}_{width}"
    if (folder / TRANSFORMS).is_file():
        return folder
    script = Path(__file__).resolve().parents[4] / SCRIPT
    if python is None or not script.is_file():
        raise CaptureError(
            f"The scene '{name}' must be rendered by Blender, which is not in this checkout; run `make setup`, or render it with {SCRIPT} "
            f"into {folder}."
        )
    command = [str(python), str(script), "--scene", name, "--out", str(folder), "--width", str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / TRANSFORMS).is_file():
        raise CaptureError(
            f"Blender did not render the scene '{name}': {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}"
        )
    return folder
