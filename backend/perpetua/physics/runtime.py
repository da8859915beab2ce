"""Genesis in this process: started once, quietly, with a kernel cache that later processes find warm.

Genesis keeps process-wide state: it is initialised once, leaks about 30 MB a scene unless it is shut down in between, and
hangs in a forked child. So few worlds live at a time (``worlds``); ``fresh`` shuts all of them down.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from types import ModuleType

THREADS_VARIABLE = "PERPETUA_PHYSICS_THREADS"
"""Threads of the physics kernels on the CPU. More than one changes the order of atomic sums, and with it the last bits."""


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``QD_OFFLINE_CACHE_FILE_PATH``, or a folder of the user's cache."""
    given = os.environ.get("QD_OFFLINE_CACHE_FILE_PATH")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "perpetua" / "genesis"


def fresh(seed: int = 0) -> ModuleType:
    """Genesis, newly initialised: on CUDA where torch finds it, else on the CPU. Ends every world built before."""
    global _usable
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["QD_OFFLINE_CACHE_FILE_PATH"] = str(folder)
    os.environ["QD_NUM_THREADS"] = os.environ.get(THREADS_VARIABLE, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import genesis as gs
        import torch

        if gs._initialized:
            gs.destroy()
        gs.init(
            backend=gs.cuda if torch.cuda.is_available() else gs.cpu,
            logging_level=logging.ERROR,
            seed=seed,
        )
    _usable = True
    return gs


_usable = False


def running() -> ModuleType | None:
    """Genesis, if it was started and nothing went wrong since."""
    if not _usable:
        return None
    import genesis as gs

    return gs


def end() -> None:
    """Let the next world start Genesis anew."""
    global _usable
    _usable = False
