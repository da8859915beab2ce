"""Every message class: it is specified in PROTOCOL.md, field by field, and comes back from the wire as it was."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as inspect
import pytest

from perpetua_protocol import limits, messages
from perpetua_protocol.errors import BackendFailed, ProtocolError, from_code
from perpetua_protocol.framing import NEGOTIATION, PREAMBLE, decode, encode
from perpetua_protocol.messages import AnyMessage, FileEntry, Message

SPECIFICATION = (Path(__file__).parents[2] / "PROTOCOL.md").read_text(encoding="utf-8")


def message_classes() -> list[type[Message]]:
    found = [
        c
        for c in vars(messages).values()
        if isinstance(c, type) and issubclass(c, Message) and c is not Message
    ]
    assert len(found) > 20
    return found


def section(title: str) -> str:
    """The part of PROTOCOL.md under a heading of the third level."""
    match = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", SPECIFICATION, re.MULTILINE | re.DOTALL)
    assert match, f"PROTOCOL.md has no section '{title}'"
    return match[1]


def documented(text: str) -> set[str]:
    """Names in the first column of a section's table."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def sample(kind: inspect.Type, which: int) -> Any:
    """A value of a type; ``which`` chooses among the members of a union, so that several samples differ."""
    match kind:
        case inspect.StrType():
            return f"text {which} äöü \N{SNOWMAN}"
        case inspect.IntType():
            return 7 + which
        case inspect.FloatType():
            return 0.1 + which
        case inspect.BoolType():
            return which % 2 == 0
        case inspect.NoneType():
            return None
        case inspect.AnyType():
            return {"nested": [1, 2.5, None, "x"]}
        case inspect.LiteralType():
            return kind.values[which % len(kind.values)]
        case inspect.VarTupleType():
            return tuple(sample(kind.item_type, which + i) for i in range(2))
        case inspect.TupleType():
            return tuple(sample(item, which) for item in kind.item_types)
        case inspect.DictType():
            return {"key": sample(kind.value_type, which)}
        case inspect.UnionType():
            return sample(kind.types[which % len(kind.types)], which)
        case inspect.StructType():
            return kind.cls(**{field.name: sample(field.type, which) for field in kind.fields})
    raise AssertionError(f"no sample for {kind}")


@pytest.mark.parametrize("kind", message_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("which", range(6))
def test_a_message_comes_back_as_it_was(kind: type[Message], which: int) -> None:
    message = sample(inspect.type_info(kind), which)
    if kind is messages.BakeRequest:
        message = messages.Submit("job", message)
    frames = [bytes(frame) for frame in encode(message, "the id")]
    envelope, arrays = decode(frames)
    assert envelope.message == message
    assert envelope.id == "the id"
    assert arrays == {}


@pytest.mark.parametrize("kind", message_classes(), ids=lambda kind: kind.__name__)
def test_a_message_is_specified(kind: type[Message]) -> None:
    text = section(f"`{kind.__struct_config__.tag}`")
    fields = set(kind.__struct_fields__)
    names = documented(text) - {"type"}
    assert names == fields
    if not fields:
        assert "No fields" in text


def test_parts_and_headers_are_specified() -> None:
    assert documented(section("A file")) == set(FileEntry.__struct_fields__)
    for kind in (messages.Envelope, messages.FrameSpec):
        for name in kind.__struct_fields__:
            assert f"`{name}`" in SPECIFICATION
    for state in typing.get_args(messages.State):
        assert f"`{state}`" in SPECIFICATION


def test_every_class_is_a_request_a_reply_an_event_or_a_job() -> None:
    members = {*typing.get_args(AnyMessage), messages.BakeRequest}
    assert set(message_classes()) == members


def test_nothing_is_specified_that_is_not_there() -> None:
    tags = {kind.__struct_config__.tag for kind in message_classes()}
    assert set(re.findall(r"^### `(\w+)`$", SPECIFICATION, re.MULTILINE)) == tags


def test_the_version_is_the_documents() -> None:
    assert f"**Version {messages.PROTOCOL_VERSION}.**" in SPECIFICATION
    assert messages.PROTOCOL_VERSION in messages.SUPPORTED_VERSIONS


def test_the_limits_are_the_documents() -> None:
    for line in (
        f"| header | {limits.HEADER_BYTES // limits.MIB} MiB |",
        f"| array frame, and so a picture | {limits.FRAME_BYTES // limits.MIB} MiB ",
        f"| array frames in a message | {limits.FRAMES}, of at most {limits.DIMENSIONS} dimensions |",
        f"| chunk of a file | {limits.CHUNK_BYTES // limits.MIB} MiB |",
        f"(credits) | {limits.CREDITS} |",
        f"| events in a reply | {limits.EVENTS_PER_REPLY} |",
        f"| progress events | {1 / limits.PROGRESS_INTERVAL_S:.0f} a second and job |",
        f"| answer to a request | {limits.REPLY_TIMEOUT_S:.0f} s,",
        f"| silence before a following client asks for news | {limits.HEARTBEAT_S:.0f} s |",
        f"| from a cancel to the end of the job | {limits.CANCEL_GRACE_S:.0f} s |",
        f"client's queue full ({limits.SEND_QUEUE_MESSAGES}, above the credits)",
    ):
        assert line in SPECIFICATION, line


def test_every_error_of_the_wire_is_specified_and_finds_its_class() -> None:
    for kind in ProtocolError.__subclasses__():
        if kind is BackendFailed:
            continue
        assert f"`{kind.code}`" in SPECIFICATION, kind
        assert type(from_code(kind.code, "why")) is kind
    strange = from_code("simulation", "The clay exploded; use less wind.")
    assert isinstance(strange, BackendFailed)
    assert (strange.code, str(strange)) == ("simulation", "The clay exploded; use less wind.")


def test_hello_and_welcome_are_written_without_a_version() -> None:
    free = PREAMBLE + str(NEGOTIATION).encode()
    assert encode(messages.Hello((1,)))[0] == free
    assert encode(messages.Welcome(1, "0", 1, ()))[0] == free
    assert encode(messages.Error("a", "b"), negotiation=True)[0] == free
    assert encode(messages.Error("a", "b"))[0] == PREAMBLE + str(messages.PROTOCOL_VERSION).encode()


def test_structs_refuse_fields_they_do_not_know() -> None:
    for kind in message_classes():
        assert kind.__struct_config__.forbid_unknown_fields
        assert kind.__struct_config__.frozen
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"cancel","job_id":"a","force":true}', type=messages.Cancel)
