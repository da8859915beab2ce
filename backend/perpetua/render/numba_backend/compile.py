"""How the kernels of this folder are compiled, and where the compiled code is kept.

numba writes compiled code beside the source by default, which fails when site-packages are read-only, and it
does not notice when a function that a kernel calls changes in another file. So the kernels here are kept under
``$NUMBA_CACHE_DIR`` if that is set, else ``~/.cache/perpetua/numba``, in a folder named after a digest of all
kernel sources: a later process loads them in a fraction of a second, and an edited kernel is never stale. Each process
that uses a folder renews its date; folders of other sources that no process has used for a month are removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

# As Any: mypy does not see the settings, which numba makes at run time.
numba_config: Any = numba.config

# Contraction into fused multiply-add, and no rules for signed zeros. Not "reassoc": `exp2` (lanes.py) relies on the
# order of an addition and a subtraction, and sums must not depend on the vector width.
_FINITE_OR_NOT = {"contract", "nsz", "arcp"}
# Most kernels also assume that nothing is NaN or infinite, which the projection has made sure of.
_FINITE = _FINITE_OR_NOT | {"nnan", "ninf"}


UNUSED_DAYS = 30  # after which a folder of other kernel sources is removed
_OURS = re.compile(r"render-[0-9a-f]{12}")  # what cache_folder() names its folders


def cache_folder() -> Path:
    """Folder that holds the compiled kernels of exactly these sources (it may not exist yet)."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    # expanduser, unlike Path.home, leaves "~" where the system knows no home; that folder then counts as unwritable.
    home = Path(os.path.expanduser("~"))
    root = Path(chosen).absolute() if chosen else home / ".cache" / "perpetua" / "numba"
    return root / f"render-{digest.hexdigest()[:12]}"


def remove_unused(folder: Path) -> None:
    """Renew the date of `folder` and remove its siblings that hold compiled kernels and were not used for UNUSED_DAYS.

    A process that has run for longer keeps what it has loaded, and compiles anew what it has not. A folder that cannot be
    removed (another process is at it, or another user owns it) is left for the next time.
    """
    os.utime(folder)
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for sibling in folder.parent.iterdir():
        if sibling == folder or not _OURS.fullmatch(sibling.name) or sibling.is_symlink():
            continue
        try:
            if sibling.is_dir() and sibling.stat().st_mtime < oldest:
                shutil.rmtree(sibling)
        except OSError:
            continue


@lru_cache(maxsize=1)
def _writable_cache_folder() -> str | None:
    """The cache folder once it is known to be writable, or None after one warning that says why not."""
    folder = cache_folder()
    try:
        if not folder.is_absolute():
            raise OSError(errno.ENOENT, "this user has no home folder")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        remove_unused(folder)
    except OSError as error:
        warnings.warn(
            f"the renderer's compiled kernels cannot be kept in {folder} ({error.strerror}), so each process compiles "
            "them anew (about ten seconds); set NUMBA_CACHE_DIR to a folder you can write",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return str(folder)


def _compile(function: Callable[..., Any], fastmath: set[str]) -> Any:
    """Compile on first call, cached on disk.

    numba decides where to cache when a function is decorated, so its setting is changed for that moment only and
    other users of numba in the process keep theirs.
    """
    folder = _writable_cache_folder()
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = folder or ""
    try:
        return numba.njit(nogil=True, cache=folder is not None, error_model="numpy", fastmath=fastmath)(
            function
        )
    finally:
        numba_config.CACHE_DIR = before


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel that releases the GIL and is given finite numbers only."""
    return _compile(function, _FINITE)


def careful_kernel(function: Callable[..., Any]) -> Any:
    """A kernel that releases the GIL and may meet NaN and infinity: to test for them, or in lanes that it selects away."""
    return _compile(function, _FINITE_OR_NOT)


def inlined(function: Callable[..., Any]) -> Any:
    """A part of the kernels that call it, compiled by their rules."""
    return numba.njit(inline="always", nogil=True, error_model="numpy", fastmath=_FINITE_OR_NOT)(function)
