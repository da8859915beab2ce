"""An artist's first scene in a real Blender window on a virtual screen, with simulated events and a real backend.

    make test-gui

Needs the folder that ``scripts/blender_window.py build`` makes, named by ``PERPETUA_BLENDER_WINDOW``. The pictures of the
screen are left in ``PERPETUA_GUI_PICTURES`` if that is set.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from perpetua_protocol.cache import Cache

sys.path.insert(0, str(Path(__file__).parent))
from closeness import Views, psnr

ROOT = Path(__file__).resolve().parents[2]
WINDOW = os.environ.get("PERPETUA_BLENDER_WINDOW", "")
LONGEST_S = 3000
LEAST_ALIKE_DB = 35.0
PICTURES = {"01_empty", "05_reconstructed", "07_fields", "10_baking", "13_backend_died", "16_baked", "still"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WINDOW, reason="PERPETUA_BLENDER_WINDOW names no Blender; run make test-gui"),
]


def backend_command(shared: Path) -> str:
    """The command with which Blender starts a backend: in this test's environment."""
    python = f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}"
    return shlex.join(
        [
            *("env", f"--chdir={ROOT}", python, "OMP_WAIT_POLICY=PASSIVE"),
            *(sys.executable, "-m", "perpetua", "serve", "--store", str(shared / "store")),
        ]
    )


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """The folder that this test and Blender share, with this checkout's add-on; its pictures are kept where they are asked for.

    Blender's Python has msgspec and pyzmq of its own, so no wheels are bundled and no Blender is too new.
    """
    extensions = tmp_path / "blender" / "extensions" / "user_default"
    extensions.mkdir(parents=True)
    (extensions / "perpetua").symlink_to(ROOT / "blender_addon", target_is_directory=True)
    shutil.copy(ROOT / "examples" / "clay_ball.png", tmp_path)
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
    command = [
        *(sys.executable, str(ROOT / "scripts" / "blender_window.py"), "run", WINDOW, str(shared / "screen")),
        *("--factory-startup", "--enable-event-simulate"),
        *("--python", str(ROOT / "tests" / "gui" / f"{act}.py")),
        *("--", str(shared / "clay_ball.png"), str(shared / "pictures")),
    ]
    log = shared / "pictures" / f"{act}.log"
    with log.open("wb") as output:
        played = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **variables}, start_new_session=True
        )
        try:
            played.wait(LONGEST_S)
        finally:
            if played.returncode is None:  # Blender and its screen would outlive their starter
                os.killpg(played.pid, signal.SIGKILL)
                played.wait()
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


def assert_meshes_are_rendered_too(pictures: Path) -> None:
    """EEVEE's cube is in the picture, and nothing else of it has changed."""
    alone, among = (cv2.imread(str(pictures / f"{name}.png")) for name in ("still", "among_meshes"))
    other = np.abs(among.astype(int) - alone).max(-1) > 25
    rows, columns = np.nonzero(other)
    assert len(rows) > 100, "there is no cube"
    inside = np.ptp(rows) * np.ptp(columns)
    assert len(rows) > 0.5 * inside, "what differs is more than a cube"
    assert inside < 0.2 * other.size, "it is small and before the object"


def test_an_artists_first_take_and_the_next_day(shared: Path) -> None:
    play(shared, "first_take")
    assert_ended(int((shared / "pictures" / "backend.pid").read_text()))
    play(shared, "next_day")
    assert_looks_right(shared / "pictures")
    assert_meshes_are_rendered_too(shared / "pictures")
    assert {path.stem for path in (shared / "pictures").glob("*.png")} >= PICTURES
