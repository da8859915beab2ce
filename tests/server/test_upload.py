"""A take's files over the wire: whole, resumed, never twice, damaged, missing, too large; and baked from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from perpetua.jobs import intake
from perpetua_protocol import limits
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import InvalidMessage, MissingFiles, TransferFailed
from perpetua_protocol.framing import bytes_array
from perpetua_protocol.inputs import InputFile
from perpetua_protocol.messages import BakeRequest, FileEntry, OfferFiles, PutChunk, Stored, Wanted

BIG = 3 * limits.MIB + 12_345


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[InputFile, ...]:
    """A main file of several chunks, one below it, an empty one, and one with the same bytes."""
    folder = tmp_path / "shot"
    big, small = os.urandom(BIG), os.urandom(1000)
    contents = {"turn.mp4": big, "depth/0.exr": small, "empty.png": b"", "again.exr": small}
    found = []
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        found.append(InputFile(name, folder / name))
    return tuple(found)


@pytest.fixture
def put(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[PutChunk]]:
    """The chunks that a client puts."""
    put: list[PutChunk] = []
    send = client._data.send

    def noted(ask, arrays=None):  # type: ignore[no-untyped-def]
        if isinstance(ask, PutChunk):
            put.append(ask)
        return send(ask, arrays)

    monkeypatch.setattr(client._data, "send", noted)
    return put


def answered(client: Client, ask: PutChunk | OfferFiles, data: bytes | None = None):  # type: ignore[no-untyped-def]
    pending = client._data.send(ask, None if data is None else {"bytes": bytes_array(data)})
    return client._data.result(pending, Stored if isinstance(ask, PutChunk) else Wanted)


def test_files_are_sent_once_and_baked_from(
    client: Client,
    backend,
    inputs: tuple[InputFile, ...],
    put: list[PutChunk],
    request_for: Callable[..., BakeRequest],
) -> None:
    said: list[tuple[int, int]] = []
    files = client.upload_files(inputs, lambda done, total: said.append((done, total)))
    assert [f.path for f in files] == [i.name for i in inputs]
    assert [p.offset for p in put] == [0, limits.MIB, 2 * limits.MIB, 3 * limits.MIB, 0]
    assert said[-1] == (BIG + 2000, BIG + 2000)
    put.clear()
    assert client.upload_files(inputs) == files
    assert put == []
    plain = request_for()
    take = msgspec.structs.replace(plain.take, picture="/home/artist/turn.mp4")
    job_id = new_job_id()
    client.submit(job_id, BakeRequest(take, 2, files[0].sha256, files[1:]))
    list(client.follow(job_id))
    assert client.outcome(job_id).summary["picture"] == files[0].sha256
    folder = backend.store / "jobs" / job_id / "input"
    for each in inputs:
        assert (folder / each.name).read_bytes() == each.path.read_bytes()


def test_an_interrupted_upload_goes_on_where_it_was(
    offline, inputs: tuple[InputFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    offline.start_thread()
    monkeypatch.setattr(limits, "CREDITS", 1)
    with offline.client() as client:
        upload = client.upload(inputs)
        while upload.bytes_done < limits.MIB:
            upload.step(0)
        upload.close()
    part = next((offline.store / "inputs").glob("*.part"))
    offline.stop()
    offline.start_thread()
    with offline.client() as client:
        there = part.stat().st_size
        assert 0 < there < BIG
        entry = FileEntry("turn.mp4", BIG, part.stem)
        assert answered(client, OfferFiles((entry,))).have == (there,)
        files = client.upload_files(inputs)
        assert answered(client, OfferFiles(files)).have == tuple(f.bytes for f in files)
    assert not part.exists()
    whole = offline.store / "inputs" / files[0].sha256
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == files[0].sha256


def test_bytes_out_of_their_order_are_not_taken(client: Client) -> None:
    data = os.urandom(limits.MIB + 10)
    sha256 = hashlib.sha256(data).hexdigest()
    assert answered(client, PutChunk(sha256, len(data), limits.MIB), data[limits.MIB :]).have == 0
    assert answered(client, PutChunk(sha256, len(data), 0), data[: limits.MIB]).have == limits.MIB
    assert answered(client, PutChunk(sha256, len(data), 0), data[: limits.MIB]).have == limits.MIB
    assert answered(client, PutChunk(sha256, len(data), limits.MIB), data[limits.MIB :]).have == len(data)


def test_a_lost_chunk_is_sent_again(
    client: Client, inputs: tuple[InputFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    send, lost = client._data.send, []

    def forgetful(ask, arrays=None):  # type: ignore[no-untyped-def]
        if isinstance(ask, PutChunk) and ask.offset == limits.MIB and not lost:
            lost.append(ask)  # as if the one before it had never left: this one is refused by its offset
            ask = PutChunk(ask.sha256, ask.bytes, ask.offset + 1)
        return send(ask, arrays)

    monkeypatch.setattr(client._data, "send", forgetful)
    files = client.upload_files(inputs)
    assert lost
    assert answered(client, OfferFiles(files[:1])).have == (BIG,)


def test_a_damaged_file_is_thrown_away(client: Client, backend) -> None:
    sha256 = hashlib.sha256(b"what was meant").hexdigest()
    with pytest.raises(TransferFailed, match="arrived damaged"):
        answered(client, PutChunk(sha256, 14, 0), b"what has come!")
    assert answered(client, OfferFiles((FileEntry("a", 14, sha256),))).have == (0,)
    assert not list((backend.store / "inputs").iterdir())


def test_a_file_that_changes_while_it_is_sent(
    client: Client, inputs: tuple[InputFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CREDITS", 1)

    def shorten(done: int, total: int) -> None:
        if total:
            inputs[0].path.write_bytes(b"short")

    with pytest.raises(TransferFailed, match="became shorter"):
        client.upload_files(inputs[:1], shorten)


def test_a_file_that_cannot_be_read(client: Client, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match=r"gone\.ply cannot be read"):
        client.upload_files((InputFile("gone.ply", tmp_path / "gone.ply"),))


def test_a_full_disk(client: Client, inputs: tuple[InputFile, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SPARE_BYTES", 1 << 62)
    with pytest.raises(TransferFailed, match=r"disk .* is full; make room"):
        client.upload_files(inputs)


def test_files_that_are_not_there_are_asked_for(
    client: Client, request_for: Callable[..., BakeRequest]
) -> None:
    plain = request_for()
    with pytest.raises(MissingFiles, match=r"no file picture\.png yet; upload"):
        client.submit(new_job_id(), plain)
    more = FileEntry("b.png", 3, "0" * 64)
    with pytest.raises(MissingFiles, match=r"picture\.png and 1 more"):
        client.submit(new_job_id(), BakeRequest(plain.take, 2, plain.picture_sha256, (more,)))
    assert client.jobs() == ()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ((FileEntry("a", 1, "A" * 64),), "is no SHA-256"),
        ((FileEntry("a", limits.FILE_BYTES + 1, "0" * 64),), "at most 1024 MiB"),
        ((FileEntry("a", limits.FILE_BYTES, "0" * 64),) * 5, "at most 1000 files of 4096 MiB"),
        ((FileEntry("a", 1, "0" * 64),) * (limits.INPUT_FILES + 1), "1001 files"),
    ],
)
def test_offers_that_are_refused(client: Client, files: tuple[FileEntry, ...], sentence: str) -> None:
    with pytest.raises(InvalidMessage, match=sentence):
        answered(client, OfferFiles(files))


def test_chunks_and_names_that_are_refused(
    client: Client, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    for data, sentence in ((b"", "1 to"), (b"12345", "1 to"), (None, "one array frame 'bytes'")):
        with pytest.raises(InvalidMessage, match=sentence):
            answered(client, PutChunk("0" * 64, 4, 0), data)
    plain = request_for()
    for name, sentence in (("../a", "plain name"), ("picture.png", "under its own name")):
        request = BakeRequest(plain.take, 2, plain.picture_sha256, (FileEntry(name, 0, "0" * 64),))
        with pytest.raises(InvalidMessage, match=sentence):
            client.submit(new_job_id(), request, picture)


def test_files_that_no_job_uses_are_forgotten_in_time(tmp_path: Path) -> None:
    kept = intake.Intake(tmp_path)
    used, unused, fresh = (kept.keep(name) for name in (b"used", b"unused", b"fresh"))
    kept.lay_out((FileEntry("a.png", 4, used),), tmp_path.parent / f"{tmp_path.name}-job")
    for name in (used, unused):
        os.utime(tmp_path / name, (0, 0))
    kept.sweep()
    assert {p.name for p in tmp_path.iterdir()} == {used, fresh}
