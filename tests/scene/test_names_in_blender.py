"""The add-on's menu of materials names exactly the backend's presets."""

import importlib.util
from pathlib import Path

from perpetua.scene.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]


def test_the_menu_offers_every_preset_and_no_other() -> None:
    spec = importlib.util.spec_from_file_location("materials", ROOT / "blender_addon" / "materials.py")
    assert spec is not None
    assert spec.loader is not None
    menu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(menu)
    offered = [name for name, _, _ in menu.MATERIALS if name]
    assert sorted(offered) == sorted(PRESETS)
    labels = [label for name, label, _ in menu.MATERIALS if name]
    assert len(set(labels)) == len(labels)
