"""The queue on Ray itself, with scenes that cost nothing: what dies, what is left, what goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perpetua.errors import DataError
from perpetua.phys4d.data.config import DataConfig, scene_name
from perpetua.phys4d.data.generate import generate
from perpetua.phys4d.data.store import COARSE, shard_of
from perpetua.progress import Progress

CONFIG = DataConfig(scenes=5, categories=("soft",))


def mark(folder: Path, name: str, coarse: str = COARSE) -> None:
    """A shard that says how its coarse films were made, and nothing else."""
    path = shard_of(folder, name)
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"clip": ["none"]}).replace_schema_metadata({"coarse": coarse}), path)


def job(config: DataConfig, index: int, folder: Path) -> str:
    """Scene 1 ends its first worker, scene 3 every one; the others write a mark as their shard."""
    name = scene_name(config, index)
    tried = folder / f"tried_{index}_{len(list(folder.glob(f'tried_{index}_*')))}"
    tried.touch()
    if index == 3 or (index == 1 and tried.name.endswith("_0")):
        os.kill(os.getpid(), signal.SIGKILL)
    mark(folder, name)
    return name


def test_a_killed_worker_costs_only_its_scene_and_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "perpetua.phys4d.data.generate.write_index", lambda folder: 0
    )  # the marks are no clips
    made = generate(CONFIG, tmp_path, 2, None, Progress(), job)
    assert made.scenes == 4
    assert made.left_out == ["soft_000003"]
    assert made.deaths == 1 + 3
    assert len(list(tmp_path.glob("tried_1_*"))) == 2
    assert len(list(tmp_path.glob("tried_0_*"))) == 1
    mark(tmp_path, "soft_000003")
    mark(tmp_path, "soft_000004", coarse="1")  # whose coarse films are made otherwise today
    assert generate(CONFIG, tmp_path, 1, None, Progress(), job).scenes == 5
    assert len(list(tmp_path.glob("tried_*"))) == 3 + 2 + 3 + 1
    assert len(list(tmp_path.glob("tried_4_*"))) == 2


def test_another_configuration_or_no_worker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(5):
        mark(tmp_path, f"soft_{index:06d}")
    monkeypatch.setattr("perpetua.phys4d.data.generate.write_index", lambda folder: 0)
    with pytest.raises(DataError, match="one or more"):
        generate(CONFIG, tmp_path, 0, None, Progress(), job)
    generate(CONFIG, tmp_path, 1, None, Progress(), job)
    with pytest.raises(DataError, match="another configuration"):
        generate(DataConfig(scenes=5, seed=7, categories=("soft",)), tmp_path, 1, None, Progress(), job)
