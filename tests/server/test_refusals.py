"""What the backend must not accept, and that it stays well afterwards."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from perpetua_protocol import limits
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import AccessRefused, BackendUnreachable, InvalidMessage
from perpetua_protocol.framing import decode, encode
from perpetua_protocol.keys import Connection, KeyPair, new_key_pair, read_connection
from perpetua_protocol.link import secured
from perpetua_protocol.messages import (
    BakeRequest,
    Error,
    FetchChunk,
    GetJob,
    Hello,
    Job,
    ListJobs,
    Submit,
    Welcome,
)

WAIT_MS = 10_000
GOOD = b"perpetua 1"


@pytest.fixture
def connection(backend) -> Connection:
    return read_connection(backend.file)


@pytest.fixture
def raw(connection: Connection) -> Iterator[Callable[..., Any]]:
    """Send frames as they are to the control (or data) socket; gives the decoded answer, or None for silence."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def send(*frames: bytes, data: bool = False, wait_ms: int = WAIT_MS) -> Any:
        socket = secured(context.socket(zmq.DEALER), connection)
        socket.connect(connection.data if data else connection.control)
        socket.send_multipart(frames)
        try:
            return decode(socket.recv_multipart())[0] if socket.poll(wait_ms) else None
        finally:
            socket.close()

    yield send
    context.term()


def header(body: str) -> bytes:
    return f'{{"id":"7","message":{body}}}'.encode()


def test_an_unknown_key_is_refused(connection: Connection) -> None:
    stranger = msgspec.structs.replace(connection, client=new_key_pair())
    with Client(stranger) as client, pytest.raises(AccessRefused, match="does not accept this key"):
        client.hello()


def test_an_unknown_key_hears_no_events_and_sends_no_data(
    backend, connection: Connection, client: Client, submit: Callable[..., str]
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stranger = msgspec.structs.replace(connection, client=new_key_pair())
    subscriber = secured(context.socket(zmq.SUB), stranger)
    subscriber.subscribe(b"")
    subscriber.connect(connection.events)
    dealer = secured(context.socket(zmq.DEALER), stranger)
    dealer.connect(connection.data)
    dealer.send_multipart(encode(FetchChunk("a", "b", "0" * 64, 0, 1), "1"))
    list(client.follow(submit()))
    assert not subscriber.poll(300)
    assert not dealer.poll(300)
    subscriber.close()
    dealer.close()
    context.term()
    assert "its key is not allowed" in (backend.store / "logs/backend.log").read_text()


@pytest.mark.parametrize("what", ["no keys", "wrong server key", "half a key pair"])
def test_without_the_right_keys_nobody_answers(connection: Connection, what: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    if what == "wrong server key":
        socket = secured(socket, msgspec.structs.replace(connection, server_public=new_key_pair().public))
    elif what == "half a key pair":
        forged = KeyPair(connection.client.public, new_key_pair().secret)
        socket = secured(socket, msgspec.structs.replace(connection, client=forged))
    socket.linger = 0
    socket.connect(connection.control)
    socket.send_multipart(encode(ListJobs(), "1"))
    assert not socket.poll(500)
    socket.close()
    context.term()


def test_a_plain_tcp_client_cannot_disturb(connection: Connection, client: Client) -> None:
    import socket

    host, port = connection.control.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), 5) as plain:
        plain.sendall(struct.pack(">Q", 2**63) * 200)
    assert client.jobs() == ()


def test_hello_agrees_on_a_version_or_says_why_not(raw: Callable[..., Any]) -> None:
    assert isinstance(raw(*encode(Hello((1, 9)), "1")).message, Welcome)
    answer = raw(*encode(Hello((8, 9)), "2"))
    assert answer.id == "2"
    assert answer.message.code == "version_mismatch"
    assert "8, 9" in answer.message.sentence
    assert "install matching versions" in answer.message.sentence


def test_a_message_in_another_version_is_refused(raw: Callable[..., Any]) -> None:
    answer = raw(b"perpetua 2", header('{"type":"list_jobs"}'))
    assert answer.id == "7"
    assert answer.message.code == "version_mismatch"


@pytest.mark.parametrize(
    "frames",
    [
        (b"",),
        (GOOD,),
        (GOOD, b""),
        (GOOD, b"{"),
        (GOOD, b"[]"),
        (GOOD, b"null"),
        (GOOD, b'{"id":"7","message":{"type":"list_jobs","limit":NaN}}'),
        (GOOD, b'{"id":"7","message":{"type":"list_jobs","limit":1e999}}'),
        (GOOD, b'{"id":"\xff\xfe","message":{"type":"list_jobs"}}'),
        (GOOD, b"[" * 100_000),
        (GOOD, b'{"message":' * 100_000),
        (GOOD, b'{"id":"7","message":' + b"[" * 100_000),
        (GOOD, header('{"type":"no_such"}')),
        (GOOD, header('{"type":"job_status"}')),
        (GOOD, header('{"type":"job_status","job_id":7}')),
        (GOOD, header('{"type":"list_jobs","extra":1}')),
        (GOOD, header('{"type":"list_jobs"}'), b"an array nobody announced"),
        (b"perpetua 0", header('{"type":"list_jobs"}')),
        (b"perpetua -1", header('{"type":"list_jobs"}')),
        (b"perpetua \xb2", header('{"type":"list_jobs"}')),
        (b"something else", header('{"type":"list_jobs"}')),
        (GOOD, header('{"type":"list_jobs"}'), *[b""] * 20),
        (
            GOOD,
            b'{"id":"7","message":{"type":"list_jobs"},"frames":[{"name":"a","dtype":"O","shape":[1]}]}',
            b"8bytes..",
        ),
        (
            GOOD,
            b'{"id":"7","message":{"type":"list_jobs"},"frames":[{"name":"a","dtype":"u1","shape":[9]}]}',
            b"short",
        ),
        (
            GOOD,
            b'{"id":"7","message":{"type":"list_jobs"},"frames":[{"name":"a","dtype":"u1","shape":[-1,-5]}]}',
            b"12345",
        ),
        (
            GOOD,
            b'{"id":"7","message":{"type":"list_jobs"},"frames":[{"name":"a","dtype":"f8","shape":[9223372036854775807,4]}]}',
            b"",
        ),
        (
            GOOD,
            b'{"id":"7","message":{"type":"list_jobs"},"frames":[{"name":"a","dtype":"f4","shape":[1]}]}',
            struct.pack("<f", float("nan")),
        ),
        (GOOD, header('{"type":"closing"}')),
        (GOOD, header('{"type":"fetch_chunk","job_id":"a","path":"b","sha256":"","offset":0,"length":1}')),
    ],
    ids=lambda frames: repr(b"|".join(frames))[2:60] if isinstance(frames, tuple) else None,
)
def test_malformed_messages_get_a_sentence(raw: Callable[..., Any], frames: tuple[bytes, ...]) -> None:
    answer = raw(*frames)
    assert isinstance(answer.message, Error)
    assert answer.message.code == "invalid_message", answer.message.sentence
    assert raw(GOOD, header('{"type":"list_jobs"}')).message.jobs == ()


def test_a_request_for_the_other_socket_is_refused(raw: Callable[..., Any]) -> None:
    assert raw(GOOD, header('{"type":"list_jobs"}'), data=True).message.code == "invalid_message"


def test_a_frame_above_the_limit_closes_the_connection(raw: Callable[..., Any], client: Client) -> None:
    big = bytes(limits.FRAME_BYTES + 1)
    assert raw(GOOD, header('{"type":"list_jobs"}'), big, wait_ms=1500) is None
    assert client.jobs() == ()


def test_a_header_above_the_limit_is_refused(raw: Callable[..., Any]) -> None:
    answer = raw(GOOD, header('"' + "x" * limits.HEADER_BYTES + '"'))
    assert "a header is" in answer.message.sentence.lower()


def test_the_client_refuses_to_send_what_the_backend_would(
    client: Client, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    with pytest.raises(InvalidMessage, match=r"picture' is 64\.0 MiB; at most 64 MiB"):
        client.submit(new_job_id(), request_for(), bytes(limits.FRAME_BYTES + 1))
    good = request_for()
    take = msgspec.structs.replace(good.take, fps=float("nan"))
    with pytest.raises(InvalidMessage, match=r"Submit\.request\.take\.fps is nan"):
        client.submit(new_job_id(), msgspec.structs.replace(good, take=take), picture)
    with pytest.raises(InvalidMessage, match="NaN or infinity"):
        client.request(ListJobs(), {"a": np.array([1, np.inf], np.float32)})
    with pytest.raises(InvalidMessage, match="only u1"):
        client.request(ListJobs(), {"a": np.array([object()])})
    assert client.jobs() == ()


def test_a_picture_must_come_as_plain_bytes(
    client: Client, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    array = np.frombuffer(picture, np.uint8)
    for arrays in (
        {"other": array},
        {"picture": array.reshape(-1, 1)},
        {"picture": array, "more": array},
    ):
        pending = client.request(Submit(new_job_id(), request_for()), arrays)
        while not pending.ready:
            client.poll()
        with pytest.raises(InvalidMessage, match="one array frame 'picture'"):
            pending.result(Job)


def test_a_stale_connection_file_is_told_apart_from_a_living_backend(connection: Connection) -> None:
    nowhere = msgspec.structs.replace(connection, control="tcp://127.0.0.1:9")
    with (
        Client(nowhere) as client,
        pytest.raises(BackendUnreachable, match="start one with `perpetua serve`"),
    ):
        client.hello()


def test_a_pending_answer_that_is_not_there_is_no_answer(client: Client) -> None:
    pending = client.request(GetJob("a"))
    with pytest.raises(InvalidMessage):
        pending.result(Job)
