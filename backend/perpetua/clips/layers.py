"""Reads the files a clip is made of, each whole and checked, or says which is wrong and what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ClipError
from perpetua.exr import read_exr_depth
from perpetua.mp4 import read_video

FAR_M = 1e8
"""Renderers write a number like 1e10 where nothing is hit; beyond this, depth counts as none."""


def read_rgb(folder: Path, name: str) -> tuple[NDArray[np.uint8], float | None]:
    """([T, H, W, 3], frames per second if the file says so) of ``<name>.mp4`` or of the PNG files in ``<name>/``."""
    path = folder / f"{name}.mp4"
    if path.is_file():
        try:
            movie = read_video(path)
        except OSError as error:
            raise ClipError(f"{path} cannot be read ({error}); encode it again as H.264.") from error
        return movie.frames, movie.fps
    frames = [cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in _pictures(folder / name, cv2.IMREAD_COLOR)]
    return np.stack(frames), None


def read_depth(folder: Path, inverse_depth_per_count: float | None) -> NDArray[np.float32] | None:
    """[T, H, W] m from ``depth.npz`` (``depth`` in m, or ``inverse_depth`` counts and ``inverse_depth_per_count`` 1/m), or from
    the EXR or 16-bit PNG files in ``depth/``; None if there are none. Infinite becomes 0, which means no depth."""
    packed, loose = folder / "depth.npz", folder / "depth"
    if packed.is_file():
        depth, path = _packed_depth(packed), packed
    elif loose.is_dir():
        exr = sorted(loose.glob("*.exr"))
        depth, path = (_exr_depth(exr) if exr else _png_depth(loose, inverse_depth_per_count)), loose
    else:
        return None
    wrong = np.isnan(depth).reshape(len(depth), -1).any(1)
    if wrong.any():
        raise ClipError(
            f"{path} holds NaN in frame {int(wrong.argmax())}; write 0 where there is no depth, and look why it has none."
        )
    if (depth < 0).any():
        raise ClipError(f"{path} holds negative depth; write metres along the optical axis, 0 for none.")
    return np.where(depth < FAR_M, depth, 0).astype(np.float32)


def read_arrays(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, NDArray] | None:
    """The named arrays of an ``.npz``, or of a JSON object of lists; None if there is no such file."""
    if not path.is_file():
        return None
    found = _json_arrays(path) if path.suffix == ".json" else _npz_arrays(path)
    for name in needed:
        if name not in found:
            raise ClipError(
                f"{path} lacks '{name}' (it has {', '.join(sorted(found)) or 'nothing'}); add it."
            )
    kept = {name: found[name] for name in (*needed, *optional) if name in found}
    for name, array in kept.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ClipError(
                f"{path} holds NaN or infinity in '{name}'; find where they come from and write it again."
            )
    return kept


def same_shape(path: Path, array: NDArray, shape: tuple[int, ...], name: str = "depth") -> None:
    """Raise ``ClipError`` unless ``array`` has ``shape``."""
    if array.shape != shape:
        raise ClipError(
            f"{path} holds '{name}' of shape {list(array.shape)} where the clip's video asks for {list(shape)}; "
            "write it for the same frames and pixels as rgb."
        )


def _packed_depth(path: Path) -> NDArray:
    found = _npz_arrays(path)
    if "depth" in found:
        return found["depth"].astype(np.float32)
    if "inverse_depth" not in found or "inverse_depth_per_count" not in found:
        raise ClipError(
            f"{path} has neither 'depth' nor 'inverse_depth' with 'inverse_depth_per_count'; add what is missing."
        )
    return _from_counts(found["inverse_depth"], float(found["inverse_depth_per_count"]))


def _from_counts(counts: NDArray, per_count: float) -> NDArray:
    """m; a count of 0 means no depth."""
    inverse = counts.astype(np.float64) * per_count
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)


def _exr_depth(paths: list[Path]) -> NDArray:
    frames = [read_exr_depth(path) for path in paths]
    return _stacked(paths, frames)


def _png_depth(folder: Path, per_count: float | None) -> NDArray:
    frames = _pictures(folder, cv2.IMREAD_UNCHANGED)
    if per_count is None:
        raise ClipError(
            f"{folder} holds depth as 16-bit pictures, but clip.json has no inverse_depth_per_count; add it: 1/m a count."
        )
    if any(f.dtype != np.uint16 or f.ndim != 2 for f in frames):
        raise ClipError(
            f"{folder} holds pictures that are not 16-bit and grey; write inverse depth as uint16 PNG."
        )
    return _from_counts(np.stack(frames), per_count)


def _pictures(folder: Path, mode: int) -> list[NDArray]:
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise ClipError(
            f"{folder} holds no PNG files, and there is no {folder.name}.mp4 beside it; add one of the two."
        )
    frames: list[NDArray] = []
    for path in paths:
        picture = cv2.imread(str(path), mode)
        if picture is None:
            raise ClipError(f"{path} is no picture that can be read; write it again.")
        frames.append(picture)
    return list(_stacked(paths, frames))


def _stacked(paths: list[Path], frames: list[NDArray]) -> NDArray:
    for path, frame in zip(paths, frames):
        if frame.shape != frames[0].shape:
            raise ClipError(f"{path} has another size than {paths[0].name}; write all frames at one size.")
    return np.stack(frames)


def _npz_arrays(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ClipError(f"{path} is no readable .npz of plain arrays ({error}); write it again.") from error


def _json_arrays(path: Path) -> dict[str, NDArray]:
    try:
        data = msgspec.json.decode(path.read_bytes(), type=dict[str, list])
        return {name: np.asarray(value, dtype=np.float64) for name, value in data.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise ClipError(
            f"{path} is no readable JSON object of number lists ({error}); write it again."
        ) from error
