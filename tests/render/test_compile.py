"""Where compiled kernels are kept, and what is removed from there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from perpetua.render.numba_backend.compile import UNUSED_DAYS, cache_folder, remove_unused


def make(folder: Path, days: float) -> Path:
    """A folder with a file in a folder, last used so many days ago."""
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "kernel.nbc").write_bytes(b"code")
    used = time.time() - days * 24 * 3600
    os.utime(folder, (used, used))
    return folder


def test_only_unused_folders_of_compiled_kernels_are_removed(tmp_path: Path) -> None:
    mine = make(tmp_path / "render-00112233aabb", UNUSED_DAYS + 9)
    unused = make(tmp_path / "render-ffeeddccbbaa", UNUSED_DAYS + 1)
    kept = [
        make(tmp_path / "render-0123456789ab", UNUSED_DAYS - 1),  # another version that someone still runs
        make(tmp_path / "render-elsewhere", 400),
        make(tmp_path / "render-0123456789abc", 400),
        make(tmp_path / "genesis", 400),
    ]
    linked = make(tmp_path / "other" / "data", 400)
    (tmp_path / "render-abcdefabcdef").symlink_to(linked)
    (tmp_path / "render-aaaaaaaaaaaa").write_text("a file")
    os.utime(tmp_path / "render-aaaaaaaaaaaa", (0, 0))
    remove_unused(mine)
    assert not unused.exists()
    assert all((folder / "deeper" / "kernel.nbc").exists() for folder in (mine, *kept, linked))
    assert (tmp_path / "render-aaaaaaaaaaaa").exists()


def test_using_a_folder_renews_its_date(tmp_path: Path) -> None:
    mine = make(tmp_path / "render-00112233aabb", UNUSED_DAYS + 9)
    other = make(tmp_path / "render-ffeeddccbbaa", 0)
    remove_unused(mine)
    remove_unused(other)
    assert mine.exists()


def test_the_cache_folder_is_one_that_would_be_recognised(tmp_path: Path) -> None:
    old = make(tmp_path / cache_folder().name, UNUSED_DAYS + 1)
    remove_unused(make(tmp_path / "render-ffeeddccbbaa", 0))
    assert not old.exists()
