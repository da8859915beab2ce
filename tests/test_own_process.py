"""What a process of this program sets for itself, and that one which only imports the library is left as it was."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

# Page faults while an array of 8 MB is made and freed a hundred times.
FAULTS = """
import resource, sys
if sys.argv[1] == "begin":
    from perpetua import own_process
    own_process.begin()
def make(): bytearray(b"x") * 8_000_000
make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100): make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(code: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(
    os.name != "posix" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt"
)
def test_freed_memory_is_kept() -> None:
    fetched, kept = (int(_run(FAULTS, how)) for how in ("leave", "begin"))
    assert fetched > 1000  # the test would show a difference
    assert kept < fetched / 20


def test_waiting_threads_sleep_unless_the_user_says_otherwise() -> None:
    show = "import os; from perpetua import own_process; own_process.begin(); print(os.environ['OMP_WAIT_POLICY'])"
    assert _run(show) == "PASSIVE"
    assert _run("import os; os.environ['OMP_WAIT_POLICY'] = 'ACTIVE';" + show) == "ACTIVE"


def test_importing_the_library_changes_nothing() -> None:
    assert _run("import os, perpetua, perpetua.cli.main; print(os.environ.get('OMP_WAIT_POLICY'))") == "None"
