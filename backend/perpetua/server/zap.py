"""Who is let in: a ZAP handler (RFC 27) that allows exactly the listed CURVE keys.

Without a ZAP handler libzmq completes the CURVE handshake with any key. libzmq asks over ``inproc://zeromq.zap.01`` before a
peer's first message reaches a socket; what is not positively allowed is refused.
"""

from __future__ import annotations

import logging

import zmq
from zmq.utils import z85

LOG = logging.getLogger("perpetua.server")

ADDRESS = "inproc://zeromq.zap.01"
DOMAIN = b"perpetua"
"""Set on every socket; a request for another domain is refused."""
_REQUEST_FRAMES = 9
"""ROUTER envelope (2), version, request id, domain, address, identity, mechanism, key."""


class ZapHandler:
    """Answers libzmq's questions on ``socket``; bind it before any socket that is to be guarded."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed_public: frozenset[str]) -> None:
        self._allowed = frozenset(z85.decode(key) for key in allowed_public)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(ADDRESS)

    def answer(self) -> None:
        """Answer one question."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        envelope, request_id = frames[:2], frames[3] if len(frames) > 3 else b""
        allowed = self._allows(frames)
        if not allowed:
            address = frames[5].decode("ascii", "replace") if len(frames) > 5 else "unknown"
            LOG.warning("refused a client at %s: its key is not allowed", address)
        status = (
            [b"200", b"OK", b"artist", b""] if allowed else [b"400", b"This key is not allowed", b"", b""]
        )
        self.socket.send_multipart([*envelope, b"1.0", request_id, *status])

    def _allows(self, frames: list[bytes]) -> bool:
        if len(frames) != _REQUEST_FRAMES:
            return False
        _, _, version, _, domain, _, _, mechanism, key = frames
        return version == b"1.0" and domain == DOMAIN and mechanism == b"CURVE" and key in self._allowed
