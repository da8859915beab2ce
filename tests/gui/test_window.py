"""An artist's first scene in a real Blender window under a virtual screen, with simulated events and a real backend.

    make test-gui

Needs the folder that ``scripts/blender_window.sh build`` makes, named by ``PERPETUA_BLENDER_ROOT``, and root. The pictures of the
screen are left in ``PERPETUA_GUI_PICTURES`` if that is set.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perpetua_protocol.cache import Cache

sys.path.insert(0, str(Path(__file__).parent))
from closeness import Views, psnr

ROOT = Path(__file__).resolve().parents[2]
BLENDER_ROOT = os.environ.get("PERPETUA_BLENDER_ROOT", "")
SCREEN = (1360, 1000)
LONGEST_S = 3000
LEAST_ALIKE_DB = 35.0
PICTURES = {"01_empty", "05_reconstructed", "07_fields", "10_baking", "13_backend_died", "16_baked", "still"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BLENDER_ROOT, reason="PERPETUA_BLENDER_ROOT names no Blender; run make test-gui"),
]


def copy_for_blender(shared: Path) -> None:
    """This checkout's add-on, protocol and test, as a user folder of the Blender there is (``shared / "blender"``).

    Its Python has msgspec and pyzmq of its own, so no wheels are bundled and no Blender is too new.
    """
    for name in ("protocol", "tests/gui"):
        shutil.copytree(
            ROOT / name, shared / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        )
    shutil.copy(ROOT / "examples" / "clay_ball.png", shared / "clay_ball.png")
    addon = shared / "blender" / "extensions" / "user_default" / "perpetua"
    shutil.copytree(ROOT / "blender_addon", addon, ignore=shutil.ignore_patterns("__pycache__"))


def backend_command(shared: Path) -> str:
    """The command with which Blender starts a backend: out of the folder it lives in, in this test's environment."""
    return shlex.join(
        [
            *("nsenter", f"--target={os.getpid()}", "--mount", "--root"),
            *(
                "env",
                f"--chdir={ROOT}",
                f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}",
                "OMP_WAIT_POLICY=PASSIVE",
            ),
            *(sys.executable, "-m", "perpetua", "serve", "--store", str(shared / "store")),
        ]
    )


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """The folder that this test and Blender share; its pictures are kept where they are asked for."""
    copy_for_blender(tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    yield tmp_path
    if kept := os.environ.get("PERPETUA_GUI_PICTURES"):
        shutil.copytree(pictures, kept, dirs_exist_ok=True)


def play(shared: Path, act: str) -> None:
    """Let the artist of ``tests/gui/<act>.py`` work in Blender's window until Blender is closed."""
    variables = {
        "HOME": str(shared),
        "BLENDER_USER_RESOURCES": str(shared / "blender"),
        "PERPETUA_CONNECTION": str(shared / "connection.json"),
        "PERPETUA_COMMAND": backend_command(shared),
    }
    width, height = SCREEN
    command = [
        *(str(ROOT / "scripts" / "blender_window.sh"), "run", BLENDER_ROOT, str(shared)),
        *("env", *(f"{name}={value}" for name, value in variables.items())),
        *("xvfb-run", "-a", "-s", f"-screen 0 {width}x{height}x24"),
        *("blender", "--factory-startup", "--gpu-backend", "opengl", "--enable-event-simulate"),
        *("-p", "0", "0", str(width), str(height)),
        *("--python", str(shared / "tests" / "gui" / f"{act}.py")),
        *("--", str(shared / "clay_ball.png"), str(shared / "pictures")),
    ]
    log = shared / "pictures" / f"{act}.log"
    with log.open("wb") as output:
        played = subprocess.run(command, stdout=output, stderr=output, timeout=LONGEST_S, check=False)
    said = log.read_text()
    print(said)
    assert played.returncode == 0, said[-6000:]
    assert "ARTIST is happy" in said, said[-6000:]


def assert_ended(process: int) -> None:
    end = time.monotonic() + 30
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < end, "the backend outlived the Blender that had started it"
        time.sleep(0.2)


def assert_looks_right(pictures: Path) -> None:
    """The viewport draws what the engine's renderer does, and hides it behind meshes and nowhere else."""
    (found,) = pictures.glob("cache/*/clay_ball/meta.json")
    cache = Cache(found.parent)
    views = Views(pictures, cache)
    for name, frame in (("first", 0), ("last", cache.meta.frames - 1)):
        alike = psnr(views.seen(f"close_{name}"), views.drawn(frame))
        print(f"viewport, {name} frame: {alike:.1f} dB to the engine's picture")
        assert alike > LEAST_ALIKE_DB
    last = views.seen("close_last")
    before, behind = (
        np.abs(views.seen(f"close_{name}") - last).max(-1) > 0.1 for name in ("before", "behind")
    )
    assert before.sum() > 100, "the cube stands before the splats"
    assert not behind.any(), "and is hidden behind them"


def test_an_artists_first_take_and_the_next_day(shared: Path) -> None:
    play(shared, "first_take")
    assert_ended(int((shared / "pictures" / "backend.pid").read_text()))
    play(shared, "next_day")
    assert_looks_right(shared / "pictures")
    assert {path.stem for path in (shared / "pictures").glob("*.png")} >= PICTURES
