"""The queue on Ray itself, with scenes that cost nothing: what dies, what is left, what goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from perpetua.errors import DataError
from perpetua.phys4d.data.config import DataConfig, scene_name
from perpetua.phys4d.data.generate import generate
from perpetua.progress import Progress

CONFIG = DataConfig(scenes=5, categories=("soft",))


def job(config: DataConfig, index: int, folder: Path) -> str:
    """Scene 1 ends its first worker, scene 3 every one; the others write a mark as their shard."""
    name = scene_name(config, index)
    tried = folder / f"tried_{index}_{len(list(folder.glob(f'tried_{index}_*')))}"
    tried.touch()
    if index == 3 or (index == 1 and tried.name.endswith("_0")):
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "shards" / f"{name}.parquet").touch()
    return name


def test_a_killed_worker_costs_only_its_scene_and_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "perpetua.phys4d.data.generate.write_index", lambda folder: 0
    )  # the marks are no Parquet
    made = generate(CONFIG, tmp_path, 2, None, Progress(), job)
    assert made.scenes == 4
    assert made.left_out == ["soft_000003"]
    assert made.deaths == 1 + 3
    assert len(list(tmp_path.glob("tried_1_*"))) == 2
    assert len(list(tmp_path.glob("tried_0_*"))) == 1
    (tmp_path / "shards" / "soft_000003.parquet").touch()
    assert generate(CONFIG, tmp_path, 1, None, Progress(), job).scenes == 5
    assert len(list(tmp_path.glob("tried_*"))) == 3 + 2 + 3


def test_another_configuration_or_no_worker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").mkdir()
    for index in range(5):
        (tmp_path / "shards" / f"soft_{index:06d}.parquet").touch()
    monkeypatch.setattr("perpetua.phys4d.data.generate.write_index", lambda folder: 0)
    with pytest.raises(DataError, match="one or more"):
        generate(CONFIG, tmp_path, 0, None, Progress(), job)
    generate(CONFIG, tmp_path, 1, None, Progress(), job)
    with pytest.raises(DataError, match="another configuration"):
        generate(DataConfig(scenes=5, seed=7, categories=("soft",)), tmp_path, 1, None, Progress(), job)
