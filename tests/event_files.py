"""Reads TensorBoard's event files: records of length, checksum, protobuf, checksum."""

from __future__ import annotations

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Figure -> step -> value, the later file's where two have one: what TensorBoard shows of a run that was gone on with."""
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            if at + 16 + length > len(data):
                break  # the writer was killed in the middle
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found
