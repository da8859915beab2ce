"""What an artist who has never seen the tab does next: one sentence, by how far the take has come."""

from __future__ import annotations

import bpy

from perpetua_protocol.errors import ProtocolError

from . import inputs, playback, session
from .errors import AddonError


def next_step(scene: bpy.types.Scene) -> str:
    """The next step of the work."""
    settings = scene.perpetua
    looking = bool(settings.picture) and inputs.clicked_path(settings) is None
    if session.current().baking and looking:
        return "One moment: the backend draws the splats, to click in."
    if session.current().baking:
        return "Go on while it bakes: rounds play as they are done."
    if not settings.picture:
        return "Open a picture to begin: or several, a video, a capture, splats."
    if looking:
        return "Press Look, to see the splats and click in them."
    masked = settings.input.has_masks
    unmarked = [t.name for t in settings.things if not (t.clicks or t.use_box or masked)]
    if not settings.things or unmarked:
        return f"Press Click or Box It, then click {unmarked[0] if unmarked else 'what shall move'} in the picture."
    baked = _baked_rounds(scene)
    if baked is None:
        return "Choose what it is made of, then Reconstruct."
    if not settings.rounds:
        return "Add a round: the stretch of time that a bake plays through."
    if not settings.forces:
        return "Add a force, such as a push, and place it in the viewport."
    if baked < len(settings.rounds):
        return "Press Bake."
    return "Play with the space bar; add a round to go on."


def _baked_rounds(scene: bpy.types.Scene) -> int | None:
    """How many rounds have been baked after the picture; None before it is reconstructed."""
    try:
        return len(playback.meta(scene).rounds) - 1
    except (AddonError, ProtocolError):
        return None
