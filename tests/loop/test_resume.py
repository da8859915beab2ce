"""Stages are whole or absent, and are found again by their inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perpetua.loop.resume import StageStore


def writes(text: str):
    def make(folder: Path) -> None:
        (folder / "out.txt").write_text(text)

    return make


def never(folder: Path) -> None:
    raise AssertionError("made again")


def test_a_finished_stage_is_found_and_not_made_again(tmp_path):
    store = StageStore(tmp_path)
    made = store.run("a", {"x": 1}, writes("one"))
    found = store.run("a", {"x": 1}, never)
    assert not made.found
    assert found.found
    assert found.path("out.txt").read_text() == "one"
    assert made.key == found.key


def test_other_inputs_or_another_upstream_stage_make_another_stage(tmp_path):
    store = StageStore(tmp_path)
    one, two = (store.run("a", {"x": x}, writes(str(x))) for x in (1, 2))
    assert one.key != two.key
    downstream = [store.run("b", {"from": stage}, writes("b")) for stage in (one, two)]
    assert downstream[0].key != downstream[1].key
    assert downstream[0].content_digest() == downstream[1].content_digest(), "the same bytes"


def test_a_stage_that_fails_leaves_nothing_and_can_be_tried_again(tmp_path):
    store = StageStore(tmp_path)

    def half(folder: Path) -> None:
        (folder / "out.txt").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.run("a", {}, half)
    assert list(tmp_path.iterdir()) == []
    assert store.run("a", {}, writes("whole")).path("out.txt").read_text() == "whole"


def test_debris_of_a_crash_is_not_taken_for_a_stage(tmp_path):
    store = StageStore(tmp_path)
    stage = store.run("a", {}, writes("whole"))
    stage.path("stage.json").write_text("{")
    assert not store.run("a", {}, writes("again")).found


def test_a_stage_that_lost_a_file_is_made_again(tmp_path):
    store = StageStore(tmp_path)
    stage = store.run("a", {}, writes("whole"))
    stage.path("out.txt").write_text("wh0le")
    again = store.run("a", {}, writes("whole"))
    assert not again.found
    assert again.path("out.txt").read_text() == "whole"


def test_debris_of_long_ago_is_swept(tmp_path):
    (tmp_path / ".a-old").mkdir()
    (tmp_path / ".a-new").mkdir()
    os.utime(tmp_path / ".a-old", (0, 0))
    StageStore(tmp_path).sweep()
    assert [p.name for p in tmp_path.iterdir()] == [".a-new"]


def test_a_stage_that_another_process_made_meanwhile_is_left_to_its_readers(tmp_path):
    store = StageStore(tmp_path)

    def write(folder: Path) -> None:
        (folder / "a.txt").write_text("same")

    def slowly(folder: Path) -> None:
        write(folder)
        theirs.append((store.run("part", {}, write).path("a.txt")).stat())

    theirs: list[os.stat_result] = []
    ours = store.run("part", {}, slowly).path("a.txt").stat()
    assert (ours.st_ino, ours.st_mtime_ns) == (theirs[0].st_ino, theirs[0].st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_that_finish_a_stage_at_once_both_have_it(tmp_path, monkeypatch):
    store = StageStore(tmp_path)

    def write(folder: Path) -> None:
        (folder / "a.txt").write_text("same")

    def replaced_late(work: Path, folder: Path) -> None:
        monkeypatch.undo()
        store.run("part", {}, write)
        os.replace(work, folder)

    monkeypatch.setattr("perpetua.loop.resume.os.replace", replaced_late)
    assert store.run("part", {}, write).path("a.txt").read_text() == "same"
