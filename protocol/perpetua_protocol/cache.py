"""The 4D cache as it lies on disk: the schema of ``meta.json`` and a reader that maps the arrays.

    cache/
      meta.json              CacheMeta, exchanged atomically after every finished round
      background-1f0c.../    splats that never move: position [B,3], scale [B,3], rotation [B,4] wxyz, radiance_base [B,4]
      round_000-93ab.../     frame 0, the picture; then round_001-.../ for the first round, and so on
        position.npy         [T, N, 3] float32, m, Blender's axes
        rotation.npy         [T, N, 4] float32, wxyz
        scale.npy            [T, N, 3] float32, m, standard deviations
        radiance_base.npy    [N, 4] float32: degree-0 SH coefficients of the colour, and opacity in [0, 1]
        radiance_sh.npy      [N, K, 3] float32, only of splats whose colours depend on the view: the coefficients of degrees 1 to 3 (K is 3,
                             8 or 15), of matter at rest; the background's folder has its own
        turn.npy             [T, N, 4] float32, wxyz, only beside those: how the matter has turned since, and its colours with it
        opacity.npy          [T, N] float32, instead of that opacity, in rounds in which it changes: matter comes, or fades
        colour.npy           [T, N, 3] float32, instead of those coefficients, in rounds in which they change: light falls on
                             matter that an emitter lets out, and its shadow on the rest
        refined_<camera>.mp4 the round as its refiner says that it should look, if it has one

A splat seen along the unit direction d, from the eye, has the colour 0.5 + sum_k Y_k(R^T d) c_k, not below 0, with the real basis of Kerbl et
al. (2023), d in Blender's axes and R its ``turn``.

Every array is an ``.npy`` file that playback maps into memory. A folder is named by the digest of what it came from and
appears whole or not at all, so a new bake never touches what an earlier one left. Attribute names
follow Blender 5.3's native splats (``radiance:base`` is ``radiance_base`` here, for file systems that refuse colons).
The displayed colour is ``0.5 + 0.28209479 * coefficient``, in sRGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.errors import ProtocolError
from perpetua_protocol.take import Matrix16, Take, Vec3

FORMAT = "perpetua-4d-cache"
VERSION = 1
SH_C0 = 0.28209479177387814
NOTHING = {
    "position": (0.0, 0.0, 0.0),
    "rotation": (1.0, 0.0, 0.0, 0.0),
    "scale": (1e-6, 1e-6, 1e-6),
    "radiance_base": (0.0, 0.0, 0.0, 0.0),
    "radiance_sh": (0.0, 0.0, 0.0),
    "turn": (1.0, 0.0, 0.0, 0.0),
}
"""Attributes of a splat that is not there yet."""
REFINED = "refined_"
"""How the name of a refined video begins, before its camera's."""
SHEEN, TURN = "radiance_sh", "turn"
"""Attributes that only splats have whose colours depend on the view."""
ATTRIBUTES = ("position", "rotation", "scale", "radiance_base")
MOVING = {"colour": slice(0, 3), "opacity": slice(3, 4)}
"""Columns of ``radiance_base`` that an array of a round may hold for each frame."""


class DamagedCache(ProtocolError):
    """A cache that lacks a file, or holds one that is not what ``meta.json`` says."""

    code = "cache"


class FileRecord(msgspec.Struct, frozen=True):
    """An array file of the cache."""

    sha256: str
    bytes: int


class CameraRecord(msgspec.Struct, frozen=True):
    """A camera as Blender needs it. matrix_world row by row; width and height in pixels."""

    name: str
    role: str
    matrix_world: Matrix16
    horizontal_fov_degrees: float
    width: int
    height: int


class BodyRecord(msgspec.Struct, frozen=True):
    """An object: its name, its material's preset and model, and the box [m] it fills at rest."""

    name: str
    material: str
    model: str
    lower: Vec3
    upper: Vec3


class Finding(msgspec.Struct, frozen=True):
    """A value of the scene's physics that the refined videos speak for. low, high: one standard deviation to either side;
    taken: the take's value, which is found again where an earlier round's finding does not hold."""

    object: str
    """Empty for the wind and the air's drag, which act on all."""
    quantity: str
    """A value of ``MaterialSpec``; or ``wind`` or ``air_drag``, the strength and flow of one of Blender's winds."""
    value: float
    low: float
    high: float
    taken: float
    unit: str
    direction: Vec3 | None = None
    """Where a wind goes."""


class Suggestion(msgspec.Struct, frozen=True):
    """Physics that would have made a round's correction smaller, found by simulating the round with other values."""

    findings: list[Finding] = []
    explains: float = 0.0
    """Share of the correction (mean square of particles' displacement) that it makes unnecessary, 0 to 1."""
    simulations: int = 0
    """How often the round was simulated to find out."""
    accepted: bool = False
    """Whether the round was played again, and the next one goes on, with these values."""


class RoundRecord(msgspec.Struct, frozen=True):
    """A finished round. Its arrays hold frames ``start`` to ``start + frames - 1`` of the take."""

    index: int
    start: int
    frames: int
    folder: str
    digest: str
    """Of everything the round came from."""
    state_sha256: str
    """Of the state the next round starts from: equal for equal bakes on the same machine."""
    seconds: float
    """Time the round took to bake; 0 when it came from an earlier bake's stages."""
    suggestion: Suggestion = Suggestion()
    """What the round's videos say of the physics, if the take asks for it (``identify``)."""
    bounds: tuple[Vec3, Vec3] | None = None
    """Lower and upper corner, m, of the box in which soft matter was computed at its end; None without soft matter."""


class CacheMeta(msgspec.Struct, frozen=True):
    """``meta.json``."""

    name: str
    fps: float
    rounds: list[RoundRecord]
    cameras: list[CameraRecord]
    bodies: list[BodyRecord]
    background: int
    """Number of splats that never move."""
    foreground: int
    """Number of splats that do, in the last round. Each round has the splats of those before it, in the same places, and at the end
    what its emitters let out; ``Cache.frame`` has all of them in every frame."""
    particles: int
    particle_spacing: float
    """m"""
    lower: Vec3
    """Corner of the box around all that moves, in the picture, m."""
    upper: Vec3
    files: dict[str, FileRecord]
    """By path relative to the cache's folder, with forward slashes."""
    take: Take
    backend: str
    """Version of the program that baked it."""
    background_folder: str = "background"
    format: str = FORMAT
    version: int = VERSION

    @property
    def frames(self) -> int:
        """Frames in the cache, the picture's included."""
        return sum(r.frames for r in self.rounds)


class Cache:
    """A cache opened for reading; arrays are mapped, not read."""

    def __init__(self, folder: Path) -> None:
        """Raises ``DamagedCache`` if ``folder`` holds no cache of this version."""
        self.folder = Path(folder)
        self.meta = read_meta(self.folder)
        self._maps: dict[str, NDArray[np.float32]] = {}

    def array(self, name: str) -> NDArray[np.float32]:
        """The array at ``name``, such as ``"round_001/position.npy"``, mapped read-only."""
        if name not in self._maps:
            self._maps[name] = np.load(self.path(name), mmap_mode="r", allow_pickle=False)
        return self._maps[name]

    def path(self, name: str) -> Path:
        """Where a file of the cache lies. Raises ``DamagedCache`` when it is missing, or not as long as it was."""
        record = self.meta.files.get(name)
        path = self.folder / name
        if record is None or not path.is_file() or path.stat().st_size != record.bytes:
            raise DamagedCache(
                f"The cache at {self.folder} lacks {name} or it is cut short; bake that round again."
            )
        return path

    def background(self) -> dict[str, NDArray[np.float32]]:
        """The splats that never move, by attribute name; ``SHEEN`` only where they have it."""
        folder = self.meta.background_folder
        names = (*ATTRIBUTES, SHEEN) if f"{folder}/{SHEEN}.npy" in self.meta.files else ATTRIBUTES
        return {a: self.array(f"{folder}/{a}.npy") for a in names}

    def frame(self, number: int) -> dict[str, NDArray[np.float32]]:
        """Attributes of the moving splats at a frame of the take, ``SHEEN`` and ``TURN`` only where they have them; outside the baked
        range the nearest frame.

        A splat that only a later round brings is a clear point at the origin.
        """
        round_, local = self.locate(number)
        animated: dict[str, Any] = {
            a: self.array(f"{round_.folder}/{a}.npy")[local] for a in ("position", "rotation", "scale")
        }
        base = self.array(f"{round_.folder}/radiance_base.npy")
        if self.radiance_moves(round_):
            base = base.copy()
            for name, columns in MOVING.items():
                if f"{round_.folder}/{name}.npy" in self.meta.files:
                    base[:, columns] = self.array(f"{round_.folder}/{name}.npy")[local].reshape(len(base), -1)
        animated["radiance_base"] = base
        if f"{round_.folder}/{SHEEN}.npy" in self.meta.files:
            animated[SHEEN] = self.array(f"{round_.folder}/{SHEEN}.npy")
            animated[TURN] = self.array(f"{round_.folder}/{TURN}.npy")[local]
        missing = self.meta.foreground - len(base)
        if missing > 0:
            for name, array in animated.items():
                rest = np.broadcast_to(np.array(NOTHING[name], np.float32), (missing, *array.shape[1:]))
                animated[name] = np.concatenate([array, rest])
        return animated

    def radiance_moves(self, round_: RoundRecord) -> bool:
        """Whether splats appear, fade or change their colours during a round."""
        return any(f"{round_.folder}/{name}.npy" in self.meta.files for name in MOVING)

    def locate(self, number: int) -> tuple[RoundRecord, int]:
        """The round a frame belongs to and the frame's place in that round's arrays."""
        number = min(max(number, 0), self.meta.frames - 1)
        for record in self.meta.rounds:
            if number < record.start + record.frames:
                return record, number - record.start
        raise DamagedCache(f"The cache at {self.folder} has no round for frame {number}; bake it again.")

    def close(self) -> None:
        """Let go of the mapped files (Windows cannot delete a mapped file)."""
        self._maps.clear()


def read_meta(folder: Path, name: str = "meta.json") -> CacheMeta:
    """Read ``meta.json``, or the file ``name`` beside it. Raises ``DamagedCache`` with what is wrong."""
    try:
        meta = msgspec.json.decode((folder / name).read_bytes(), type=CacheMeta)
    except FileNotFoundError as error:
        raise DamagedCache(f"There is no cache at {folder}; bake the take first.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedCache(
            f"The cache at {folder} is not readable ({error}); delete it and bake again."
        ) from error
    if meta.format != FORMAT or meta.version != VERSION:
        raise DamagedCache(
            f"The cache at {folder} has format {meta.format} {meta.version}, this program reads {FORMAT} {VERSION}; bake again."
        )
    return meta
