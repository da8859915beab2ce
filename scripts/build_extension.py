"""Build the Blender extension with the wheels it needs, and validate it with Blender's own tool.

    .venv-blender/bin/python scripts/build_extension.py [--platform linux-x64 ...] [--blender 5.1 ...] [--output dist]

Writes ``dist/perpetua-<version>-<platform>.zip`` for Blender 4.5 to 5.0 (Python 3.11), and
``dist/perpetua-<version>-blender5.1-<platform>.zip`` for 5.1 and later (Python 3.13), for every platform. The wheels are perpetua_protocol,
built from ``protocol/``, and the releases of msgspec and pyzmq that ``requirements/extension.txt`` names by their digests, fetched
once into ``build/wheels``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "blender_addon"
WHEELS = ROOT / "build" / "wheels"
STAGING = ROOT / "build" / "extension"
LOCK = ROOT / "requirements" / "extension.txt"
OLDEST = "4.5"
# first Blender of a build: (the Python inside it, the Blender it no longer fits)
PYTHONS: dict[str, tuple[str, str | None]] = {"4.5": ("3.11", "5.1.0"), "5.1": ("3.13", None)}

# Blender's name of a platform: the tags pip may take wheels of
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2", "macosx_10_9_universal2"),
}


class BuildError(Exception):
    """The extension cannot be built; the message says what to do."""


def this_platform() -> str:
    """Blender's name for this machine."""
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x64"
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(platform.system(), "unknown")
    return f"{system}-{machine}"


def run(*arguments: str | Path) -> None:
    """Run a command of this Python's. Raises ``BuildError`` with its output when it fails."""
    command = [sys.executable, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command[1:4])} failed:\n{done.stdout}{done.stderr}")


def protocol_wheel() -> Path:
    """The wheel of perpetua_protocol, built from this checkout; the last one while its sources are older."""
    folder = ROOT / "build" / "protocol"
    sources = [ROOT / "protocol" / "pyproject.toml", *(ROOT / "protocol" / "perpetua_protocol").glob("*.py")]
    newest = max(source.stat().st_mtime for source in sources)
    for wheel in folder.glob("perpetua_protocol-*.whl"):
        if wheel.stat().st_mtime > newest:
            return wheel
    shutil.rmtree(folder, ignore_errors=True)
    # from a copy: setuptools leaves a build folder beside its sources and would pack what lies in it again
    source = shutil.copytree(
        ROOT / "protocol",
        folder / "source",
        ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"),
    )
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    return next(folder.glob("perpetua_protocol-*.whl"))


def bundled_wheels(target: str, python: str) -> list[Path]:
    """The wheels of the bundled packages for a platform, as the lock file names them; downloaded once.

    Raises ``BuildError`` when they cannot be had, or are not those of the lock file.
    """
    folder = WHEELS / f"{target}-python{python}"
    lock = LOCK.read_text(encoding="utf-8")
    digests = set(re.findall(r"sha256:([0-9a-f]{64})", lock))
    found = [wheel for wheel in folder.glob("*.whl") if sha256(wheel) in digests]
    if len(found) != len(re.findall(r"(?m)^[\w-]+==", lock)):
        shutil.rmtree(folder, ignore_errors=True)
        tags = [part for tag in PLATFORMS[target] for part in ("--platform", tag)]
        run(
            *("-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"),
            *("--python-version", python, "--implementation", "cp", *tags),
            *("--dest", folder, "--requirement", LOCK),
        )
        found = list(folder.glob("*.whl"))
    return sorted(found)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stage(target: str, blender: str) -> Path:
    """The extension's folder as it goes into the zip: sources, wheels, and a manifest that names them."""
    folder = STAGING / target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "wheels").mkdir()
    names = []
    for wheel in (protocol_wheel(), *bundled_wheels(target, PYTHONS[blender][0])):
        shutil.copy(wheel, folder / "wheels")
        names.append(f"./wheels/{wheel.name}")
    manifest = folder / "blender_manifest.toml"
    top = f'platforms = ["{target}"]\nwheels = [\n' + "".join(f'  "{name}",\n' for name in names) + "]\n"
    text = versions(manifest.read_text(encoding="utf-8"), blender)
    first_table = text.index("\n[")  # keys of the document come before its first table
    manifest.write_text(f"{text[:first_table]}\n{top}{text[first_table:]}", encoding="utf-8")
    return folder


def versions(manifest: str, blender: str) -> str:
    """The manifest's text with the Blender versions of a build."""
    upper = PYTHONS[blender][1]
    lines = f'blender_version_min = "{blender}.0"'
    if upper is not None:
        lines += f'\nblender_version_max = "{upper}"'
    return re.sub(r"(?m)^blender_version_min = .*$", lines, manifest)


def blender_extension_tool() -> Path:
    """Blender's command line tool for extensions, inside the bpy wheel."""
    found = importlib.util.find_spec("bpy")
    if found is None or found.origin is None:
        raise BuildError("bpy is not installed here; run this with .venv-blender's Python.")
    return next(Path(found.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))


def build(target: str, output: Path, blender: str = OLDEST) -> Path:
    """Build and validate the extension for one platform and the Blenders from ``blender`` on; returns the zip."""
    if target not in PLATFORMS:
        raise BuildError(f"There is no build for '{target}'; there are {', '.join(PLATFORMS)}.")
    version = tomllib.loads((SOURCE / "blender_manifest.toml").read_text(encoding="utf-8"))["version"]
    output.mkdir(parents=True, exist_ok=True)
    build_name = "" if blender == OLDEST else f"-blender{blender}"
    archive = output / f"perpetua-{version}{build_name}-{target}.zip"
    archive.unlink(missing_ok=True)
    tool = blender_extension_tool()
    run(tool, "build", "--source-dir", stage(target, blender), "--output-filepath", archive)
    run(tool, "validate", archive)
    return archive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--platform", action="append", choices=PLATFORMS, help="all of them if not given")
    parser.add_argument(
        "--blender", action="append", choices=PYTHONS, help="first version it is for; all if not given"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    try:
        for blender in arguments.blender or PYTHONS:
            for target in arguments.platform or PLATFORMS:
                print(build(target, arguments.output, blender), flush=True)
    except BuildError as error:
        print(f"build_extension: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
