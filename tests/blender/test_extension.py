"""The extension as people get it: built, validated, installed from its zip into an empty Blender, used there."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import bpy
import pytest
from toy_cache import write_cache

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from build_extension import LOCK, this_platform  # noqa: E402

USE = """
import os, sys
# what is installed beside bpy must not help: the extension brings its own
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
hidden = ("msgspec", "zmq", "perpetua_protocol")
import importlib.machinery
site = [p for p in sys.path if p.endswith("site-packages")]
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in hidden and path is None:
            found = importlib.machinery.PathFinder.find_spec(name, [p for p in sys.path if p not in site])
            if found is None:
                raise ModuleNotFoundError(name)
            return found
sys.meta_path.insert(0, Hide())
import bpy
archive, cache, blend, picture, tests = sys.argv[1:]
bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
import perpetua_protocol, zmq, msgspec
for module in (perpetua_protocol, zmq, msgspec):
    assert module.__file__.startswith(os.environ["BLENDER_USER_RESOURCES"]), module.__file__
module = "bl_ext.user_default.perpetua"
assert module in bpy.context.preferences.addons.keys()

sys.path.insert(0, tests)
from footprint import footprint
bpy.ops.preferences.addon_disable(module=module)
before = footprint()
for _ in range(100):
    bpy.ops.preferences.addon_enable(module=module)
    bpy.ops.preferences.addon_disable(module=module)
assert footprint() == before, (before, footprint())
bpy.ops.preferences.addon_enable(module=module)

bpy.ops.perpetua.load_cache(directory=cache)
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = 64, 36
scene.render.filepath = picture
bpy.ops.render.render(write_still=True)
bpy.ops.wm.save_as_mainfile(filepath=blend)
print("USED", flush=True)
os._exit(0)
"""


def build_for(version: tuple[int, int, int]) -> str:
    """Which of the extension's builds a Blender takes."""
    return "4.5" if version < (5, 1, 0) else "5.1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    script = str(ROOT / "scripts" / "build_extension.py")
    done = subprocess.run(
        [
            *(sys.executable, script, "--blender", build_for(bpy.app.version)),
            *("--platform", this_platform(), "--output", str(output)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_the_zip_holds_sources_and_three_wheels(archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()
    assert sum(name.endswith(".whl") for name in names) == 3
    assert {"blender_manifest.toml", "__init__.py", "splat_engine.py"} <= set(names)
    assert not any("__pycache__" in name for name in names)


def test_every_wheel_is_the_one_of_the_lock_file(archive: Path) -> None:
    files = zipfile.ZipFile(archive)
    wheels = [name for name in files.namelist() if name.endswith(".whl")]
    lock = LOCK.read_text()
    unlocked = [name for name in wheels if hashlib.sha256(files.read(name)).hexdigest() not in lock]
    assert [name.split("/")[-1].split("-")[0] for name in unlocked] == ["perpetua_protocol"]


def test_the_lock_file_has_the_releases_that_are_tested() -> None:
    tested = (ROOT / "requirements" / "blender.txt").read_text().split()
    locked = re.findall(r"(?m)^[\w-]+==\S+", LOCK.read_text())
    assert locked
    assert set(locked) <= set(tested)


def test_installed_from_its_zip_it_plays_and_renders(archive: Path, tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    resources = tmp_path / "blender"
    resources.mkdir()
    without_path = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [
            *(sys.executable, "-c", USE, str(archive), str(cache)),
            *(str(tmp_path / "scene.blend"), str(tmp_path / "picture.png"), str(Path(__file__).parent)),
        ],
        env={**without_path, "BLENDER_USER_RESOURCES": str(resources)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "USED" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "picture.png").stat().st_size > 0
    assert (resources / "extensions" / "user_default" / "perpetua" / "blender_manifest.toml").is_file()
