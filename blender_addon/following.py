"""The job under way: one at a time, followed from Blender's timers, which do not run in the background (see ``batch``)."""

from __future__ import annotations

import time

import bpy
from bpy.app.handlers import persistent

from perpetua_protocol.errors import BackendUnreachable

from . import backend_process, handlers, log, redraw, session
from .backend_job import BackendJob
from .errors import EXPECTED, AddonError

BUDGET_S = 0.004
"""Longest a timer's tick works, so that the interface stays smooth."""
TICK_S = 0.05
REDRAW_S = 0.25
"""Between two drawings of the panels: drawing them costs more than a tick."""

_running: BackendJob | None = None
_drawn = 0.0
"""When the panels were asked to be drawn, by the monotonic clock."""


def check_free() -> None:
    """Raises ``AddonError`` while a job is under way."""
    if _running is not None:
        raise AddonError("A bake is running already; wait for it or cancel it.")


def begin(job: BackendJob) -> None:
    """Follow a job from now on."""
    global _running
    _running = job


def running() -> BackendJob | None:
    """The job under way, if any."""
    return _running


def end() -> None:
    """Forget the job under way; it goes on by itself unless it was cancelled."""
    global _running
    if _running is not None:
        _running.close()
        _running = None
    session.current().baking = False


def start_timer() -> None:
    """Follow the job from Blender's timers."""
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S)


def stop_timer() -> None:
    """Stop following."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


@persistent
def on_load_pre(*_: object) -> None:
    """Another file is opened: its session must not hold this one's sockets. The job itself goes on."""
    stop_timer()
    end()


HANDLERS = {"load_pre": on_load_pre}


def register() -> None:
    """Let go of a job when another file is opened."""
    handlers.add(HANDLERS)


def unregister() -> None:
    """Let go of the job under way and of everything registered."""
    stop_timer()
    end()
    handlers.remove(HANDLERS)


def _tick() -> float | None:
    if _running is None:
        return None
    finished = True
    try:
        finished = _running.step(BUDGET_S)
    except EXPECTED as error:  # a timer has no caller to raise to: the panel shows the sentence
        session.current().sentence = _why(error, _running)
        log.LOG.warning("bake: %s", error)
    finally:  # also after a defect, whose traceback Blender prints: a bake that nobody follows must not look like one that runs
        if finished:
            end()
        _redraw(finished)
    if finished:
        return None
    return TICK_S if _running.idle else BUDGET_S


def _redraw(now: bool) -> None:
    global _drawn
    if now or time.monotonic() - _drawn >= REDRAW_S:
        _drawn = time.monotonic()
        redraw.sidebars()


def _why(error: Exception, job: BackendJob) -> str:
    """The sentence for a job that broke off: also how to go on, if the backend is gone."""
    if not isinstance(error, BackendUnreachable):
        return str(error)
    return f"{backend_process.failure() or error} {job.go_on}"
