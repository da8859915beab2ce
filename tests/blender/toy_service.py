"""The real backend service in its own environment, with a job that writes a toy cache (``toy_bake``)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = ROOT / ".venv" / "bin" / "python"
WAIT_S = 120.0
"""Longest that a test waits for what takes a second on a free machine: only what hangs takes longer."""

SERVE = """
from pathlib import Path
import sys
from perpetua.server import serve
serve(Path(sys.argv[1]), "127.0.0.1", Path(sys.argv[2]), job_function="toy_bake:bake")
"""


def start(folder: Path, connection: Path) -> subprocess.Popen[bytes]:
    """Start one that serves a store in ``folder``, and wait until it listens."""
    here = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(here), "OMP_WAIT_POLICY": "PASSIVE"}
    arguments = [str(BACKEND_PYTHON), "-c", SERVE, str(folder / "store"), str(connection)]
    process = subprocess.Popen(arguments, env=environment)
    until(connection.exists)
    return process


def until(good: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
