"""Exports of a baked take to open formats, by the ``perpetua export`` of the backend that is installed on this machine.

It runs beside Blender: ``step`` is called by a timer, or in a loop where timers do not run.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import bpy

from perpetua_protocol.errors import ProtocolError

from . import backend_process, log, playback, redraw, session
from .errors import EXPECTED, AddonError

FORMATS = (
    (
        "USD",
        "OpenUSD",
        "One .usdc: splats over time, the same as points for Blender 4.5 to 5.2, and the cameras",
    ),
    (
        "PLY",
        "PLY Sequence",
        "A splat file for every frame, and one of what stands still; most splat viewers read it",
    ),
    ("VIDEOS", "Videos", "An MP4 of every round from every camera of the take"),
    ("REFINED", "Refined Videos", "The refiner's own videos, by which the rounds were corrected"),
)
TICK_S = 0.25


class ExportFailed(ProtocolError):
    """``perpetua export`` ended with an error; its sentence."""

    code = "export"


class Export:
    """One under way."""

    def __init__(self, process: subprocess.Popen[bytes], messages: Path, out: Path) -> None:
        self._process = process
        self._messages = messages
        self.out = out

    def step(self) -> bool:
        """Whether it is done. Raises ``ExportFailed``."""
        if self._process.poll() is None:
            return False
        if self._process.returncode != 0:
            said = self._messages.read_text(encoding="utf-8", errors="replace")
            lines = [line for line in said.splitlines() if line.strip()]
            last = lines[-1].removeprefix("perpetua: ") if lines else "it did not say why."
            raise ExportFailed(f"The export failed: {last}")
        return True

    def stop(self) -> None:
        """End it; files appear whole or not at all."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()


_running: Export | None = None


def start(scene: bpy.types.Scene, out: Path, formats: set[str], with_background: bool) -> Export:
    """Export the scene's cache into the folder ``out``. formats: of ``FORMATS``.

    Raises ``AddonError`` or ``DamagedCache`` when there is nothing to export, or nothing to export it with.
    """
    global _running
    if _running is not None:
        raise AddonError("An export is running already; wait for it.")
    if not formats:
        raise AddonError("Nothing was chosen to export; choose a format.")
    cache = playback.cache_of(scene)
    name = bpy.path.clean_name(cache.meta.name) or "take"
    places = {
        "USD": ("--usd", out / f"{name}.usdc"),
        "PLY": ("--ply", out / f"{name}_ply"),
        "VIDEOS": ("--video", out),
        "REFINED": ("--refined", out),
    }
    command = [*backend_process.command(), "export", str(cache.folder)]
    for kind in sorted(formats):
        command += [places[kind][0], str(places[kind][1])]
    if with_background and "PLY" in formats:
        command.append("--with-background")
    log.LOG.info("export: %s", command)
    messages = log.path().with_name("export.log")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with messages.open("wb") as said:
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    except OSError as error:
        raise AddonError(f"The export cannot be started: {error}.") from error
    _running = Export(process, messages, out)
    return _running


def running() -> Export | None:
    """The export under way, if any."""
    return _running


def wait(export: Export) -> None:
    """Block until it is done. Raises ``ExportFailed``."""
    try:
        while not export.step():
            time.sleep(TICK_S)
    finally:
        _forget()


def start_timer() -> None:
    """Follow the export from Blender's timers (they do not run in the background)."""
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S)


def stop() -> None:
    """End the export under way and stop following it."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _running is not None:
        _running.stop()
        _forget()


def _forget() -> None:
    global _running
    _running = None


def _tick() -> float | None:
    if _running is None:
        return None
    try:
        done = _running.step()
        if done:
            session.current().sentence = f"Exported to {_running.out}."
    except EXPECTED as error:  # a timer has no caller to raise to: the panel shows the sentence
        session.current().sentence, done = str(error), True
    if done:
        _forget()
        redraw.sidebars()
    return None if done else TICK_S
