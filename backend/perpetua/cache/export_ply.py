"""A cache as a sequence of PLY files in the layout of the first 3D Gaussian Splatting program, which most viewers read.

    <name>_0000.ply   the moving splats at frame 0 of the take, the picture; then one file a frame
    background.ply    the splats that never move, once

Binary, little endian, float32: ``x y z`` in metres with Z up, ``nx ny nz`` zero, ``f_dc_0..2`` the degree-0 SH
coefficients, ``opacity`` before the sigmoid, ``scale_0..2`` the natural logarithm of metres, ``rot_0..3`` wxyz
(Kerbl et al. 2023, ``GaussianModel.save_ply``).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.cache.whole_file import whole_file
from perpetua.errors import CacheError
from perpetua.progress import Progress
from perpetua_protocol.cache import Cache

Splats = dict[str, NDArray[np.float32]]

PROPERTIES = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
OPACITY_MARGIN = 1e-6
"""Opacities are kept this far from 0 and 1, where the logit is infinite."""
SMALLEST_SCALE_M = 1e-9
"""Scales are kept above this, for their logarithm."""


def export_ply(
    folder: Path, out: Path, progress: Progress | None = None, with_background: bool = False
) -> list[Path]:
    """Write one PLY file per frame of the cache at ``folder`` into ``out``. Returns the paths, frames first.

    The splats that never move go to ``background.ply``, or, ``with_background``, into every frame. Files of the same
    name are exchanged, and those that a longer take left in ``out`` are removed, so that the folder plays as one
    sequence. Raises ``DamagedCache`` if the cache lacks a file, ``CacheError`` if nothing is baked or ``out`` is refused.
    """
    report = progress or Progress()
    cache = Cache(folder)
    frames = cache.meta.frames
    if frames == 0:
        raise CacheError(f"The cache at {folder} has no frames yet; bake a round first.")
    stem = file_stem(cache.meta.name)
    backdrop = ply_rows(cache.background())
    paths: list[Path] = []
    for frame in range(frames):
        rows = ply_rows(cache.frame(frame))
        path = out / f"{stem}_{frame:04d}.ply"
        write_ply(path, np.concatenate([rows, backdrop]) if with_background else rows)
        paths.append(path)
        report((frame + 1) / frames, path.name)
    for path in out.glob("*.ply"):
        match = re.fullmatch(re.escape(stem) + r"_(\d{4,})\.ply", path.name)
        if match and int(match[1]) >= frames:
            path.unlink()
    if with_background:
        (out / "background.ply").unlink(missing_ok=True)
    else:
        paths.append(out / "background.ply")
        write_ply(paths[-1], backdrop)
    cache.close()
    return paths


def ply_rows(splats: Splats) -> NDArray[np.float32]:
    """The cache's attributes of N splats as rows [N, 17] in the order of ``PROPERTIES``."""
    base = splats["radiance_base"]
    opacity = np.clip(base[:, 3].astype(np.float64), OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    rows = np.zeros((len(base), len(PROPERTIES)), "<f4")
    rows[:, 0:3] = splats["position"]
    rows[:, 6:9] = base[:, :3]
    rows[:, 9] = np.log(opacity / (1 - opacity))
    rows[:, 10:13] = np.log(np.maximum(splats["scale"].astype(np.float64), SMALLEST_SCALE_M))
    rows[:, 13:17] = splats["rotation"]
    return rows


def write_ply(path: Path, rows: NDArray[np.float32]) -> None:
    """Write rows [N, 17] of ``ply_rows`` as one binary PLY file. Raises ``CacheError`` if ``path`` is refused."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {name}" for name in PROPERTIES] + ["end_header", ""]
    with whole_file(path) as work, work.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(np.ascontiguousarray(rows, "<f4").data)


def file_stem(name: str) -> str:
    """``name`` with what file systems refuse replaced; ``splats`` if nothing is left."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "splats"
