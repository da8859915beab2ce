"""A backend of our own: started with the command of the preferences, ended with Blender or the stop button."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import bpy

from . import log, preferences
from .errors import AddonError

START_S = 60.0
"""Longest the backend may take to write its connection file."""
STOP_S = 15.0
"""Longest it may take to end after it was asked to; then it is killed."""
_POLL_S = 0.1

_process: subprocess.Popen[bytes] | None = None


def start() -> None:
    """Start a backend unless ours runs, and wait until it is ready; it ends by itself when this Blender does.

    Raises ``AddonError`` when there is no command, it cannot be run, or it ends instead, and when the key file is of a backend on
    another machine.
    """
    global _process
    if running():
        return
    if preferences.is_remote():
        raise AddonError(
            "The key file is of a backend on another machine; clear it in the add-on's preferences to start one here."
        )
    connection = preferences.connection_file()
    connection.unlink(missing_ok=True)
    arguments = [
        *_serve(),
        *("--connection-file", str(connection), "--parent-pid", str(os.getpid())),
    ]
    try:
        with log_file().open("wb") as messages:
            _process = subprocess.Popen(arguments, stdout=messages, stderr=subprocess.STDOUT)
    except OSError as error:
        raise AddonError(
            f"The backend cannot be started with '{arguments[0]}' ({error.strerror}); "
            "set its command in the add-on's preferences."
        ) from error
    log.LOG.info("backend %d started", _process.pid)
    _wait_until_ready()


def start_if_none() -> None:
    """Start a backend unless one listens at the key file's address, or should on another machine. Raises as ``start``."""
    if not preferences.is_remote() and not preferences.listens():
        start()


def _wait_until_ready() -> None:
    deadline = time.monotonic() + START_S
    while not preferences.connection_file().exists():
        if (ended := failure()) is not None:
            raise AddonError(ended)
        if time.monotonic() > deadline:
            stop()
            raise AddonError(f"The backend did not start within {START_S:.0f} s; see {log_file()}.")
        time.sleep(_POLL_S)


def running() -> bool:
    """Whether a backend that we started still runs."""
    return _process is not None and _process.poll() is None


def failure() -> str | None:
    """The sentence to show when the backend we started has ended by itself, else None."""
    if _process is None or _process.poll() is None:
        return None
    return f"The backend ended with code {_process.returncode}; its messages are in {log_file()}."


def stop() -> None:
    """End the backend that we started, if any."""
    global _process
    if _process is None:
        return
    if _process.poll() is None:
        _process.terminate()
        try:
            _process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _process.kill()
            _process.wait()
    _process = None


def log_file() -> Path:
    """Where the backend's messages go."""
    return Path(bpy.utils.extension_path_user(__package__, path="", create=True)) / "backend.log"


def command() -> list[str]:
    """The program that is installed on this machine, before any of its commands. Raises ``AddonError`` when it is not known."""
    words = _serve()
    if "serve" not in words:
        raise AddonError(
            f"The backend's command '{' '.join(words)}' in the add-on's preferences has no `serve`, so nothing else can be asked of it."
        )
    return words[: words.index("serve")]


def words_of(typed: str, windows: bool) -> list[str]:
    """A command as it was typed, as a program and its arguments. windows: whose paths have backslashes.

    Raises ``AddonError`` when a quotation mark is missing.
    """
    try:
        words = shlex.split(typed, posix=not windows)
    except ValueError as error:
        raise AddonError(
            f"The backend's command {typed} lacks a quotation mark; write it anew in the add-on's preferences."
        ) from error
    return [word.strip('"') for word in words] if windows else words


def _serve() -> list[str]:
    chosen = preferences.command()
    if chosen:
        return words_of(chosen, windows=os.name == "nt")
    found = shutil.which("perpetua")
    if found is None:
        raise AddonError(
            "The backend's command is not known; set it in the add-on's preferences, or run `perpetua serve`."
        )
    return [found, "serve"]
