"""Bakes that block until they are done, for ``blender -b`` and scripts, with progress printed line by line."""

from __future__ import annotations

import time

import bpy

from perpetua_protocol.errors import JobFailed

from . import bake, following, session
from .backend_job import BackendJob

WAIT_S = 0.05
PRINT_EVERY_S = 2.0


def bake_and_wait(scene: bpy.types.Scene, through_round: int) -> None:
    """Bake and wait for the end, printing what happens.

    Raises ``AddonError`` or a protocol error with a sentence when the bake fails, is cancelled or loses its backend.
    """
    follow(bake.start(scene, through_round))


def see_to(job: BackendJob) -> None:
    """Follow a job that has begun: from Blender's timers, or to its end where timers do not run. Raises as ``bake_and_wait``."""
    if bpy.app.background:
        follow(job)
    else:
        following.start_timer()


def follow(job: BackendJob) -> None:
    """Wait for the end of a bake under way, printing what happens. Raises as ``bake_and_wait``."""
    shown, stage, printed = "", "", 0.0
    try:
        while not job.step(WAIT_S):
            line, now = _line(), time.monotonic()
            due = session.current().stage != stage or now - printed >= PRINT_EVERY_S
            if line and line != shown and due:
                print(line, flush=True)
                shown, stage, printed = line, session.current().stage, now
            time.sleep(WAIT_S)
    except KeyboardInterrupt:
        job.cancel()
        raise
    finally:
        following.end()
    if job.cancelled:
        raise JobFailed("The bake was cancelled.")
    print(f"Perpetua: {job.did} {job.folder}", flush=True)


def _line() -> str:
    state = session.current()
    if not state.stage:
        return ""
    left = f", about {session.clock(state.eta_s)} left" if state.eta_s is not None else ""
    text = f" ({state.text})" if state.text else ""
    return f"Perpetua: {state.overall:4.0%} {state.stage}{text}{left}"
