"""Real Blender (the bpy wheel) with the add-on enabled from this checkout.

    .venv-blender/bin/python -m pytest tests/blender

bpy 4.5 can hang while its interpreter shuts down, so the process leaves with ``os._exit`` once pytest has reported,
with pytest's own exit status.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAS_BLENDER = importlib.util.find_spec("bpy") is not None

if not HAS_BLENDER:
    collect_ignore_glob = ["test_*.py"]
else:
    # a private user folder whose user_default repository holds the add-on's source folder
    RESOURCES = Path(tempfile.mkdtemp(prefix="perpetua-blender-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(RESOURCES)
    repository = RESOURCES / "extensions" / "user_default"
    repository.mkdir(parents=True)
    (repository / "perpetua").symlink_to(ROOT / "blender_addon", target_is_directory=True)
    sys.path.insert(0, str(Path(__file__).parent))

    import bpy

    MODULE = "bl_ext.user_default.perpetua"

    @pytest.fixture(autouse=True)
    def empty_scene() -> None:
        """Every test starts from an empty file with the add-on enabled."""
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.preferences.addon_enable(module=MODULE)
        return

    @pytest.fixture(scope="session")
    def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """The connection file of a running backend that bakes toy caches."""
        import toy_service

        folder = tmp_path_factory.mktemp("backend")
        process = toy_service.start(folder, folder / "connection.json")
        yield folder / "connection.json"
        process.terminate()
        process.wait(toy_service.WAIT_S)

    @pytest.fixture
    def backend(service: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The same, as the one that the add-on talks to."""
        monkeypatch.setenv("PERPETUA_CONNECTION", str(service))
        return service

    def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
        session.config.perpetua_status = int(exitstatus)  # type: ignore[attr-defined]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(config: pytest.Config) -> None:
        import shutil

        shutil.rmtree(RESOURCES, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(getattr(config, "perpetua_status", 1))
