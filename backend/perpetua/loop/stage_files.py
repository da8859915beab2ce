"""What stages write into their folders, and how it is read again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch

from perpetua.identify.quantities import Known
from perpetua.loop.resume import Stage
from perpetua.optimize.api import Correction
from perpetua.refine.api import Memory, RenderedVideo
from perpetua.scene import Camera, Scene, State, Trajectory
from perpetua.scene.emission import with_looks
from perpetua_protocol.cache import Suggestion
from perpetua_protocol.take import Vec3

VIDEO_ARRAYS = ("rgb", "alpha", "depth", "flow", "masks")
"""Of a rendered video, as files; the last two only where a refiner needs them."""
KNOWN = "known.json"


def load_state(stage: Stage) -> State:
    """The state a round starts from."""
    return State.load(stage.path("state.npz"))


def load_idle(stage: Stage) -> list[str]:
    """Names of the actions that reached no object in a simulated round."""
    return msgspec.json.decode(stage.path("idle.json").read_bytes(), type=list[str])


def load_known(stage: Stage) -> Known:
    """What is known of the physics at a stage; nothing where none was found out."""
    path = stage.path(KNOWN)
    return msgspec.json.decode(path.read_bytes(), type=Known) if path.exists() else Known()


def save_known(folder: Path, known: Known) -> None:
    """Written only where something is known, so that a take that asks for nothing has no more files."""
    if known.x:
        (folder / KNOWN).write_bytes(msgspec.json.encode(known, order="deterministic"))


def save_suggestion(folder: Path, suggestion: Suggestion) -> None:
    (folder / "suggestion.json").write_bytes(msgspec.json.encode(suggestion))


def load_suggestion(stage: Stage | None) -> Suggestion:
    """What a round's videos say of the physics."""
    if stage is None:
        return Suggestion()
    return msgspec.json.decode(stage.path("suggestion.json").read_bytes(), type=Suggestion)


def load_bounds(stage: Stage) -> tuple[Vec3, Vec3] | None:
    """Corners, m, of the box in which soft matter was computed at the end of a simulated round; None without soft matter, and for rounds
    of earlier versions, which did not keep it."""
    path = stage.path("bounds.json")
    return msgspec.json.decode(path.read_bytes(), type=tuple[Vec3, Vec3] | None) if path.exists() else None


def load_correction(stage: Stage) -> Correction:
    return Correction.load(stage.path("correction.npz"))


def save_looks(folder: Path, scene: Scene) -> None:
    """What rounds correct of how a scene's splats look: their colours, and where on their particles they sit."""
    np.save(folder / "sh.npy", scene.foreground.sh.numpy())
    np.save(folder / "offsets.npy", scene.binding.offsets.numpy())


def scene_at(scene: Scene, stage: Stage) -> Scene:
    """``scene`` with the looks that the rounds before ``stage`` corrected; earlier versions corrected colours only."""
    sh, places = (stage.path(f"{name}.npy") for name in ("sh", "offsets"))
    offsets = torch.from_numpy(np.load(places)) if places.exists() else None
    return with_looks(scene, torch.from_numpy(np.load(sh)), offsets)


def save_trajectory(folder: Path, trajectory: Trajectory) -> None:
    for name in ("positions", "F", "times"):
        np.save(folder / f"{name}.npy", getattr(trajectory, name))


def load_trajectory(stage: Stage) -> Trajectory:
    return Trajectory(*(np.load(stage.path(f"{name}.npy")) for name in ("positions", "F", "times")))


def save_video(folder: Path, video: RenderedVideo) -> None:
    for name in VIDEO_ARRAYS:
        array = getattr(video, name)
        if array is not None:
            np.save(folder / f"{name}.npy", array)


def load_video(stage: Stage, camera: Camera) -> RenderedVideo:
    paths = {name: stage.path(f"{name}.npy") for name in VIDEO_ARRAYS}
    arrays = {name: np.load(path) for name, path in paths.items() if path.exists()}
    return RenderedVideo(camera, **arrays, key=stage.key)


def save_memory(folder: Path, memory: Memory) -> None:
    np.savez(folder / "memory.npz", **memory)  # type: ignore[arg-type]  # numpy types the keywords as allow_pickle


def load_memory(stage: Stage) -> Memory:
    with np.load(stage.path("memory.npz"), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}
