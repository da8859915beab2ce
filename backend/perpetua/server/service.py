"""``serve``: one store, one loop, until it is told to end.

Everything but the worker process happens in one thread, so the queue and the journal need no locks. The worker's
answers and signals wake the loop through a socket pair.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

import psutil
import zmq

from perpetua.jobs import JobQueue, Store
from perpetua.jobs.process import LOG_LIMIT_BYTES
from perpetua.server.lock import FileLock
from perpetua.server.replies import Answer, Arrays, Replies
from perpetua.server.sockets import Socket, Sockets, address_of, bind
from perpetua_protocol.errors import ProtocolError
from perpetua_protocol.framing import decode, encode, request_id_of
from perpetua_protocol.keys import (
    Connection,
    default_connection_file,
    new_key_pair,
    read_connection,
    write_connection,
)
from perpetua_protocol.limits import CANCEL_GRACE_S
from perpetua_protocol.messages import PROTOCOL_VERSION, Event, Hello, Request

LOG = logging.getLogger("perpetua.server")

JOB_FUNCTION = "perpetua.loop.bake:bake"
TICK_MS = 250
"""Longest time between looks at the cache folder, cancel deadlines and the parent process."""
FAREWELL_MS = 500
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_WILDCARDS = frozenset({"0.0.0.0", "::"})


def serve(
    store: Path,
    address: str = "127.0.0.1",
    connection_file: Path | None = None,
    *,
    ports: tuple[int, int, int] = (0, 0, 0),
    advertise: str | None = None,
    parent_pid: int | None = None,
    job_function: str = JOB_FUNCTION,
    cancel_grace_s: float = CANCEL_GRACE_S,
    on_ready: Callable[[Path, Connection], None] | None = None,
) -> None:
    """Serve ``store`` until SIGTERM, SIGINT, a shutdown message, or the death of ``parent_pid``.

    ``address`` is the interface to listen on and ``ports`` those of control, data and events (0: a free one); ``advertise`` is what
    clients call this machine, when that differs. ``connection_file`` (default: ``default_connection_file()``) is written when the
    backend listens, handed to ``on_ready`` with its content, and removed at the end. Raises ``StoreInUse``,
    ``AddressUnavailable`` or ``JournalError``.
    """
    place = Store(Path(store).resolve())
    file = Path(connection_file) if connection_file is not None else default_connection_file()
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            FileLock(
                place.root / "backend.lock",
                f"Another backend ({{owner}}) already serves the store {place.root}; use that one, or stop it first.",
            )
        )
        stack.enter_context(
            FileLock(
                file.with_name(file.name + ".lock"),
                f"Another backend ({{owner}}) already announces itself in {file}; stop it, or choose another "
                "connection file.",
            )
        )
        place.prepare()
        stack.enter_context(_logging_to(place.backend_log))
        context: zmq.Context[Socket] = zmq.Context()
        stack.callback(context.term)
        server, client = new_key_pair(), new_key_pair()
        sockets = bind(context, address, ports, server, client.public)
        for each in sockets.all:
            # the answer to a shutdown gets a moment to leave; nothing else is worth waiting for
            stack.callback(each.close, FAREWELL_MS if each is sockets.control else 0)
        alarm = stack.enter_context(_Alarm())
        service = _Service(sockets, alarm, place, job_function, cancel_grace_s, parent_pid)
        stack.callback(service.close)
        stack.enter_context(_on_signals(service.stop))

        name = advertise or (platform.node() if address in _WILDCARDS else address)
        connection = Connection(
            control=address_of(sockets.control, name),
            data=address_of(sockets.data, name),
            events=address_of(sockets.events, name),
            server_public=server.public,
            client=client,
            protocol=PROTOCOL_VERSION,
            pid=service.pid,
            host=platform.node(),
        )
        write_connection(file, connection)
        stack.callback(_remove, file, connection)
        LOG.info("backend %d serves %s at %s", connection.pid, place.root, connection.control)
        if on_ready is not None:
            on_ready(file, connection)
        try:
            service.run()
        except Exception:
            LOG.exception("backend %d ends on an unexpected error", connection.pid)
            raise
        LOG.info("backend %d ends", connection.pid)


class _Alarm:
    """Wakes the loop from another thread or a signal handler."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def ring(self) -> None:
        # a full pair will wake the loop as well; a closed one has no loop left to wake
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(b"!")

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.reader.recv(4096):
                pass

    def __enter__(self) -> _Alarm:
        return self

    def __exit__(self, *unused: object) -> None:
        self.reader.close()
        self._writer.close()


class _Service:
    """The loop."""

    def __init__(
        self,
        sockets: Sockets,
        alarm: _Alarm,
        store: Store,
        job_function: str,
        cancel_grace_s: float,
        parent_pid: int | None,
    ) -> None:
        self.pid = psutil.Process().pid
        self._sockets = sockets
        self._alarm = alarm
        self._running = True
        self._parent = _parent(parent_pid)
        self._jobs = JobQueue(store, job_function, self._publish, alarm.ring, cancel_grace_s)
        self._replies = Replies(self._jobs, self.stop)

    def stop(self) -> None:
        """End the loop; safe in a signal handler."""
        self._running = False
        self._alarm.ring()

    def close(self) -> None:
        """Kill the worker and close the journal."""
        self._jobs.close()

    def run(self) -> None:
        """Serve until ``stop``."""
        self._jobs.warm()
        poller = zmq.Poller()
        for each in self._sockets.all:
            poller.register(each, zmq.POLLIN)
        poller.register(self._alarm.reader, zmq.POLLIN)
        while self._running:
            ready = dict(poller.poll(TICK_MS))
            if self._sockets.zap.socket in ready:
                self._sockets.zap.answer()
            if self._sockets.control in ready:
                self._answer(self._sockets.control, self._replies.control)
            if self._sockets.data in ready:
                self._answer(self._sockets.data, self._replies.data)
            if self._sockets.events in ready:
                _receive(self._sockets.events)  # a subscription; libzmq keeps the list
            if self._alarm.reader.fileno() in ready:
                self._alarm.silence()
            self._jobs.tick()
            if self._parent is not None and _is_gone(self._parent):
                LOG.info("the parent process %d is gone", self._parent.pid)
                self._running = False

    def _answer(self, each: Socket, reply_to: Callable[[Request, Arrays], Answer]) -> None:
        received = _receive(each)
        if received is None:
            return
        identity, *frames = received
        request_id, negotiation = "", False
        try:
            envelope, arrays = decode(frames)
            request_id, negotiation = envelope.id, isinstance(envelope.message, Hello)
            reply, out = reply_to(envelope.message, arrays)  # type: ignore[arg-type]
            answer = encode(reply, request_id, out)
        except Exception as error:  # noqa: BLE001 - no request may end the backend; replies.refusal logs what nobody meant
            request_id = request_id or request_id_of(frames)
            answer = encode(self._replies.refusal(error), request_id, negotiation=negotiation)
        try:
            each.send_multipart([identity, *answer], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # full (it asked for more than its credits) or gone: every request may be asked again
            LOG.warning("an answer could not be sent: %s", error.strerror)

    def _publish(self, event: Event) -> None:
        # '.' ends the topic, so that no job id is the beginning of another's; a dropped event is in the journal
        with contextlib.suppress(zmq.Again):
            self._sockets.events.send_multipart(
                [event.job_id.encode("ascii") + b".", *encode(event)], zmq.NOBLOCK
            )


def _receive(each: Socket) -> list[bytes] | None:
    """A message; None when it was withdrawn since ``poll`` saw it, as its sender broke off."""
    try:
        return each.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def _parent(pid: int | None) -> psutil.Process | None:
    if pid is None:
        return None
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess as error:
        raise ProtocolError(
            f"The parent process {pid} is not there; start the backend from a living process."
        ) from error


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _remove(file: Path, connection: Connection) -> None:
    """Remove the connection file if it is still ours."""
    with contextlib.suppress(ProtocolError, OSError):
        if read_connection(file) == connection:
            file.unlink()


@contextlib.contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call ``stop``; only the main thread may say so, elsewhere they stay as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = RotatingFileHandler(path, maxBytes=LOG_LIMIT_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    logger = logging.getLogger("perpetua")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
