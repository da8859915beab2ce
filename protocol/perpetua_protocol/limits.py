"""The sizes and times both sides of the wire hold each other to. PROTOCOL.md lists them."""

from __future__ import annotations

import re

MIB = 1024 * 1024

HEADER_BYTES = 16 * MIB
"""Largest JSON header; a take with a few hundred keyed actions stays below."""
FRAME_BYTES = 64 * MIB
"""Largest raw array frame (so the largest picture); also ``ZMQ_MAXMSGSIZE``, which holds per frame."""
FRAMES = 8
"""Most raw array frames in one message."""
DIMENSIONS = 4
"""Most dimensions of an array frame."""
CHUNK_BYTES = MIB
"""Most bytes of a file in one reply."""
CREDITS = 8
"""Chunks a client may have asked for and not yet received, or sent and not yet heard of: the receiver paces the sender."""
FILE_BYTES = 1024 * MIB
"""Largest file of an input that can be uploaded."""
INPUT_FILES = 1000
"""Most files of an input."""
INPUT_BYTES = 4096 * MIB
"""Most bytes of all files of an input."""
EVENTS_PER_REPLY = 500
"""Most events in one ``events`` reply; ``more`` says that there are others."""
SEND_QUEUE_MESSAGES = 64
"""``ZMQ_SNDHWM`` of the backend for each client: above the credits, so a client that keeps to them is never dropped."""

REPLY_TIMEOUT_S = 5.0
"""How long a client waits for an answer before it says that the backend is gone."""
SLOWEST_BYTES_PER_S = MIB
"""Slowest network that is waited for: a large request may take this much longer."""
HEARTBEAT_S = 1.0
"""A client that polls and heard nothing for this long asks for news."""
KEEPALIVE_MS = 5000
"""``ZMQ_HEARTBEAT_IVL``; a peer that is silent for three times as long is disconnected (and may connect again)."""
CANCEL_GRACE_S = 1.0
"""Time a cancelled job has to stop by itself; then its process is killed. That costs the next job a cold start, and no work:
stages are written whole or not at all."""
PROGRESS_INTERVAL_S = 0.1
"""Shortest time between two progress events of a job."""

_JOB_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_job_id(text: str) -> bool:
    """Whether ``text`` can name a job: 1 to 64 of ``a-z 0-9 _ -``, the first a letter or digit (it names a folder)."""
    return _JOB_ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` is a SHA-256 in 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def is_cache_path(text: str) -> bool:
    """Whether ``text`` is a plain relative path inside a folder: ``/`` between parts, none of them ``..`` or hidden."""
    if not text or len(text) > 255 or any(c in text for c in '\\:*?"<>|') or not text.isprintable():
        return False
    return all(part and not part.startswith(".") for part in text.split("/"))
