"""Frames as people write them: ``1-48``, ``1,5,10-20``. No Blender in here."""

from __future__ import annotations

import re

from .errors import AddonError

_PART = re.compile(r"\s*(-?\d+)\s*(?:(?:-|\.\.)\s*(-?\d+)\s*)?")


def parse(text: str) -> list[int]:
    """The frames that ``text`` names, in order, each once. Raises ``AddonError`` when it is not frames."""
    frames: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise AddonError(f"'{part.strip()}' is no range of frames; write 1-48, or 1,5,10-20.")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise AddonError(f"The frames {part.strip()} end before they start; write {last}-{first}.")
        frames.update(range(first, last + 1))
    return sorted(frames)
