"""Arrays over the wire, and what framing refuses on its own. (What a backend refuses is in tests/server.)"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidMessage, ProtocolError
from perpetua_protocol.framing import bytes_array, decode, encode, request_id_of, require_finite
from perpetua_protocol.messages import Chunk, Job, ListJobs, ProgressMade

DTYPES = st.sampled_from(["<u1", "<u2", "<i4", "<i8", "<f2", "<f4", "<f8"])


@given(
    hnp.arrays(
        DTYPES,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_an_array_comes_back_as_it_was(array: NDArray) -> None:
    frames = [bytes(frame) for frame in encode(ListJobs(), "1", {"a": array})]
    back = decode(frames)[1]["a"]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_refused_with_a_sentence(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)
    assert request_id_of(frames) == ""


@given(st.binary(max_size=60))
def test_a_noisy_header_is_refused_with_a_sentence(header: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode([b"perpetua 1", header])


def test_byte_order_and_memory_layout_are_made_plain() -> None:
    big_endian = np.arange(6, dtype=">f4").reshape(2, 3)
    turned = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))
    strided = np.arange(20, dtype=np.uint8)[::2]
    sent = {"a": big_endian, "b": turned, "c": strided}
    back = decode([bytes(f) for f in encode(ListJobs(), "", sent)])[1]
    for name, array in sent.items():
        assert np.array_equal(back[name], array)


def test_received_arrays_are_read_only() -> None:
    back = decode([bytes(f) for f in encode(ListJobs(), "", {"a": np.ones(3)})])[1]["a"]
    with pytest.raises(ValueError):
        back[0] = 2


@pytest.mark.parametrize("dtype", ["O", "U4", "S4", "c8", "M8[s]", "?", "i1", "u8", "f4,f4"])
def test_only_listed_types_are_sent(dtype: str) -> None:
    with pytest.raises(InvalidMessage, match="only u1"):
        encode(ListJobs(), "", {"a": np.zeros(2, dtype)})


def test_what_is_too_much_is_not_sent() -> None:
    with pytest.raises(InvalidMessage, match="5 dimensions"):
        encode(ListJobs(), "", {"a": np.zeros((1,) * 5)})
    with pytest.raises(InvalidMessage, match="at most 64 MiB"):
        encode(ListJobs(), "", {"a": np.broadcast_to(np.uint8(0), limits.FRAME_BYTES + 1)})
    with pytest.raises(InvalidMessage, match="array frames"):
        encode(ListJobs(), "", {str(i): np.zeros(1) for i in range(limits.FRAMES + 1)})
    with pytest.raises(InvalidMessage, match="Use fewer keys"):
        encode(Chunk("x" * limits.HEADER_BYTES, 0, 0))


def test_two_arrays_of_one_name_are_refused() -> None:
    one = b'{"name":"a","dtype":"u1","shape":[1]}'
    header = b'{"message":{"type":"list_jobs"},"frames":[' + one + b"," + one + b"]}"
    with pytest.raises(InvalidMessage, match="called 'a'"):
        decode([b"perpetua 1", header, b"x", b"y"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_named_and_never_becomes_null(value: float) -> None:
    progress = ProgressMade("job", 1, 0.0, "simulate", value, "", 0.0, 0.0)
    assert b"null" in msgspec.json.encode(progress), "the encoder would have sent it"
    with pytest.raises(InvalidMessage, match=r"ProgressMade\.fraction is"):
        encode(progress)
    numbers = {"rounds": [{"seconds": value}]}
    job = Job("a", "done", False, "t", 1, 0.0, None, None, "", 0, "", 0, 0, None, "", "", 1, 0, "", numbers)
    with pytest.raises(InvalidMessage, match=r"Job\.summary\.rounds\[0\]\.seconds is"):
        require_finite(job)


def test_what_json_cannot_hold_is_refused() -> None:
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for summary in ({"a": object()}, {"a": deep}):
        job = Job(
            "a", "done", False, "t", 1, 0.0, None, None, "", 0, "", 0, 0, None, "", "", 1, 0, "", summary
        )
        with pytest.raises(InvalidMessage, match="cannot be written as JSON"):
            encode(job)


def test_empty_bytes_are_an_empty_array() -> None:
    assert bytes_array(b"").shape == (0,)
    assert bytes_array(memoryview(b"ab")).tolist() == [97, 98]


def test_the_id_is_found_in_a_header_that_is_otherwise_wrong() -> None:
    assert request_id_of([b"perpetua 1", b'{"id":"42","message":{"type":"no_such"}}']) == "42"
    assert request_id_of([b"perpetua 1", b'{"id":42}']) == ""
    assert request_id_of([b"x"]) == ""
