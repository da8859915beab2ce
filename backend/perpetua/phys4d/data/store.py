"""Clips on disk: a Parquet shard for each scene, a row in it for each camera, and one index over all of them.

    DIR/config.yaml               what was asked for
    DIR/shards/<scene>.parquet    row: what is said of the clip, and its arrays as bytes, with their shapes
    DIR/motion/<scene>.npz        the coarse simulation's motion (``motion.py``)
    DIR/failed/<scene>.json       scenes that could not be simulated, and why
    DIR/index.parquet             what is said of every clip, with its shard and row

A shard is written whole or not at all, each row a row group of its own, so that one clip is read without the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from perpetua.errors import DataError
from perpetua.phys4d.data.clip import DTYPES, ClipArrays, check

FORMAT, VERSION = "perpetua-data", 1
COARSE = "2"
"""How coarse films are made; those of shards that say otherwise are made anew, and nothing else of them."""
INDEX = "index.parquet"
Split = Literal["train", "test", "unseen", "all"]
"""Clips to train on; those held out; of these, the ones of scenes that no clip of is trained on, since a held-out camera may film a
scene that others show in training; every clip."""


class About(msgspec.Struct, frozen=True):
    """What is said of a clip. split: 'train' or 'test'; held_out: why it is in the test.  spec: the scene's description, JSON.
    versions: of the programs that made it, JSON.  seconds: that its scene took, by stage, JSON."""

    clip: str
    scene: str
    category: str
    template: str
    camera: str
    path: str
    seed: int
    split: str
    held_out: str
    frames: int
    width: int
    height: int
    fps: float
    things: int
    spec: str
    versions: str
    seconds: str


@dataclass(frozen=True)
class Entry:
    """A clip of an index: what is said of it, and where it is."""

    about: About
    shard: Path
    row: int


def is_done(folder: Path, scene: str) -> bool:
    """Whether a scene has its shard, with coarse films as they are made today, or is known to fail."""
    shard = shard_of(folder, scene)
    if not shard.is_file():
        return (folder / "failed" / f"{scene}.json").is_file()
    return _metadata(shard).get("coarse") == COARSE


def shard_of(folder: Path, scene: str) -> Path:
    """Where a scene's shard is, or will be."""
    return folder / "shards" / f"{scene}.parquet"


def write_shard(folder: Path, scene: str, clips: Sequence[tuple[About, ClipArrays]]) -> Path:
    """Write the clips of one scene."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = shard_of(folder, scene)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for about, arrays in clips:
        check(arrays, about.clip)
        row: dict[str, Any] = msgspec.structs.asdict(about)
        for field in fields(ClipArrays):
            array = np.ascontiguousarray(getattr(arrays, field.name), DTYPES[field.name])
            row[field.name] = array.tobytes()
            row[f"{field.name}_shape"] = list(array.shape)
        rows.append(row)
    metadata = {"format": FORMAT, "version": str(VERSION), "coarse": COARSE}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(metadata)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    pq.write_table(table, unfinished, compression="zstd", row_group_size=1)
    os.replace(unfinished, path)
    return path


def write_index(folder: Path) -> int:
    """Gather what the shards say of their clips into the index; returns how many clips there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = list(About.__struct_fields__)
    tables = []
    for path in sorted((folder / "shards").glob("*.parquet")):
        table = pq.read_table(path, columns=said)
        table = table.append_column("shard", pa.array([path.name] * len(table)))
        tables.append(table.append_column("row", pa.array(range(len(table)))))
    if not tables:
        return 0
    whole = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    whole = whole.replace_schema_metadata({"format": FORMAT, "version": str(VERSION)})
    unfinished = folder / f"{INDEX}.{os.getpid()}.tmp"
    pq.write_table(whole, unfinished, compression="zstd")
    os.replace(unfinished, folder / INDEX)
    return len(whole)


def read_shard(folder: Path, scene: str) -> list[tuple[About, ClipArrays]]:
    """The clips of one scene, of any coarse films. Raises ``DataError`` naming the shard that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = shard_of(folder, scene)
    try:
        rows = pq.read_table(path, columns=list(About.__struct_fields__)).to_pylist()
        said = [msgspec.convert(row, About) for row in rows]
    except (pa.ArrowInvalid, OSError, KeyError, msgspec.ValidationError) as error:
        raise _damaged(path, error) from error
    return list(read_clips([Entry(about, path, row) for row, about in enumerate(said)]))


def read_index(folder: Path) -> list[Entry]:
    """All clips of a data set, in the order of their names. Raises ``DataError`` if it has none or is of another version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"{folder} has no {INDEX}; give a folder that `perpetua data generate` has finished.")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} is no readable Parquet file ({error}); run `perpetua data generate` again."
        ) from error
    _same_version(path, table.schema.metadata)
    entries = []
    for row in table.to_pylist():
        try:
            shard, number = folder / "shards" / row.pop("shard"), row.pop("row")
            about = msgspec.convert(row, About)
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise DataError(
                f"{path} does not say what a clip needs ({error}); delete it and run `perpetua data generate` again."
            ) from error
        if not shard.is_file():
            raise DataError(
                f"{shard} is missing, which {path} names; run `perpetua data generate` again to make it anew."
            )
        entries.append(Entry(about, shard, number))
    return sorted(entries, key=lambda entry: entry.about.clip)


def read_split(folder: Path, split: Split) -> list[Entry]:
    """The clips of a split, as ``read_index``. Raises ``DataError`` if there are none."""
    entries = read_index(folder)
    trained_on = {e.about.scene for e in entries if e.about.split == "train"}
    chosen = [
        e
        for e in entries
        if split in ("all", e.about.split) or (split == "unseen" and e.about.scene not in trained_on)
    ]
    if not chosen:
        raise DataError(
            f"{folder} has no clips of the split '{split}'; choose another, or generate more scenes."
        )
    return chosen


def read_clip(entry: Entry) -> ClipArrays:
    """The arrays of one clip. Raises ``DataError`` naming the shard that is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f.name for f in fields(ClipArrays)]
    try:
        file = pq.ParquetFile(entry.shard)
        _same_version(entry.shard, file.schema_arrow.metadata)
        row = file.read_row_group(entry.row, columns=[*names, *(f"{n}_shape" for n in names)]).to_pylist()[0]
        found = {n: np.frombuffer(row[n], DTYPES[n]).reshape(row[f"{n}_shape"]) for n in names}
    except (pa.ArrowInvalid, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(entry.shard, error) from error
    clip = ClipArrays(**found)
    check(clip, f"{entry.about.clip} in {entry.shard}")
    return clip


def read_clips(entries: Sequence[Entry]) -> Iterator[tuple[About, ClipArrays]]:
    """The clips of ``entries``, one after another."""
    for entry in entries:
        yield entry.about, read_clip(entry)


def _damaged(shard: Path, error: Exception) -> DataError:
    return DataError(f"{shard} is damaged ({error}); delete it and run `perpetua data generate` again.")


def _metadata(shard: Path) -> dict[str, str]:
    """What a shard says of itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found: Mapping[bytes, bytes] = pq.read_schema(shard).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(shard, error) from error
    return {k.decode(): v.decode() for k, v in found.items()}


def _same_version(path: Path, metadata: Mapping[bytes, bytes] | None) -> None:
    found = {k.decode(): v.decode() for k, v in (metadata or {}).items() if k in (b"format", b"version")}
    if found != {"format": FORMAT, "version": str(VERSION)}:
        raise DataError(
            f"{path} is {found.get('format', 'of an unknown format')} {found.get('version', '')}, this program reads {FORMAT} "
            f"{VERSION}; make the data again."
        )
