"""What tests of several packages share: tiny checkpoints of real families of video models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for tiny_models and event_files


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models folder."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def checkpoint(models: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The name of a family's tiny checkpoint in the models folder, by key of ``tiny_models.MAKERS``."""
    monkeypatch.setenv("PERPETUA_MODELS", str(models))

    def made(name: str) -> str:
        import tiny_models

        if not (models / name).exists():
            tiny_models.seeded(tiny_models.MAKERS[name], models / name)
        return name

    return made
