"""Checkpoints of safetensors on disk: whether they are whole, and what tells one from another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

PICKLED = ("*.bin", "*.pt*", "*.ckpt")


def damage(folder: Path) -> str | None:
    """Why the weights in ``folder`` cannot be read, a sentence, or None: .safetensors must be there, and each that an index names."""
    indices = sorted(folder.glob("*.safetensors.index.json"))
    shards = {s for index in indices for s in json.loads(index.read_text())["weight_map"].values()}
    if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
        return f"{folder} lacks {missing[0]}; copy the checkpoint again, whole."
    if any(folder.glob("*.safetensors")):
        return None
    if any(file for kind in PICKLED for file in folder.glob(kind)):
        return f"{folder} holds no .safetensors, only pickled weights, which are not read; get the safetensors ones."
    return f"{folder} holds no .safetensors; copy the checkpoint again, whole."


def identity(folder: Path) -> dict[str, list[int]]:
    """Names, sizes and times (ns) of a checkpoint's files: with other weights in the same folder it is another checkpoint."""
    return stamps(folder, [*sorted(folder.rglob("*.safetensors")), *sorted(folder.rglob("*.json"))])


def stamps(folder: Path, files: Iterable[Path]) -> dict[str, list[int]]:
    """Size and time (ns) of ``files``, by their names within ``folder``."""
    stats = {path.relative_to(folder).as_posix(): path.stat() for path in files}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def gigabytes(folder: Path) -> float:
    """Size of a checkpoint's weights, 1e9 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e9


def leads_out(name: str) -> bool:
    """Whether ``name`` is a path to elsewhere and no name inside the models folder."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
