"""Who may talk to a backend: CURVE key pairs and the connection file that hands them to a client.

The backend makes fresh key pairs each time it starts, allows exactly the client's public key, and writes one file
that only its user can read (mode 0600). Whoever has the file can talk to the backend; copy it to reach a backend on
another machine.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

import msgspec
import zmq

from perpetua_protocol.errors import BackendUnreachable, ConnectionFileInvalid

HOW_TO_START = "start one with `perpetua serve`"


class KeyPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CURVE key pair in Z85, 40 characters each."""

    public: str
    secret: str


class Connection(msgspec.Struct, frozen=True):
    """What a client needs to reach a backend; the content of the connection file. A newer backend may write more."""

    control: str
    """Address of the control socket, such as ``tcp://127.0.0.1:40001``."""
    data: str
    events: str
    server_public: str
    client: KeyPair
    protocol: int
    pid: int
    """Process of the backend, on ``host``."""
    host: str


def new_key_pair() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def default_connection_file() -> Path:
    """``$PERPETUA_CONNECTION``, or ``perpetua/connection.json`` in the user's runtime or cache folder."""
    override = os.environ.get("PERPETUA_CONNECTION")
    if override:
        return Path(override).expanduser()
    return _user_folder() / "perpetua" / "connection.json"


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def write_connection(path: Path, connection: Connection) -> None:
    """Write the connection file, readable by its owner only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp creates the file with mode 0600, so the secret is never readable by others, not even for a moment
    handle, name = tempfile.mkstemp(prefix=".connection-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(connection)))
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def read_connection(path: Path) -> Connection:
    """Read a connection file. Raises ``BackendUnreachable`` when there is none, ``ConnectionFileInvalid`` when wrong."""
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise BackendUnreachable(
            f"No backend is running (there is no connection file at {path}); {HOW_TO_START}."
        ) from error
    except OSError as error:
        raise ConnectionFileInvalid(
            f"The connection file {path} cannot be read ({error.strerror}); check its owner."
        ) from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConnectionFileInvalid(
            f"The connection file {path} holds a secret key and others can read it; run `chmod 600 {path}`."
        )
    try:
        return msgspec.json.decode(data, type=Connection)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConnectionFileInvalid(
            f"The connection file {path} is damaged ({error}); delete it and restart the backend."
        ) from error
