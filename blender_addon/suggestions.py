"""What a round's refined videos say of the physics, in words, and taking it over into the scene."""

from __future__ import annotations

import bpy

from perpetua_protocol.cache import Finding, Suggestion
from perpetua_protocol.errors import ProtocolError

from . import marking, playback
from .errors import AddonError
from .materials import PARAMETERS

LABELS = {name: label for name, label, _ in PARAMETERS} | {"wind": "Wind", "air_drag": "Air's Drag"}


def of_round(scene: bpy.types.Scene, index: int) -> Suggestion | None:
    """The suggestion of round ``index`` (from 1), None when the round is not baked or nothing was found."""
    try:
        rounds = playback.meta(scene).rounds
    except (AddonError, ProtocolError):
        return None
    record = next((record for record in rounds if record.index == index), None)
    return record.suggestion if record is not None and record.suggestion.findings else None


def in_words(finding: Finding) -> str:
    """Such as ``jelly: Stiffness 12 000 Pa, not 15 000``, with what it may be off by; and what is as it was before another was found."""
    whose = f"{finding.object}: " if finding.object else ""
    spread = (finding.high - finding.low) / 2
    label = LABELS.get(finding.quantity, finding.quantity)
    if finding.value == finding.taken:
        return f"{whose}{label} {finding.value:.3g} {finding.unit}".rstrip() + ", as it was"
    return f"{whose}{label} {finding.value:.3g} \u00b1 {spread:.1g} {finding.unit}, not {finding.taken:.3g}".replace(
        "  ", " "
    )


def can_use(finding: Finding) -> bool:
    """Whether it is a number of an object's material, which can be taken over."""
    return bool(finding.object) and finding.quantity in LABELS


def use(scene: bpy.types.Scene, finding: Finding) -> None:
    """Give the object's material the value that was found. Raises ``AddonError`` when it is not a number of a material."""
    if not can_use(finding):
        raise AddonError("A wind that was found acts on all; add one with the button Wind.")
    change_material(scene, finding.object, "", finding.quantity, finding.value)


def change_material(scene: bpy.types.Scene, name: str, region: str, parameter: str, value: float) -> None:
    """Set a number of a material, in place of the one changed before. Raises ``AddonError`` for an unknown object."""
    changes = marking.marked(scene, name, region).changes
    change = next((c for c in changes if c.parameter == parameter), None) or changes.add()
    change.parameter, change.value = parameter, value
