"""Messages to frames and back.

    frame 0   b"perpetua <version>"     says which version the rest is written in; hello and its answer use 0
    frame 1   JSON of ``Envelope``
    frame 2.. one raw array for every ``FrameSpec`` in the header, little-endian, C order

Everything is checked on the way out and on the way in: sizes before anything is parsed, types and shapes against the
white list, and that every number is finite (a JSON encoder would write NaN as null).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidMessage, VersionMismatch
from perpetua_protocol.messages import (
    PROTOCOL_VERSION,
    SUPPORTED_VERSIONS,
    AnyMessage,
    Envelope,
    Error,
    FrameSpec,
    Hello,
    Welcome,
)

PREAMBLE = b"perpetua "
NEGOTIATION = 0
"""Version in the preamble of ``hello`` and its answer: these stay the same in every version."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Envelope)
_DTYPES = {name: np.dtype("<" + name) for name in ("u1", "u2", "i4", "i8", "f2", "f4", "f8")}


class _JustId(msgspec.Struct):
    id: str = ""


Arrays = Mapping[str, "NDArray[Any]"]


def encode(
    message: AnyMessage, request_id: str = "", arrays: Arrays | None = None, negotiation: bool = False
) -> list[bytes | memoryview]:
    """Frames of a message and its arrays. Raises ``InvalidMessage`` for what the other side would refuse.

    ``negotiation`` writes the version-free form; ``hello`` and ``welcome`` always take it.
    """
    specs: list[FrameSpec] = []
    raw: list[memoryview] = []
    for name, array in (arrays or {}).items():
        spec, view = _raw_frame(name, array)
        specs.append(spec)
        raw.append(view)
    if len(raw) > limits.FRAMES:
        raise InvalidMessage(f"A message has {len(raw)} array frames; at most {limits.FRAMES} are allowed.")
    require_finite(message)
    try:
        header = _ENCODER.encode(Envelope(message, request_id, tuple(specs)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidMessage(f"A {type(message).__name__} cannot be written as JSON: {error}.") from error
    if len(header) > limits.HEADER_BYTES:
        raise InvalidMessage(
            f"A {type(message).__name__} is {len(header) / limits.MIB:.1f} MiB as JSON; at most "
            f"{limits.HEADER_BYTES // limits.MIB} MiB are allowed. Use fewer keys or shorter rounds."
        )
    version = NEGOTIATION if negotiation or isinstance(message, Hello | Welcome) else PROTOCOL_VERSION
    return [PREAMBLE + str(version).encode(), header, *raw]


def decode(frames: Sequence[bytes]) -> tuple[Envelope, dict[str, NDArray[Any]]]:
    """Header and read-only arrays of a received message. Raises ``InvalidMessage`` or ``VersionMismatch``."""
    if not 2 <= len(frames) <= 2 + limits.FRAMES:
        raise InvalidMessage(
            f"A message came in {len(frames)} frames; it needs a preamble, a header and at most "
            f"{limits.FRAMES} arrays."
        )
    version = _version(frames[0])
    if len(frames[1]) > limits.HEADER_BYTES:
        raise InvalidMessage(
            f"A header is {len(frames[1])} bytes; at most {limits.HEADER_BYTES} are allowed."
        )
    try:
        envelope = _DECODER.decode(frames[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(f"A header does not follow the protocol: {error}.") from error
    if version == NEGOTIATION and not isinstance(envelope.message, Hello | Welcome | Error):
        raise InvalidMessage("Only hello and its answer may be sent before a version is agreed.")
    if len(envelope.frames) != len(frames) - 2:
        raise InvalidMessage(
            f"A header announces {len(envelope.frames)} array frames and {len(frames) - 2} came with it."
        )
    arrays: dict[str, NDArray[Any]] = {}
    for spec, data in zip(envelope.frames, frames[2:], strict=True):
        if spec.name in arrays:
            raise InvalidMessage(f"Two array frames of a message are called '{spec.name}'.")
        arrays[spec.name] = _array(spec, data)
    return envelope, arrays


def request_id_of(frames: Sequence[bytes]) -> str:
    """The id in a header that is otherwise wrong, so that its sender can be told; empty when there is none to read."""
    if len(frames) < 2 or len(frames[1]) > limits.HEADER_BYTES:
        return ""
    try:
        return msgspec.json.decode(frames[1], type=_JustId).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def bytes_array(data: bytes | memoryview) -> NDArray[np.uint8]:
    """Bytes as the u1 array they travel as, without a copy."""
    return np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)


def require_finite(message: msgspec.Struct) -> None:
    """Raise ``InvalidMessage`` that names the first NaN or infinity in a message."""
    pending: list[tuple[str, Any]] = [("", message)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                raise InvalidMessage(
                    f"{type(message).__name__}{path} is {value}; every number sent must be finite. Correct it."
                )
        elif isinstance(value, msgspec.Struct):
            pending.extend((f"{path}.{name}", getattr(value, name)) for name in value.__struct_fields__)
        elif isinstance(value, Mapping):
            pending.extend((f"{path}.{key}", item) for key, item in value.items())
        elif isinstance(value, list | tuple):
            pending.extend((f"{path}[{index}]", item) for index, item in enumerate(value))


def _version(preamble: bytes) -> int:
    number = preamble[len(PREAMBLE) :]
    if not preamble.startswith(PREAMBLE) or not number.isdigit() or len(number) > 6:
        raise InvalidMessage(
            "The first frame is not 'perpetua <version>'; this is not a message of Perpetua."
        )
    version = int(number)
    if version not in (NEGOTIATION, *SUPPORTED_VERSIONS):
        raise VersionMismatch(
            f"A message is written in protocol version {version}; this side speaks "
            f"{', '.join(map(str, SUPPORTED_VERSIONS))}. Install matching versions of the add-on and the backend."
        )
    return version


def _raw_frame(name: str, array: NDArray[Any]) -> tuple[FrameSpec, memoryview]:
    dtype = array.dtype.newbyteorder("<")
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in _DTYPES:
        raise InvalidMessage(f"Array '{name}' is {array.dtype}; only {', '.join(_DTYPES)} can be sent.")
    if array.ndim > limits.DIMENSIONS:
        raise InvalidMessage(
            f"Array '{name}' has {array.ndim} dimensions; at most {limits.DIMENSIONS} are allowed."
        )
    if array.nbytes > limits.FRAME_BYTES:
        raise InvalidMessage(
            f"'{name}' is {array.nbytes / limits.MIB:.1f} MiB; at most {limits.FRAME_BYTES // limits.MIB} MiB can be "
            "sent in one frame. Make it smaller."
        )
    plain = np.ascontiguousarray(array, dtype).reshape(array.shape)
    _require_finite_array(name, plain)
    spec = FrameSpec(name, code, tuple(int(n) for n in array.shape))  # type: ignore[arg-type]
    return spec, plain.reshape(-1).view(np.uint8).data


def _array(spec: FrameSpec, data: bytes) -> NDArray[Any]:
    if len(data) > limits.FRAME_BYTES:
        raise InvalidMessage(f"Array frame '{spec.name}' is {len(data)} bytes; at most {limits.FRAME_BYTES}.")
    if len(spec.shape) > limits.DIMENSIONS or any(n < 0 for n in spec.shape):
        raise InvalidMessage(
            f"Array frame '{spec.name}' has the shape {list(spec.shape)}, which is not allowed."
        )
    dtype = _DTYPES[spec.dtype]
    expected = math.prod(spec.shape) * dtype.itemsize
    if expected != len(data):
        raise InvalidMessage(
            f"Array frame '{spec.name}' announces {spec.dtype} {list(spec.shape)}, {expected} bytes, and holds "
            f"{len(data)}."
        )
    if expected == 0:
        return np.zeros(spec.shape, dtype)
    array = np.frombuffer(data, dtype).reshape(spec.shape)
    _require_finite_array(spec.name, array)
    return array


def _require_finite_array(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidMessage(f"Array '{name}' holds NaN or infinity; every number sent must be finite.")
