"""A line to one ROUTER of the backend: requests out, replies matched to them, and finding out that nobody is there."""

from __future__ import annotations

import ipaddress
import socket as sockets
import time
import uuid
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import zmq
from numpy.typing import NDArray
from zmq.utils.monitor import recv_monitor_message

from perpetua_protocol import limits
from perpetua_protocol.errors import AccessRefused, BackendUnreachable, InvalidMessage, from_code
from perpetua_protocol.framing import decode, encode
from perpetua_protocol.keys import HOW_TO_START, Connection
from perpetua_protocol.messages import Error, Reply, Request

Socket = zmq.Socket[bytes]
Answer = TypeVar("Answer", bound=Reply)

_PROBE_AFTER_S = 1.0
"""Silence after which a waiting client looks whether the port still listens."""
_PROBE_TIMEOUT_S = 0.5
_WAIT_SLICE_S = 0.1


class Pending:
    """A request under way. ``ready`` turns true when its reply came in; ``result`` gives it."""

    def __init__(self, request: Request, request_id: str, deadline: float) -> None:
        self.request = request
        self.id = request_id
        self.asked = time.monotonic()
        self.deadline = deadline
        """Monotonic time by which a reply must be there."""
        self.lost = False
        """True once it is clear that no reply will come."""
        self.reply: Reply | None = None
        self.arrays: Mapping[str, NDArray[Any]] = {}

    @property
    def ready(self) -> bool:
        """Whether the reply is there."""
        return self.reply is not None

    def result(self, kind: type[Answer]) -> Answer:
        """The reply. Raises the backend's error, or ``InvalidMessage`` when it is of another kind or not there yet."""
        if isinstance(self.reply, Error):
            raise from_code(self.reply.code, self.reply.sentence)
        if not isinstance(self.reply, kind):
            raise InvalidMessage(
                f"The backend answered {type(self.request).__name__} with {type(self.reply).__name__}, not "
                f"{kind.__name__}; install matching versions of the add-on and the backend."
            )
        return self.reply


class Link:
    """A DEALER to ``address`` that never blocks unless told to ``wait``."""

    def __init__(
        self, context: zmq.Context[Socket], connection: Connection, address: str, timeout_s: float
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._pending: dict[str, Pending] = {}
        self._probed = time.monotonic()
        self.socket = secured(context.socket(zmq.DEALER), connection)
        self.socket.maxmsgsize = limits.FRAME_BYTES
        # created before connecting, or the handshake's refusal could be over before anybody listens
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        self._monitor.linger = 0
        self.socket.connect(address)

    def close(self) -> None:
        """Drop the connection and everything under way."""
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close()
        self._lose_all()

    def send(self, request: Request, arrays: Mapping[str, NDArray[Any]] | None = None) -> Pending:
        """Send a request without waiting. Raises ``InvalidMessage`` for what the backend would refuse."""
        request_id = uuid.uuid4().hex
        frames = encode(request, request_id, arrays)
        upload_s = sum(len(frame) for frame in frames) / limits.SLOWEST_BYTES_PER_S
        pending = Pending(request, request_id, time.monotonic() + self._timeout_s + upload_s)
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again as error:
            raise self._unreachable() from error
        self._pending[pending.id] = pending
        return pending

    def drain(self, until: float) -> None:
        """Take in the replies that are there, no longer than the monotonic time ``until``.

        Raises ``BackendUnreachable`` when a reply is overdue or nobody listens any more, ``AccessRefused`` when the key is refused.
        """
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._take(frames)
            if time.monotonic() >= until:
                return
        if self._pending:
            self._require_somebody()

    def wait(self, timeout_s: float) -> None:
        """Wait for something to come in, ``timeout_s`` at most."""
        self.socket.poll(int(timeout_s * 1000))

    def result(self, pending: Pending, kind: type[Answer]) -> Answer:
        """Wait for a reply. Raises as ``drain`` and ``Pending.result`` do."""
        while not pending.ready:
            self.wait(_WAIT_SLICE_S)
            self.drain(time.monotonic())
        return pending.result(kind)

    def renew(self, pending: Pending) -> None:
        """Give a reply its full time from now: others before it have just come in."""
        pending.deadline = time.monotonic() + self._timeout_s

    def forget(self, pending: Pending) -> None:
        """A reply that is no longer wanted; it is ignored when it comes."""
        self._pending.pop(pending.id, None)

    def nobody_there(self) -> bool:
        """Whether the backend's port is known to be closed."""
        return is_loopback(self.address) and nobody_listens(self.address)

    def _take(self, frames: list[bytes]) -> None:
        envelope, arrays = decode(frames)
        pending = self._pending.pop(envelope.id, None)
        if pending is not None:
            if not isinstance(envelope.message, Reply):
                raise InvalidMessage(f"The backend sent a {type(envelope.message).__name__} as a reply.")
            pending.reply, pending.arrays = envelope.message, arrays

    def _require_somebody(self) -> None:
        now = time.monotonic()
        if self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            self._lose_all()
            raise AccessRefused(
                f"The backend at {self.address} does not accept this key: it was started again since. "
                "Read its connection file again."
            )
        overdue = any(now >= pending.deadline for pending in self._pending.values())
        waited_s = now - min(pending.asked for pending in self._pending.values())
        if overdue or (waited_s > _PROBE_AFTER_S and self._nobody_listens(now)):
            self._lose_all()
            raise self._unreachable()

    def _lose_all(self) -> None:
        for pending in self._pending.values():
            pending.lost = True
        self._pending.clear()

    def _nobody_listens(self, now: float) -> bool:
        if now - self._probed < _PROBE_AFTER_S:
            return False
        self._probed = now
        return self.nobody_there()

    def _unreachable(self) -> BackendUnreachable:
        return BackendUnreachable(
            f"The backend at {self.address} does not answer; if it has ended, {HOW_TO_START}."
        )


def secured(socket: Socket, connection: Connection) -> Socket:
    """Give a client's socket its keys; nothing is waited for when it closes."""
    socket.linger = 0
    socket.curve_serverkey = connection.server_public.encode("ascii")
    socket.curve_publickey = connection.client.public.encode("ascii")
    socket.curve_secretkey = connection.client.secret.encode("ascii")
    socket.heartbeat_ivl = limits.KEEPALIVE_MS
    socket.heartbeat_timeout = 3 * limits.KEEPALIVE_MS
    socket.ipv6 = "[" in connection.control
    return socket


def is_loopback(address: str) -> bool:
    """Whether ``tcp://host:port`` is this machine, where a probe answers at once."""
    try:
        return ipaddress.ip_address(urlsplit(address).hostname or "").is_loopback
    except ValueError:
        return urlsplit(address).hostname == "localhost"


def nobody_listens(address: str) -> bool:
    """Whether ``tcp://host:port`` refuses connections. A process that hangs still listens."""
    parts = urlsplit(address)
    try:
        sockets.create_connection((parts.hostname, parts.port), _PROBE_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # a slow network says nothing; the deadline decides
    return False
