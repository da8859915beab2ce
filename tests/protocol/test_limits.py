"""What may name a job, a digest or a file."""

from __future__ import annotations

import pytest

from perpetua_protocol.client import new_job_id
from perpetua_protocol.limits import is_cache_path, is_digest, is_job_id


@pytest.mark.parametrize("text", ["a", "0", "a-b_c", "x" * 64])
def test_job_ids(text: str) -> None:
    assert is_job_id(text)


def test_a_new_job_id_is_one() -> None:
    assert is_job_id(new_job_id())


@pytest.mark.parametrize("text", ["", "A", "-a", "_a", "a.b", "a/b", "..", "a\n", "x" * 65, "é", "a\0"])
def test_what_cannot_be_a_job_id(text: str) -> None:
    assert not is_job_id(text)


def test_digests() -> None:
    assert is_digest("0f" * 32)
    assert not is_digest("0F" * 32)
    assert not is_digest("0f" * 31)
    assert not is_digest("0f" * 32 + "\n")


@pytest.mark.parametrize("text", ["a", "round_001-ab/position.npy", "a b/c", "ä"])
def test_paths_in_a_cache(text: str) -> None:
    assert is_cache_path(text)


@pytest.mark.parametrize(
    "text",
    ["", "/a", "a/", "a//b", "..", "../a", "a/../b", ".a", "a/.b", "C:a", "a\\b", "a\nb", "a\0", "x" * 256],
)
def test_what_cannot_be_a_path_in_a_cache(text: str) -> None:
    assert not is_cache_path(text)
