"""A cache as a sequence of PLY files in the layout of the first 3D Gaussian Splatting program, which most viewers read.

    <name>_0000.ply   the moving splats at frame 0 of the take, the picture; then one file a frame
    background.ply    the splats that never move, once

Binary, little endian, float32: ``x y z`` in metres with Z up, ``nx ny nz`` zero, ``f_dc_0..2`` the degree-0 SH
coefficients, ``f_rest_0..`` those of higher degrees, colour by colour, where the splats have any, ``opacity`` before the
sigmoid, ``scale_0..2`` the natural logarithm of metres, ``rot_0..3`` wxyz (Kerbl et al. 2023, ``GaussianModel.save_ply``).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.cache.arrays import gaussians_of
from perpetua.cache.whole_file import whole_file
from perpetua.errors import CacheError
from perpetua.progress import Progress
from perpetua.scene import Gaussians
from perpetua_protocol.cache import Cache

BEFORE_REST = ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2")
AFTER_REST = ("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
PROPERTIES = (*BEFORE_REST, *AFTER_REST)
"""Of splats of degree 0."""


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
    still = gaussians_of(cache.background())
    paths: list[Path] = []
    for frame in range(frames):
        splats = gaussians_of(cache.frame(frame))
        path = out / f"{stem}_{frame:04d}.ply"
        write_ply(path, ply_rows(Gaussians.cat([splats, still]) if with_background else splats))
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
        write_ply(paths[-1], ply_rows(still))
    cache.close()
    return paths


def ply_rows(splats: Gaussians) -> NDArray[np.float32]:
    """N splats as rows [N, 17 + 3 K] in the order of ``properties``; K is the number of coefficients of higher degrees."""
    rest = splats.sh[:, 1:].transpose(1, 2).flatten(1)
    columns = (
        splats.means,
        torch.zeros(len(splats), 3),
        splats.sh[:, 0],
        rest,
        splats.opacity_logits[:, None],
    )
    return torch.cat([*columns, splats.log_scales, splats.quats], 1).numpy().astype("<f4", copy=False)


def properties(width: int) -> list[str]:
    """Names of the columns of rows that are ``width`` numbers long."""
    rest = [f"f_rest_{i}" for i in range(width - len(PROPERTIES))]
    return [*BEFORE_REST, *rest, *AFTER_REST]


def write_ply(path: Path, rows: NDArray[np.float32]) -> None:
    """Write rows of ``ply_rows`` as one binary PLY file. Raises ``CacheError`` if ``path`` is refused."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {name}" for name in properties(rows.shape[1])] + ["end_header", ""]
    with whole_file(path) as work, work.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(np.ascontiguousarray(rows, "<f4").data)


def file_stem(name: str) -> str:
    """``name`` with what file systems refuse replaced; ``splats`` if nothing is left."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "splats"
