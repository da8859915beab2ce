"""Which caches some Blender plays: while it does, it holds a lock on the cache's ``meta.json``, which ends with its process.

Windows needs none: there a folder with open files cannot be renamed.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from perpetua_protocol.transfer import META

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def hold(folder: Path) -> IO[bytes] | None:
    """Lock the cache until what this returns is closed; None where there are no locks."""
    if fcntl is None:
        return None
    held = (folder / META).open("rb")
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # a disk without locks, or a cache that is just being cleaned up
        held.close()
        return None
    return held


def is_held(folder: Path) -> bool:
    """Whether any Blender plays the cache, as far as can be known."""
    if fcntl is None:
        return False
    with (folder / META).open("rb") as meta:
        try:
            fcntl.flock(meta, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(meta, fcntl.LOCK_UN)
    return False
