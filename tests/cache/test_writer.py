"""The cache on disk: whole or absent, found again, put back after a failed bake."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from perpetua.cache.writer import CacheWriter, verify
from perpetua_protocol.cache import Cache, CacheMeta, DamagedCache, RoundRecord, read_meta
from perpetua_protocol.take import Click, ObjectSpec, Take

TAKE = Take(name="t", picture="p.png", objects=(ObjectSpec("ball", (Click(1, 1),)),))


def empty_meta() -> CacheMeta:
    zero = (0.0, 0.0, 0.0)
    return CacheMeta(
        name="t", fps=24, rounds=[], cameras=[], bodies=[], background=2, foreground=3, particles=3,
        particle_spacing=0.01, lower=zero, upper=zero, files={}, take=TAKE, backend="0",
    )  # fmt: skip


def splats(frames: int, value: float) -> dict[str, np.ndarray]:
    arrays = {"position": 3, "rotation": 4, "scale": 3}
    made = {name: np.full((frames, 3, width), value, np.float32) for name, width in arrays.items()}
    return {**made, "radiance_base": np.full((3, 4), value, np.float32)}


def record(index: int, start: int, frames: int, digest: str) -> RoundRecord:
    return RoundRecord(index, start, frames, "", digest * 64, "0" * 64, 0.0)


def write(folder, digests: list[str]) -> CacheWriter:
    writer = CacheWriter(folder, empty_meta())
    static = {"position": 3, "rotation": 4, "scale": 3, "radiance_base": 4}
    writer.add_background("b" * 64, lambda: {k: np.zeros((2, w), np.float32) for k, w in static.items()})
    start = 0
    for index, digest in enumerate(digests):
        frames = 1 if index == 0 else 4
        writer.add_round(record(index, start, frames, digest), lambda n=frames, i=index: splats(n, float(i)))
        start += frames
    return writer


def test_frames_come_from_the_round_that_holds_them(tmp_path):
    write(tmp_path, ["a", "b", "c"]).finish()
    cache = Cache(tmp_path)
    assert cache.meta.frames == 9
    values = [float(cache.frame(f)["position"][0, 0]) for f in (0, 1, 4, 5, 8)]
    assert values == [0, 1, 1, 2, 2]
    assert float(cache.frame(99)["position"][0, 0]) == 2, "past the end the last frame stays"
    assert cache.background()["position"].shape == (2, 3)


def test_every_published_cache_is_playable_while_it_grows(tmp_path):
    writer = write(tmp_path, ["a", "b"])
    assert Cache(tmp_path).meta.frames == 5
    writer.add_round(record(2, 5, 4, "c"), lambda: splats(4, 2.0))
    assert Cache(tmp_path).meta.frames == 9


def test_a_round_that_is_there_is_not_written_again(tmp_path):
    write(tmp_path, ["a", "b"]).finish()

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("written again")

    writer = CacheWriter(tmp_path, empty_meta())
    writer.add_background("b" * 64, never)
    writer.add_round(record(0, 0, 1, "a"), never)
    writer.add_round(record(1, 1, 4, "b"), never)
    writer.finish()
    assert Cache(tmp_path).meta.frames == 5


def test_a_bake_that_fails_gives_the_one_before_back(tmp_path):
    write(tmp_path, ["a", "b", "c"]).finish()
    before = read_meta(tmp_path)
    writer = write(tmp_path, ["x"])
    assert Cache(tmp_path).meta.frames == 1
    writer.abandon()
    assert read_meta(tmp_path) == before
    assert verify(tmp_path).frames == 9


def test_a_bake_that_was_killed_gives_the_one_before_back_at_the_next_failure(tmp_path):
    write(tmp_path, ["a", "b", "c"]).finish()
    write(tmp_path, ["x"])  # killed: neither finished nor abandoned
    write(tmp_path, ["y"]).abandon()
    assert read_meta(tmp_path).frames == 9


def test_an_error_while_writing_leaves_no_round(tmp_path):
    writer = write(tmp_path, ["a"])

    def fails() -> dict[str, np.ndarray]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        writer.add_round(record(1, 1, 4, "b"), fails)
    assert Cache(tmp_path).meta.frames == 1
    assert not list(tmp_path.glob(".part-*"))


def test_finishing_removes_what_nothing_names(tmp_path):
    write(tmp_path, ["a", "b", "c"]).finish()
    write(tmp_path, ["a", "d"]).finish()
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        "background-" + "b" * 16, "round_000-" + "a" * 16, "round_001-" + "d" * 16,
    ]  # fmt: skip


def test_damage_is_found_and_named(tmp_path):
    write(tmp_path, ["a", "b"]).finish()
    victim = tmp_path / ("round_001-" + "b" * 16) / "scale.npy"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    with pytest.raises(DamagedCache, match=r"round_001.*scale\.npy"):
        verify(tmp_path)
    victim.write_bytes(data[:-4])
    with pytest.raises(DamagedCache, match=r"scale\.npy"):
        Cache(tmp_path).frame(2)


@pytest.mark.parametrize("text", ["", "{", "\xff", "[]"])
def test_an_unreadable_meta_says_what_to_do(tmp_path, text):
    (tmp_path / "meta.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedCache, match="bake again"):
        Cache(tmp_path)


def test_another_version_is_refused(tmp_path):
    write(tmp_path, ["a"])
    other = msgspec.structs.replace(read_meta(tmp_path), version=99)
    (tmp_path / "meta.json").write_bytes(msgspec.json.encode(other))
    with pytest.raises(DamagedCache, match="99"):
        Cache(tmp_path)


def test_no_cache_is_said_plainly(tmp_path):
    with pytest.raises(DamagedCache, match="There is no cache"):
        Cache(tmp_path / "nowhere")


def test_a_damaged_round_is_written_again(tmp_path):
    write(tmp_path, ["a", "b"]).finish()
    round_ = tmp_path / ("round_001-" + "b" * 16)
    (round_ / "scale.npy").unlink()
    data = bytearray((round_ / "position.npy").read_bytes())
    data[-1] ^= 1
    (round_ / "position.npy").write_bytes(data)
    write(tmp_path, ["a", "b"]).finish()
    assert len(verify(tmp_path).files) == 12
    assert float(Cache(tmp_path).frame(2)["position"][0, 0]) == 1


def test_baking_fewer_rounds_keeps_the_later_ones_they_lead_to(tmp_path):
    write(tmp_path, ["a", "b", "c"]).finish()
    write(tmp_path, ["a", "b"]).finish()
    assert verify(tmp_path).frames == 9
    write(tmp_path, ["a", "x"]).finish()
    assert verify(tmp_path).frames == 5, "another second round leads elsewhere"
