"""Shards, the index, what is refused, and folders that the evaluation reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perpetua.cli.data import inspect_data
from perpetua.clips.clip import read_clip as read_folder
from perpetua.errors import DataError
from perpetua.phys4d.data.clip import ClipArrays, counts_of, depth_of
from perpetua.phys4d.data.store import (
    Split,
    is_done,
    read_clip,
    read_index,
    read_shard,
    read_split,
    shard_of,
    write_index,
    write_shard,
)
from perpetua.phys4d.data.unpack import unpack
from perpetua.progress import Progress

from .conftest import make_about, make_arrays


def make_data(folder: Path) -> None:
    for number, scene in enumerate(("soft_000000", "soft_000001")):
        clips = [(make_about(scene, f"fixed_{i}"), make_arrays(10 * number + i)) for i in range(2)]
        write_shard(folder, scene, clips)
    assert write_index(folder) == 4


def test_depth_is_kept_to_a_part_in_thousands_and_none_stays_none() -> None:
    depth = np.array([0.0, 0.31, 0.5, 1.7, 9.0])
    counts, per_count = counts_of(depth)
    back = depth_of(counts, per_count)
    assert counts[1] == 65535
    assert back[0] == 0
    assert back[1:] == pytest.approx(depth[1:], rel=1e-3)
    assert counts_of(np.zeros(3))[0].max() == 0


def test_clips_come_back_as_they_were_written(tmp_path: Path) -> None:
    make_data(tmp_path)
    entries = read_index(tmp_path)
    assert [e.about.clip for e in entries] == [f"soft_00000{s}_fixed_{i}" for s in range(2) for i in range(2)]
    back, was = read_clip(entries[3]), make_arrays(11)
    for field in fields(ClipArrays):
        assert getattr(back, field.name).dtype == getattr(was, field.name).dtype
        assert np.array_equal(getattr(back, field.name), getattr(was, field.name)), field.name


def test_a_shard_with_other_coarse_films_is_read_but_not_done(tmp_path: Path) -> None:
    make_data(tmp_path)
    assert is_done(tmp_path, "soft_000000")
    assert not is_done(tmp_path, "soft_000009")
    path = shard_of(tmp_path, "soft_000000")
    table = pq.read_table(path)
    said = {k: v for k, v in table.schema.metadata.items() if k != b"coarse"}
    pq.write_table(table.replace_schema_metadata(said), path, row_group_size=1)
    assert not is_done(tmp_path, "soft_000000")
    (about, clip), (other, _) = read_shard(tmp_path, "soft_000000")
    assert (about.camera, other.camera) == ("fixed_0", "fixed_1")
    assert np.array_equal(clip.rgb, make_arrays(0).rgb)
    path.write_bytes(b"PAR1 and no more")
    for reads in (is_done, read_shard):
        with pytest.raises(DataError, match=r"soft_000000\.parquet is damaged"):
            reads(tmp_path, "soft_000000")


def test_what_is_damaged_or_missing_is_named(tmp_path: Path, arrays: ClipArrays) -> None:
    with pytest.raises(DataError, match=r"index\.parquet"):
        read_index(tmp_path)
    make_data(tmp_path)
    entry = read_index(tmp_path)[0]
    whole = entry.shard.read_bytes()
    entry.shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="soft_000000"):
        read_clip(entry)
    entry.shard.unlink()
    with pytest.raises(DataError, match="missing"):
        read_index(tmp_path)
    (tmp_path / "index.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="no readable Parquet"):
        read_index(tmp_path)
    bad = arrays.flow.copy()
    bad[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="flow"):
        write_shard(tmp_path, "s", [(make_about("s", "c"), replace(arrays, flow=bad))])
    with pytest.raises(DataError, match="masks of shape"):
        write_shard(tmp_path, "s", [(make_about("s", "c"), replace(arrays, masks=arrays.masks[:2]))])
    assert not list((tmp_path / "shards").glob("s*.tmp"))


def rewritten(path: Path, change: Callable[[dict], dict]) -> None:
    """A Parquet file with each of its rows changed, and all that its header says."""
    table = pq.read_table(path)
    rows = pa.Table.from_pylist([change(row) for row in table.to_pylist()])
    pq.write_table(rows.replace_schema_metadata(table.schema.metadata), path, row_group_size=1)


def test_damaged_numbers_and_columns_are_named_with_their_file(tmp_path: Path, arrays: ClipArrays) -> None:
    make_data(tmp_path)
    entry = read_index(tmp_path)[0]
    whole = entry.shard.read_bytes()
    bad = arrays.flow.copy()
    bad[1, 2, 3] = np.nan
    for change, says in (
        ({"flow": bad.tobytes()}, r"soft_000000\.parquet' has numbers that are none in flow"),
        ({"masks_shape": [2, 32, 24]}, r"soft_000000\.parquet' has masks of shape"),
        ({"masks_shape": [3, 32, 24]}, r"soft_000000\.parquet is damaged"),
        ({"K": b"12345"}, r"soft_000000\.parquet is damaged"),
        ({"K": None}, r"soft_000000\.parquet is damaged"),
        ({"rgb_shape": [arrays.rgb.size]}, r"soft_000000\.parquet' has rgb of shape"),
    ):
        rewritten(entry.shard, lambda row, change=change: row | change)
        with pytest.raises(DataError, match=says):
            read_clip(entry)
        entry.shard.write_bytes(whole)
    index = tmp_path / "index.parquet"
    kept = index.read_bytes()
    for lost in ("shard", "split"):
        rewritten(index, lambda row, lost=lost: {k: v for k, v in row.items() if k != lost})
        with pytest.raises(DataError, match=rf"index\.parquet does not say what a clip needs.*{lost}"):
            read_index(tmp_path)
        index.write_bytes(kept)
    rewritten(index, lambda row: row)
    table = pq.read_table(index)
    pq.write_table(table.replace_schema_metadata({"format": "perpetua-data", "version": "0"}), index)
    with pytest.raises(DataError, match="is perpetua-data 0, this program reads perpetua-data 1"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("split", "clips"),
    [("train", ["a_fixed"]), ("test", ["a_crane", "b_fixed"]), ("unseen", ["b_fixed"]), ("all", ["a_crane", "a_fixed", "b_fixed"])],
)  # fmt: skip
def test_a_held_out_camera_of_a_scene_that_is_trained_on_is_not_unseen(
    tmp_path: Path, arrays: ClipArrays, split: Split, clips: list[str]
) -> None:
    write_shard(
        tmp_path, "a", [(make_about("a", "fixed", "train"), arrays), (make_about("a", "crane"), arrays)]
    )
    write_shard(tmp_path, "b", [(make_about("b", "fixed"), arrays)])
    write_index(tmp_path)
    assert [e.about.clip for e in read_split(tmp_path, split)] == clips


def test_a_split_without_clips_is_refused(tmp_path: Path) -> None:
    make_data(tmp_path)
    with pytest.raises(DataError, match="no clips of the split 'train'"):
        read_split(tmp_path, "train")


def test_the_evaluation_reads_unpacked_clips(tmp_path: Path, arrays: ClipArrays) -> None:
    make_data(tmp_path)
    unpack(read_index(tmp_path)[:1], tmp_path / "out", Progress())
    truth = read_folder(tmp_path / "out" / "truth" / "soft_000000_fixed_0")
    coarse = read_folder(tmp_path / "out" / "coarse" / "soft_000000_fixed_0")
    assert (truth.fps, truth.frames, truth.size) == (24.0, 4, (24, 16))
    assert np.array_equal(truth.rgb, arrays.rgb)
    assert np.array_equal(coarse.rgb, arrays.coarse_rgb)
    assert truth.flow is not None
    assert truth.flow.occluded is not None
    assert np.array_equal(truth.flow.forward, arrays.flow.astype(np.float32))
    assert truth.depth == pytest.approx(arrays.depth, rel=1e-5)
    assert coarse.depth == pytest.approx(arrays.coarse_depth, rel=1e-5)
    assert truth.tracks is not None
    assert truth.cameras is not None
    assert np.array_equal(truth.masks if truth.masks is not None else 0, arrays.masks)


def test_inspect_draws_a_sheet_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(tmp_path)
    assert inspect_data(tmp_path, tmp_path / "sheet.png", 3, json=True) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    said = capsys.readouterr()
    assert '"category":{"soft":4}' in said.out
    assert "4 test" in said.err
