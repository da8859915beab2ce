"""Files over the wire: whole, resumed, damaged, and never from outside the cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from perpetua_protocol import limits
from perpetua_protocol.client import Client
from perpetua_protocol.errors import InvalidMessage, TransferFailed
from perpetua_protocol.messages import Chunk, FetchChunk, FileEntry
from perpetua_protocol.transfer import Manifest

BIG = 3 * limits.MIB + 12_345


@pytest.fixture
def job_id(client: Client, submit: Callable[..., str]) -> str:
    """A finished job whose cache also holds a file of several chunks and an empty one."""
    job_id = submit()
    list(client.follow(job_id))
    cache = Path(client.status(job_id).cache)
    add_file(cache, "round_002/big.npy", os.urandom(BIG))
    add_file(cache, "round_002/empty.npy", b"")
    return job_id


def add_file(cache: Path, name: str, data: bytes) -> None:
    (cache / name).write_bytes(data)
    meta = json.loads((cache / "meta.json").read_text())
    meta["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    work = cache / ".work"
    work.write_text(json.dumps(meta))
    os.replace(work, cache / "meta.json")


@pytest.fixture
def asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FetchChunk]]:
    """The chunks a client asks for."""
    asked: list[FetchChunk] = []
    send = client._data.send
    monkeypatch.setattr(client._data, "send", lambda ask: (asked.append(ask), send(ask))[1])
    return asked


def test_a_large_file_comes_in_chunks(
    client: Client, job_id: str, tmp_path: Path, asked: list[FetchChunk]
) -> None:
    said: list[tuple[int, int]] = []
    manifest = client.files(job_id)
    client.fetch_files(job_id, manifest, tmp_path, lambda done, total: said.append((done, total)))
    assert said[-1] == (manifest.bytes, manifest.bytes)
    assert all(ask.length <= limits.CHUNK_BYTES for ask in asked)
    assert [ask.offset for ask in asked if ask.path.endswith("big.npy")] == [i * limits.MIB for i in range(4)]
    assert (tmp_path / "round_002/empty.npy").read_bytes() == b""
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_there_is_not_fetched_again(
    client: Client, backend, job_id: str, tmp_path: Path, asked: list[FetchChunk]
) -> None:
    manifest = client.files(job_id)
    client.fetch_files(job_id, manifest, tmp_path)
    asked.clear()
    client.fetch_files(job_id, manifest, tmp_path)
    with backend.client() as other:
        other.fetch_files(job_id, manifest, tmp_path)
    assert asked == []


def test_an_interrupted_transfer_goes_on_where_it_was(
    client: Client, job_id: str, tmp_path: Path, asked: list[FetchChunk]
) -> None:
    manifest = client.files(job_id)
    transfer = client.transfer(job_id, manifest, tmp_path)
    while not any(part.stat().st_size for part in tmp_path.rglob(".big*.part")):
        transfer.step(0)
    transfer.close()
    part = next(tmp_path.rglob(".big*.part"))
    have = part.stat().st_size
    assert 0 < have < BIG
    assert not (tmp_path / "meta.json").exists(), "meta.json must come last"
    asked.clear()
    client.fetch_files(job_id, manifest, tmp_path)
    assert min(ask.offset for ask in asked if ask.path.endswith("big.npy")) == have
    entry = next(e for e in manifest.files if e.path.endswith("big.npy"))
    assert hashlib.sha256((tmp_path / entry.path).read_bytes()).hexdigest() == entry.sha256


def test_a_transfer_goes_on_after_the_backend_was_restarted(
    offline, tmp_path: Path, request_for, picture
) -> None:
    offline.start_thread()
    with offline.client() as client:
        client.submit("a", request_for(), picture)
        list(client.follow("a"))
        add_file(Path(client.status("a").cache), "round_002/big.npy", os.urandom(BIG))
        manifest = client.files("a")
        transfer = client.transfer("a", manifest, tmp_path / "copy")
        while not any(part.stat().st_size for part in (tmp_path / "copy").rglob(".big*.part")):
            transfer.step(0)
        transfer.close()
    offline.stop()
    offline.start_thread()
    with offline.client() as client:
        client.fetch_files("a", client.files("a"), tmp_path / "copy")
    assert (tmp_path / "copy/round_002/big.npy").stat().st_size == BIG


def test_a_part_that_was_damaged_is_noticed_and_fetched_anew(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    manifest = client.files(job_id)
    entry = next(e for e in manifest.files if e.path.endswith("big.npy"))
    part = tmp_path / "round_002" / f".big.npy.{entry.sha256[:16]}.part"
    part.parent.mkdir()
    part.write_bytes(b"not what was sent")
    with pytest.raises(TransferFailed, match=r"big\.npy arrived damaged; fetch it again"):
        client.fetch_files(job_id, manifest, tmp_path)
    client.fetch_files(job_id, manifest, tmp_path)
    assert hashlib.sha256((tmp_path / entry.path).read_bytes()).hexdigest() == entry.sha256


def test_a_file_that_rotted_on_the_backend_is_not_delivered(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    path = Path(client.status(job_id).cache) / "round_002/big.npy"
    data = bytearray(path.read_bytes())
    data[2 * limits.MIB] ^= 1
    path.write_bytes(data)
    with pytest.raises(TransferFailed, match="arrived damaged"):
        client.fetch_files(job_id, client.files(job_id), tmp_path)
    assert not (tmp_path / "round_002/big.npy").exists()
    path.write_bytes(data[:-1])
    with pytest.raises(TransferFailed, match="bake that round again"):
        client.fetch_files(job_id, client.files(job_id), tmp_path)
    path.unlink()
    with pytest.raises(TransferFailed, match="cannot read"):
        client.fetch_files(job_id, client.files(job_id), tmp_path)


def test_a_wrong_file_in_the_copy_is_replaced(client: Client, job_id: str, tmp_path: Path) -> None:
    manifest = client.files(job_id)
    entry = manifest.files[0]
    wrong = tmp_path / entry.path
    wrong.parent.mkdir()
    wrong.write_bytes(bytes(entry.bytes))
    client.fetch_files(job_id, manifest, tmp_path)
    assert hashlib.sha256(wrong.read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize(
    "path", ["../request.json", "/etc/passwd", "meta.json", "round_002/../../request.json", ""]
)
def test_nothing_outside_the_manifest_is_sent(client: Client, job_id: str, path: str) -> None:
    pending = client._data.send(FetchChunk(job_id, path, "0" * 64, 0, 10))
    with pytest.raises(TransferFailed, match="has no file"):
        client._data.result(pending, Chunk)


def test_a_manifest_that_leads_outside_is_refused_on_both_sides(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    manifest = client.files(job_id)
    evil = msgspec.structs.replace(manifest, files=(FileEntry("../evil", 1, "0" * 64),))
    with pytest.raises(TransferFailed, match="cannot be stored"):
        client.fetch_files(job_id, evil, tmp_path / "copy")
    add_file(Path(client.status(job_id).cache), "../evil", b"x")
    with pytest.raises(Exception, match="cannot be sent"):
        client.files(job_id)


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (-1, 5), (0, limits.CHUNK_BYTES + 1)])
def test_a_chunk_has_limits(client: Client, job_id: str, offset: int, length: int) -> None:
    entry = client.files(job_id).files[0]
    pending = client._data.send(FetchChunk(job_id, entry.path, entry.sha256, offset, length))
    with pytest.raises(InvalidMessage, match="A chunk is"):
        client._data.result(pending, Chunk)


def test_a_digest_that_changed_is_refused(client: Client, job_id: str, tmp_path: Path) -> None:
    manifest = client.files(job_id)
    entry = manifest.files[0]
    other = msgspec.structs.replace(entry, sha256="0" * 64)
    with pytest.raises(TransferFailed, match="list its files again"):
        client.fetch_files(job_id, Manifest((other,), manifest.meta, manifest.meta_sha256), tmp_path)


def test_a_client_that_asks_for_far_too_much_is_dropped_and_the_backend_lives(
    backend, client: Client, job_id: str
) -> None:
    entry = next(e for e in client.files(job_id).files if e.path.endswith("big.npy"))
    with backend.client() as greedy:
        for _ in range(1000):
            greedy._data.send(FetchChunk(job_id, entry.path, entry.sha256, 0, limits.CHUNK_BYTES))
        assert client.status(job_id).state == "done"


def test_a_folder_that_cannot_be_written_is_named(client: Client, job_id: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(TransferFailed, match=r"cannot be written to .*file .*choose another folder"):
        client.fetch_files(job_id, client.files(job_id), tmp_path / "file")


def test_a_transfer_that_failed_or_was_given_up_never_says_it_is_done(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    failed = client.transfer(job_id, client.files(job_id), tmp_path / "file")
    given_up = client.transfer(job_id, client.files(job_id), tmp_path / "copy")
    with pytest.raises(TransferFailed, match="cannot be written"):
        failed.step(1.0)
    given_up.step(0)
    given_up.close()
    for transfer in (failed, given_up):
        with pytest.raises(TransferFailed, match="begin a new one"):
            transfer.step(1.0)
