"""An artist's first scene in a real Blender window under a virtual screen, with simulated events and a real backend.

    make test-gui

Needs the folder that ``scripts/blender_window.sh build`` makes, named by ``PERPETUA_BLENDER_ROOT``, and root. The pictures of the
screen are left in ``PERPETUA_GUI_PICTURES`` if that is set.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLENDER_ROOT = os.environ.get("PERPETUA_BLENDER_ROOT", "")
SCREEN = (1360, 1000)
LONGEST_S = 3000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BLENDER_ROOT, reason="PERPETUA_BLENDER_ROOT names no Blender; run make test-gui"),
]


def copy_for_blender(shared: Path) -> Path:
    """This checkout's add-on, protocol and test as a user folder of the Blender there is; returns the user folder.

    Its Python has msgspec and pyzmq of its own, so no wheels are bundled and no Blender is too new.
    """
    for name in ("protocol", "tests/gui"):
        shutil.copytree(
            ROOT / name, shared / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        )
    shutil.copy(ROOT / "examples" / "clay_ball.png", shared / "clay_ball.png")
    resources = shared / "blender"
    addon = resources / "extensions" / "user_default" / "perpetua"
    shutil.copytree(ROOT / "blender_addon", addon, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = addon / "blender_manifest.toml"
    manifest.write_text(re.sub(r"(?m)^blender_version_max = .*\n", "", manifest.read_text()))
    return resources


def start_backend(shared: Path) -> tuple[subprocess.Popen[bytes], Path]:
    connection = shared / "connection.json"
    arguments = ["serve", "--store", str(shared / "store"), "--connection-file", str(connection)]
    log = (shared / "backend.log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "perpetua", *arguments], stdout=log, stderr=log)
    end = time.monotonic() + 120
    while not connection.exists():
        assert process.poll() is None, (shared / "backend.log").read_text()
        assert time.monotonic() < end, "the backend did not start"
        time.sleep(0.2)
    return process, connection


def test_an_artists_first_take(tmp_path: Path) -> None:
    resources, pictures = copy_for_blender(tmp_path), tmp_path / "pictures"
    pictures.mkdir()
    backend, connection = start_backend(tmp_path)
    variables = {
        "HOME": str(tmp_path),
        "BLENDER_USER_RESOURCES": str(resources),
        "PERPETUA_CONNECTION": str(connection),
    }
    width, height = SCREEN
    command = [
        *(str(ROOT / "scripts" / "blender_window.sh"), "run", BLENDER_ROOT, str(tmp_path)),
        *("env", *(f"{name}={value}" for name, value in variables.items())),
        *("xvfb-run", "-a", "-s", f"-screen 0 {width}x{height}x24"),
        *("blender", "--factory-startup", "--gpu-backend", "opengl", "--enable-event-simulate"),
        *("-p", "0", "0", str(width), str(height)),
        *("--python", str(tmp_path / "tests" / "gui" / "artist.py")),
        *("--", str(tmp_path / "clay_ball.png"), str(pictures)),
    ]
    try:
        played = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    finally:
        backend.terminate()
        backend.wait(30)
        if kept := os.environ.get("PERPETUA_GUI_PICTURES"):
            shutil.copytree(pictures, kept, dirs_exist_ok=True)
    assert "ARTIST is happy" in played.stdout, played.stdout[-4000:] + played.stderr[-4000:]
    names = sorted(path.stem for path in pictures.glob("*.png"))
    assert {"01_empty", "04_reconstructing", "05_reconstructed", "07_fields", "08_cameras", "still"} <= set(
        names
    )
