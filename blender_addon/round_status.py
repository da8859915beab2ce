"""Which rounds are baked as the scene now stands, and which a change has outdated.

Beside a cache lies ``blender.json``: for every round in it the digest (``dependencies``) of what it was baked from. It is a
file and no property of the scene, so undo cannot make a round look older or newer than it is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

import bpy
import msgspec

from perpetua_protocol.cache import CacheMeta, RoundRecord
from perpetua_protocol.errors import ProtocolError

from . import dependencies, playback
from .errors import AddonError

FILE = "blender.json"
Status = Literal["unbaked", "baked", "outdated"]


class MadeFrom(msgspec.Struct):
    """``blender.json``: a round's index and digest in the cache, joined by a dash, and what it was made from."""

    rounds: dict[str, str] = {}


def note(folder: Path, meta: CacheMeta, made_from: list[str]) -> None:
    """Write down what the rounds of a cache were baked from. made_from: from ``dependencies.fingerprints``."""
    kept = _read(folder)
    for record in meta.rounds:
        if record.index < len(made_from):
            kept.rounds[_key(record)] = made_from[record.index]
    part = folder / f".{FILE}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    os.replace(part, folder / FILE)


def statuses(scene: bpy.types.Scene) -> list[Status]:
    """How the reconstruction and each round of the scene stand; ``[0]`` is the reconstruction.

    A round whose origin is not known (a cache from elsewhere) counts as baked, one whose files somebody has deleted does not.
    """
    wanted = [""] * (1 + len(scene.perpetua.rounds))
    try:
        cache = playback.cache_of(scene)
    except (AddonError, ProtocolError):
        return ["unbaked"] * len(wanted)
    with suppress(AddonError):  # the bake will say what is wrong; until then nothing fits what was baked
        wanted = dependencies.fingerprints(scene)
    known = _read(playback.resolve(scene.perpetua.cache_folder)).rounds
    there = [record for record in cache.meta.rounds if (cache.folder / record.folder).is_dir()]
    found = {record.index: known.get(_key(record)) for record in there}
    return [_status(index in found, found.get(index), digest) for index, digest in enumerate(wanted)]


def first_to_bake(found: list[Status]) -> int | None:
    """The first round (0 is the reconstruction) that a bake would make anew; None when all is baked."""
    return next((index for index, status in enumerate(found) if status != "baked"), None)


def _status(there: bool, made_from: str | None, wanted: str) -> Status:
    if not there:
        return "unbaked"
    return "baked" if made_from is None or made_from == wanted else "outdated"


def _key(record: RoundRecord) -> str:
    return f"{record.index}-{record.digest}"


def _read(folder: Path) -> MadeFrom:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=MadeFrom)
    except (
        FileNotFoundError,
        msgspec.MsgspecError,
    ):  # then nothing is known of the rounds, which is all it says
        return MadeFrom()
