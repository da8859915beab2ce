"""Connection files: for their owner only, whole, and clear about what is wrong."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from perpetua_protocol.client import Client
from perpetua_protocol.errors import BackendUnreachable, ConnectionFileInvalid
from perpetua_protocol.keys import (
    Connection,
    default_connection_file,
    new_key_pair,
    read_connection,
    write_connection,
)
from perpetua_protocol.link import is_loopback, nobody_listens


def connection(port: int = 9) -> Connection:
    at = f"tcp://127.0.0.1:{port}"
    return Connection(at, at, at, new_key_pair().public, new_key_pair(), 1, 4242, "here")


def test_a_connection_file_comes_back_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "connection.json"
    written = connection()
    write_connection(path, written)
    assert read_connection(path) == written
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["connection.json"]


def test_a_connection_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    write_connection(path, connection())
    path.chmod(0o644)
    with pytest.raises(ConnectionFileInvalid, match="chmod 600"):
        read_connection(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"control": 5}'])
def test_a_damaged_connection_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "connection.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConnectionFileInvalid, match=r"connection\.json is damaged"):
        read_connection(path)


def test_without_a_backend_the_sentence_says_how_to_start_one(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    with pytest.raises(BackendUnreachable, match=r"No backend is running.*start one with `perpetua serve`"):
        Client.connect(path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_connection(path, connection(port))
    with pytest.raises(BackendUnreachable, match=r"process 4242\) is gone; start one with `perpetua serve`"):
        Client.connect(path)


def test_something_else_on_the_port_is_no_backend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = connection(other.getsockname()[1])
        with (
            Client(found, timeout_s=0.3) as client,
            pytest.raises(BackendUnreachable, match="does not answer"),
        ):
            client.hello()


def test_a_port_that_closes_is_noticed_before_the_deadline() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    found = connection(other.getsockname()[1])
    threading.Timer(0.2, other.close).start()
    with Client(found, timeout_s=1e6) as client, pytest.raises(BackendUnreachable):
        client.hello()


def test_the_default_place_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERPETUA_CONNECTION", str(tmp_path / "here.json"))
    assert default_connection_file() == tmp_path / "here.json"
    monkeypatch.delenv("PERPETUA_CONNECTION")
    if os.name == "posix":
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert default_connection_file() == tmp_path / "perpetua" / "connection.json"
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not there"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert default_connection_file() == tmp_path / "cache" / "perpetua" / "connection.json"


def test_keys_are_fresh_each_time() -> None:
    assert new_key_pair() != new_key_pair()
    assert msgspec.json.decode(msgspec.json.encode(connection()), type=Connection).client.secret


def test_only_this_machine_is_probed() -> None:
    assert is_loopback("tcp://127.0.0.1:1")
    assert is_loopback("tcp://[::1]:1")
    assert is_loopback("tcp://localhost:1")
    assert not is_loopback("tcp://192.0.2.1:1")
    assert not is_loopback("tcp://workstation:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not nobody_listens(f"tcp://127.0.0.1:{server.getsockname()[1]}")
