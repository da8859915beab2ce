"""What of a cache is offered, from caches as the cache package writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from perpetua.jobs.cachefiles import CacheWatch, read_cache_files
from perpetua_protocol.cache import CacheMeta, DamagedCache, FileRecord, RoundRecord
from perpetua_protocol.messages import FileEntry
from perpetua_protocol.take import ObjectSpec, Take


def meta(rounds: int) -> bytes:
    take = Take("t", "p.png", (ObjectSpec("a", box=(0, 0, 1, 1)),))
    records = [RoundRecord(i, 4 * i, 4, f"round_{i:03d}-ab", "d", "s", 1.0) for i in range(rounds + 1)]
    files = {f"{r.folder}/position.npy": FileRecord("f" * 64, 100 + r.index) for r in records}
    zero = (0.0, 0.0, 0.0)
    return msgspec.json.encode(
        CacheMeta("t", 24.0, records, [], [], 0, 1, 1, 0.01, zero, zero, files, take, "0")
    )


def test_the_cache_packages_meta_is_read(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_bytes(meta(2))
    found = read_cache_files(tmp_path)
    assert found is not None
    assert (found.rounds, found.frames, found.meta) == (2, 12, meta(2))
    assert list(found.entries.values())[1] == FileEntry("round_001-ab/position.npy", 101, "f" * 64)


def test_before_the_first_round_there_is_nothing(tmp_path: Path) -> None:
    assert read_cache_files(tmp_path / "nowhere") is None
    assert CacheWatch(tmp_path).read() is None


def test_a_watch_sees_each_exchange(tmp_path: Path) -> None:
    watch = CacheWatch(tmp_path)
    for rounds in (0, 1, 2):
        work = tmp_path / "work"
        work.write_bytes(meta(rounds))
        os.replace(work, tmp_path / "meta.json")
        found = watch.read()
        assert found is not None
        assert found.rounds == rounds
        assert watch.read() is found
    (tmp_path / "meta.json").unlink()
    assert watch.read() is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"files": {}}', b"[" * 100_000, b"\xff"])
def test_a_damaged_meta_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "meta.json").write_bytes(data)
    with pytest.raises(DamagedCache, match=r"meta\.json is damaged"):
        read_cache_files(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "C:\\x", ".hidden"])
def test_a_meta_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    files = {name: {"sha256": "0" * 64, "bytes": 1}}
    (tmp_path / "meta.json").write_text(json.dumps({"files": files, "rounds": []}))
    with pytest.raises(DamagedCache, match="cannot be sent"):
        read_cache_files(tmp_path)
