"""Renders of other engines in the background end where the baked frame cannot be read.

Only an engine can fail a render, and Cycles and EEVEE know nothing of takes: an animation would go on with splats missing, and end
well. So Blender itself ends, with 1. Perpetua's own engine fails its renders itself.
"""

from __future__ import annotations

import os
import sys

import bpy
from bpy.app.handlers import persistent

from . import handlers, session
from .splat_engine import ENGINE

FAILED = 1

_rendering = False


def missing(scene: bpy.types.Scene) -> str | None:
    """Why the take is not in a picture that another engine would draw it in now; None while it is, or need not be."""
    drawn = scene.render.engine != ENGINE and scene.perpetua.display != "SPLATS"
    return session.current().unplayable.get(scene.session_uid) if drawn else None


@persistent
def on_render_init(*_: object) -> None:
    global _rendering
    _rendering = True


@persistent
def on_render_end(*_: object) -> None:
    global _rendering
    _rendering = False


@persistent
def on_frame(scene: bpy.types.Scene, *_: object) -> None:
    """A render sets every frame that it draws, a single one too."""
    sentence = missing(scene) if _rendering and bpy.app.background else None
    if sentence is not None:
        print(f"Error: {sentence} The render of frame {scene.frame_current} ends here.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FAILED)  # Blender 4.5 as a module can hang in an ordinary exit


HANDLERS = {
    "render_init": on_render_init,
    "render_complete": on_render_end,
    "render_cancel": on_render_end,
    "frame_change_post": on_frame,
}


def start() -> None:
    """Watch renders from now on."""
    handlers.add(HANDLERS)


def stop() -> None:
    """Watch no more."""
    on_render_end()
    handlers.remove(HANDLERS)
