"""Preferences: where caches of unsaved files go and how they are cleaned up, the key file, the log."""

import json
from pathlib import Path

import bpy
import pytest
from bl_ext.user_default.perpetua import bake_folders, cache_folders, log, preferences
from conftest import MODULE
from test_addon import Recorder
from toy_cache import write_cache


@pytest.fixture
def chosen(tmp_path: Path) -> bpy.types.AddonPreferences:
    """The add-on's preferences with a cache folder of their own."""
    own = bpy.context.preferences.addons[MODULE].preferences
    own.cache_folder = str(tmp_path / "caches")
    return own


def test_unsaved_files_bake_into_the_chosen_folder(
    chosen: bpy.types.AddonPreferences, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.perpetua.take_name = "ball"
    assert bake_folders.bake_folder(scene) == tmp_path / "caches" / "ball"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert bake_folders.bake_folder(scene) == tmp_path / "cache" / "scene" / "ball"


def test_clean_up_takes_what_nobody_plays_and_nothing_else(
    chosen: bpy.types.AddonPreferences, tmp_path: Path
) -> None:
    root = tmp_path / "caches"
    played, spare = write_cache(root / "played"), write_cache(root / "spare")
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("not a cache")
    bpy.ops.perpetua.load_cache(directory=str(played))
    (found,) = cache_folders.unused(root)
    assert found.path == spare
    assert found.bytes == sum(p.stat().st_size for p in spare.rglob("*") if p.is_file())
    bpy.ops.perpetua.clean_cache()
    assert not spare.exists()
    assert (played / "meta.json").is_file()
    assert (root / "notes" / "mine.txt").is_file()
    bpy.context.scene.frame_set(3)


def test_the_preferences_draw(chosen: bpy.types.AddonPreferences, tmp_path: Path) -> None:
    write_cache(tmp_path / "caches" / "spare")
    log: list[str] = []
    page = type("Page", (), {"layout": Recorder(log), "bl_rna": chosen.bl_rna})()
    preferences.PerpetuaPreferences.draw(page, bpy.context)
    assert {"command", "connection_file", "cache_folder", "log_level", "perpetua.clean_cache"} <= set(log)
    assert any(line.startswith("Takes that no open file plays: 1, ") for line in log)


@pytest.mark.parametrize(
    ("size", "words"), [(12, "12 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (3_200_000_000, "3.2 GB")]
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert cache_folders.in_words(size) == words


def test_the_key_file_says_where_the_backend_is(
    chosen: bpy.types.AddonPreferences, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERPETUA_CONNECTION", raising=False)
    key = tmp_path / "key.json"
    chosen.connection_file = str(key)
    assert "the first bake starts one" in preferences.address()
    ports = {name: f"tcp://192.0.2.7:4000{i}" for i, name in enumerate(("control", "data", "events"))}
    pair = {"public": "p" * 40, "secret": "s" * 40}
    key.write_text(json.dumps({**ports, "server_public": "k" * 40, "client": pair, "protocol": 1, "pid": 1, "host": "far"}))  # fmt: skip
    key.chmod(0o600)
    assert "tcp://192.0.2.7:40000" in preferences.address()
    assert preferences.address_in_short() == "Backend on 192.0.2.7"


def test_the_log_keeps_what_went_wrong(chosen: bpy.types.AddonPreferences) -> None:
    with pytest.raises(RuntimeError, match="Nothing is baking"):
        bpy.ops.perpetua.cancel()
    text = log.path().read_text()
    assert "WARNING PERPETUA_OT_cancel: Nothing is baking." in text
    chosen.log_level = "WARNING"
    log.LOG.info("a step")
    assert "a step" not in log.path().read_text()
    chosen.log_level = "INFO"
    log.LOG.info("a step")
    assert "a step" in log.path().read_text()
