"""Build the Blender extension with the wheels it needs, and validate it with Blender's own tool.

    .venv-blender/bin/python scripts/build_extension.py [--platform linux-x64 ...] [--blender 5.1] [--output dist]

Writes ``dist/perpetua-<version>-<platform>.zip`` for Blender 4.5 to 5.0 (Python 3.11), or with ``--blender 5.1``
``dist/perpetua-<version>-blender5.1-<platform>.zip`` for 5.1 and later (Python 3.13). The wheels are perpetua_protocol, built from
``protocol/``, and the releases of msgspec and pyzmq that are installed beside bpy, fetched once into ``build/wheels``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
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
BUNDLED = ("msgspec", "pyzmq")
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


def fetched_wheel(name: str, target: str, python: str) -> Path:
    """The wheel of a bundled package for a platform, of the release installed here; downloaded once."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise BuildError(f"{name} is not installed beside bpy; run `make setup` first.") from error
    folder = WHEELS / f"{target}-python{python}"
    found = list(folder.glob(f"{name}-{version}-*.whl"))
    if not found:
        tags = [part for tag in PLATFORMS[target] for part in ("--platform", tag)]
        run(
            *("-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--python-version", python, "--implementation", "cp", *tags),
            *("--dest", folder, f"{name}=={version}"),
        )
        found = list(folder.glob(f"{name}-{version}-*.whl"))
    return found[0]


def stage(target: str, blender: str) -> Path:
    """The extension's folder as it goes into the zip: sources, wheels, and a manifest that names them."""
    folder = STAGING / target
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "wheels").mkdir()
    names = []
    for wheel in (protocol_wheel(), *(fetched_wheel(name, target, PYTHONS[blender][0]) for name in BUNDLED)):
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
        raise BuildError(f"There is no platform '{target}'; choose of {', '.join(PLATFORMS)}.")
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
    parser.add_argument(
        "--platform", action="append", help=f"of {', '.join(PLATFORMS)}; this machine's if not given"
    )
    parser.add_argument("--blender", choices=PYTHONS, default=OLDEST, help="first version it is for")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    try:
        for target in arguments.platform or [this_platform()]:
            print(build(target, arguments.output, arguments.blender))
    except BuildError as error:
        print(f"build_extension: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
