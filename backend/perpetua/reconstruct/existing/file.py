"""Read splats that another program trained.

.ply     the layout of the first 3D Gaussian Splatting program (Kerbl et al. 2023, ``GaussianModel.save_ply``): x y z, f_dc_0..2,
         f_rest_0.. (colour by colour), opacity before the sigmoid, scale_0..2 logarithms, rot_0..3 wxyz
.splat   32 bytes a splat: position and standard deviations as 6 float32, RGBA and wxyz as 8 uint8 (rotation 128 + 128 q)
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import SplatError
from perpetua.scene.gaussians import SH_C0, Gaussians
from perpetua_protocol.inputs import PACKED_SPLATS

FEWEST = 100
"""Splats below which nothing can be told of a surface."""
MOST = 8_000_000
"""Splats above which memory would not last."""
MOST_BROKEN = 0.01
"""Share of splats with values that are not finite (some trainers leave a few); they are left out."""
HEADER_BYTES = 1 << 16
DEGREES = {0: 0, 9: 1, 24: 2, 45: 3}
"""Degree of the spherical harmonics by the number of ``f_rest`` properties."""
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_NEEDED = (
    "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
_EXPORT = "export it as an uncompressed 3D Gaussian Splatting PLY (for example from SuperSplat)"
_SPLAT = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])


def read_splats(path: Path) -> Gaussians:
    """The splats in a file, in its own axes and unit. Raises ``SplatError``."""
    if not path.is_file():
        raise SplatError(f"There is no file at {path}; check the path of the take's splats.")
    if path.suffix.lower() in PACKED_SPLATS:
        raise SplatError(f"{path.name} is compressed; {_EXPORT}.")
    splats = _splat(path) if path.suffix.lower() == ".splat" else _ply(path)
    return _checked(splats, path.name)


def _ply(path: Path) -> Gaussians:
    count, dtype, start = _header(path)
    missing = [name for name in _NEEDED if name not in (dtype.names or ())]
    if "packed_position" in (dtype.names or ()):
        raise SplatError(f"{path.name} is compressed; {_EXPORT}.")
    if missing:
        raise SplatError(
            f"{path.name} has no {missing[0]}: it is a mesh or a cloud of points, no set of splats; {_EXPORT}."
        )
    rest = [name for name in dtype.names or () if name.startswith("f_rest_")]
    if len(rest) not in DEGREES:
        raise SplatError(
            f"{path.name} has {len(rest)} coefficients f_rest, which is no degree of spherical harmonics; {_EXPORT}."
        )
    if path.stat().st_size < start + count * dtype.itemsize:
        raise SplatError(
            f"{path.name} ends before its {count} splats do; it was not copied or written whole. Copy it again."
        )
    rows = np.memmap(path, dtype, "r", start, (count,)) if count else np.empty(0, dtype)

    def columns(*names: str) -> NDArray[np.float32]:
        return np.stack([rows[name].astype(np.float32) for name in names], -1)

    sh = [columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]]
    if rest:  # colour by colour in the file
        names = [f"f_rest_{i}" for i in range(len(rest))]
        sh.append(columns(*names).reshape(count, 3, -1).transpose(0, 2, 1))
    return Gaussians(
        torch.from_numpy(columns("x", "y", "z")),
        torch.from_numpy(columns("rot_0", "rot_1", "rot_2", "rot_3")),
        torch.from_numpy(columns("scale_0", "scale_1", "scale_2")),
        torch.from_numpy(rows["opacity"].astype(np.float32)),
        torch.from_numpy(np.ascontiguousarray(np.concatenate(sh, 1))),
    )


def _header(path: Path) -> tuple[int, np.dtype[np.void], int]:
    """(number of splats, type of one, byte at which they begin)."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    end = head.find(b"end_header")
    if not head.startswith(b"ply") or end < 0:
        raise SplatError(f"{path.name} is no PLY file; {_EXPORT}.")
    newline = head.find(b"\n", end)
    order, count, fields = "", -1, []
    for line in head[:end].decode("ascii", "replace").splitlines():
        match line.split():
            case ["format", name, _]:
                order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(name, "")
            case ["element", "vertex", number] if count < 0 and number.isdigit():
                count = int(number)
            case ["element", name, *_] if count < 0:
                raise SplatError(
                    f"{path.name} begins with '{name}' and not with its splats; it may be compressed: {_EXPORT}."
                )
            case ["element", *_]:
                break
            case ["property", kind, name] if kind in _TYPES:
                fields.append((name, kind))
    if not order:
        raise SplatError(f"{path.name} is a PLY file in text; {_EXPORT}.")
    names = [name for name, _ in fields]
    if count < 0 or not fields or len(set(names)) < len(names):
        raise SplatError(f"The header of {path.name} is damaged; {_EXPORT}.")
    if count > MOST:
        raise SplatError(f"{path.name} has {count} splats; reduce it to {MOST} at most.")
    return count, np.dtype([(name, order + _TYPES[kind]) for name, kind in fields]), newline + 1


def _splat(path: Path) -> Gaussians:
    size = path.stat().st_size
    if size % _SPLAT.itemsize:
        raise SplatError(
            f"{path.name} is {size} bytes, no multiple of {_SPLAT.itemsize}: it is no .splat file, or was not copied whole. Copy it again."
        )
    if size > MOST * _SPLAT.itemsize:
        raise SplatError(f"{path.name} has {size // _SPLAT.itemsize} splats; reduce it to {MOST} at most.")
    rows = np.fromfile(path, _SPLAT)
    rgba = rows["rgba"].astype(np.float32) / 255
    opacity = np.clip(rgba[:, 3], 0.5 / 255, 1 - 0.5 / 255)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not above zero is found and left out
        log_scales = np.log(rows["scales"])
    return Gaussians(
        torch.from_numpy(rows["means"].copy()),
        torch.from_numpy((rows["quats"].astype(np.float32) - 128) / 128),
        torch.from_numpy(log_scales),
        torch.from_numpy(np.log(opacity / (1 - opacity))),
        torch.from_numpy((rgba[:, None, :3] - 0.5) / SH_C0),
    )


def _checked(splats: Gaussians, name: str) -> Gaussians:
    """Without the few that are broken. An opacity of 0 or 1 has an infinite logit in some files, which is brought into range."""
    logits = splats.opacity_logits.clamp(-20.0, 20.0)
    good = torch.isfinite(logits) & (splats.quats.norm(dim=-1) > 1e-6)
    for values in (splats.means, splats.quats, splats.log_scales, splats.sh.flatten(1)):
        good &= torch.isfinite(values).all(1)
    broken = int((~good).sum())
    if len(splats) < FEWEST:
        raise SplatError(f"{name} holds {len(splats)} splats, too few for a scene; export the whole scene.")
    if broken > math.ceil(MOST_BROKEN * len(splats)):
        raise SplatError(
            f"{broken} of the {len(splats)} splats of {name} hold values that are no finite numbers; the file is damaged. "
            "Export it again."
        )
    whole = Gaussians(splats.means, splats.quats, splats.log_scales, logits, splats.sh)
    return whole[good]
