"""What the add-on knows of a running bake: a plain object, so that undo and loading a file cannot break it.

It holds no Blender data, only names and numbers; the panel reads it, ``bake`` changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

KNOWN_REFINERS = ("none", "files", "wan", "wan_vace", "cogvideox", "ltx", "sana_wm")
"""Offered until the backend has said which it has."""


@dataclass
class Session:
    """State the panel shows.

    sentence: the last error, or what just happened. stage, text, overall: where the bake is, overall in [0, 1].
    eta_s: seconds left, None while unknown. rounds_ready: rounds whose files have arrived.
    refiners: names of the backend's refiners, once it has said them. picture: icon of the newest baked frame, 0 for none.
    unplayable: by the ``session_uid`` of a scene whose frame could not be read, the sentence that says why.
    """

    sentence: str = ""
    baking: bool = False
    stage: str = ""
    text: str = ""
    overall: float = 0.0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    rounds_ready: int = -1
    refiners: tuple[str, ...] = KNOWN_REFINERS
    picture: int = 0
    unplayable: dict[int, str] = field(default_factory=dict)


_current = Session()


def current() -> Session:
    """The one session of this Blender."""
    return _current


def reset() -> None:
    """Forget everything (another file was opened)."""
    global _current
    _current = Session()


def clock(seconds: float) -> str:
    """Seconds as ``1:05``."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
