"""The three sockets of a backend, set up alike: CURVE, the ZAP domain, limits, and never blocking."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from perpetua.errors import PerpetuaError
from perpetua.server.zap import DOMAIN, ZapHandler
from perpetua_protocol import limits
from perpetua_protocol.keys import KeyPair

Socket = zmq.Socket[bytes]
_EVENT_QUEUE_MESSAGES = 10_000
"""Events that may wait for a slow subscriber before some are dropped; the journal keeps them all."""


class AddressUnavailable(PerpetuaError):
    """The backend cannot listen where it was told to."""

    code = "address"


@dataclass(frozen=True)
class Sockets:
    """Bound sockets and the addresses they listen at."""

    zap: ZapHandler
    control: Socket
    data: Socket
    events: Socket

    @property
    def all(self) -> tuple[Socket, ...]:
        return (self.control, self.data, self.events, self.zap.socket)


def bind(
    context: zmq.Context[Socket], host: str, ports: tuple[int, int, int], server: KeyPair, client_public: str
) -> Sockets:
    """Bind control, data and events on ``host``; a port of 0 takes a free one. Raises ``AddressUnavailable``."""
    zap = ZapHandler(context, frozenset({client_public}))
    made: list[Socket] = [zap.socket]
    try:
        for kind, port, queue in (
            (zmq.ROUTER, ports[0], limits.SEND_QUEUE_MESSAGES),
            (zmq.ROUTER, ports[1], limits.SEND_QUEUE_MESSAGES),
            (zmq.XPUB, ports[2], _EVENT_QUEUE_MESSAGES),
        ):
            socket = context.socket(kind)
            made.append(socket)
            socket.linger = 0
            socket.curve_server = True
            socket.curve_secretkey = server.secret.encode("ascii")
            socket.curve_publickey = server.public.encode("ascii")
            socket.zap_domain = DOMAIN
            socket.maxmsgsize = limits.FRAME_BYTES
            socket.sndhwm = queue
            socket.heartbeat_ivl = limits.KEEPALIVE_MS
            socket.heartbeat_timeout = 3 * limits.KEEPALIVE_MS
            socket.ipv6 = ":" in host
            if kind == zmq.ROUTER:
                # otherwise a reply to a full or vanished client is dropped without a word
                socket.router_mandatory = True
            socket.bind(f"tcp://{_bracketed(host)}:{port or '*'}")
    except zmq.ZMQError as error:
        for socket in made:
            socket.close()
        raise AddressUnavailable(
            f"The backend cannot listen at {host}, ports {ports} ({error.strerror}); choose another address or port."
        ) from error
    return Sockets(zap, *made[1:])


def address_of(socket: Socket, advertise: str) -> str:
    """Where clients find a bound socket when they call the machine ``advertise``."""
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
    return f"tcp://{_bracketed(advertise)}:{endpoint.rsplit(':', 1)[1]}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
