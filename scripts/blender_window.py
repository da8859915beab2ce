"""A full Blender with a window, in a folder of its own: Debian sid's Blender 5.2 and a virtual screen, for tests of the interface.

    python3 scripts/blender_window.py build FOLDER                  fetches 300 MB, unpacks 1.4 GB; a minute or two
    python3 scripts/blender_window.py run FOLDER SCREEN ARGUMENTS   runs ``blender ARGUMENTS`` on a virtual screen

Needs apt-get and dpkg-deb of any Debian or Ubuntu (x86-64 or ARM), and their way to a Debian mirror. Neither root nor mounts: nothing is
installed. The packages are unpacked, and their programs are started by the loader and with the libraries among them. ``build`` ends with
75 where the packages cannot be fetched, so that a caller can tell that from a defect.

The screen lies, while it runs, in the file ``SCREEN/Xvfb_screen0`` (an XWD picture); Blender finds its name in ``PERPETUA_SCREEN``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    *("blender", "xvfb", "libgl1", "libegl1", "libgl1-mesa-dri"),
    *(
        "python3-zmq",
        "python3-msgspec",
        "python3-numpy",
        "python3-requests",
        "python3-cattr",
        "python3-zstandard",
    ),
)
SUITE = "sid"
MIRROR = "http://deb.debian.org/debian"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NOT_UNPACKED = ("doc", "locale", "man", "info", "lintian", "bug")
"""Of ``/usr/share``."""
WHOLE = ".whole"
"""Stands in a folder that was built to its end."""
CANNOT_FETCH = 75
"""Exit code of ``build``: EX_TEMPFAIL of BSD's sysexits."""
SIZE = ("1360", "1000")
"""Of the screen, and of Blender's window on it, px."""


class CannotFetch(Exception):
    """The packages cannot be had on this machine; the message says why."""


class Failed(Exception):
    """Something else went wrong; the message says what to do."""


# -- building -----------------------------------------------------------------------------------------------------------


def build(folder: Path) -> None:
    """Make the folder, unless it is there. Raises ``CannotFetch`` or ``Failed``."""
    if (folder / WHOLE).is_file():
        return
    if folder.exists():
        raise Failed(f"{folder} is there and holds no whole Blender; remove it or name another folder.")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for package in fetch(part / "apt"):
            unpack(package, part)
        shutil.rmtree(part / "apt")
        let_screen_find_its_compiler(part)
        (part / WHOLE).touch()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fetch(apt: Path) -> list[Path]:
    """Download the packages and all that they need, with apt, its signatures checked, into ``apt``."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise CannotFetch(f"there is no {program} here; Blender's window is made of Debian's packages.")
    if not KEYS.is_file():
        raise CannotFetch(f"there is no {KEYS}; install the package debian-archive-keyring.")
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()  # of a machine on which nothing is installed
    (apt / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror()} {SUITE} main\n")
    apt_get(apt, "update")
    apt_get(apt, "install", "--download-only", "--yes", "--no-install-recommends", *PACKAGES)
    return sorted((apt / "archives").glob("*.deb"))


def mirror() -> str:
    """The Debian mirror that this machine uses, if it is a Debian; else Debian's own."""
    if SOURCES.is_file():
        for line in SOURCES.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    return MIRROR


def apt_get(apt: Path, *arguments: str) -> None:
    """Run apt-get with its state, its lists and its packages in ``apt``. Raises ``CannotFetch`` with its last words."""
    options = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": apt,
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Cache::Archives": apt / "archives",
        "APT::Sandbox::User": "root",  # else apt, run by root, becomes a user who may not write here
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    command = ["apt-get", "--quiet", "--error-on=any"] if arguments == ("update",) else ["apt-get", "--quiet"]
    command += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        raise CannotFetch(f"apt-get {arguments[0]} failed: {' '.join(said[-3:]) or done.stderr[-500:]}")


def unpack(package: Path, folder: Path) -> None:
    """Unpack a package's files, but what nobody reads in a test."""
    left_out = [f"--exclude=./usr/share/{name}/*" for name in NOT_UNPACKED]
    files = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    extract = ["tar", "-x", "-C", str(folder), "--no-same-owner", "--no-same-permissions", *left_out]
    unpacked = subprocess.run(extract, stdin=files.stdout, capture_output=True, text=True, check=False)
    if files.wait() != 0 or unpacked.returncode != 0:
        raise Failed(f"{package.name} cannot be unpacked: {unpacked.stderr[-500:]}")
    package.unlink()


def let_screen_find_its_compiler(folder: Path) -> None:
    """Xvfb runs ``/usr/bin/xkbcomp`` to read a keyboard, a path that is fixed in it: let it look along PATH instead.

    With an empty string for the folder it runs ``xkbcomp`` (``XkbBinDirectory``, xorg-server's ``xkb/ddxLoad.c``).
    """
    program = folder / "usr/bin/Xvfb"
    before = program.read_bytes()
    if before.count(b"\0/usr/bin\0") != 1:
        raise Failed(
            "This Xvfb does not name its folder of programs as others do; scripts/blender_window.py has to learn how."
        )
    program.write_bytes(before.replace(b"\0/usr/bin\0", b"\0\0usr/bin\0"))


# -- running ------------------------------------------------------------------------------------------------------------


def loader(folder: Path) -> list[str]:
    """The command that starts a program of the folder with the folder's own libraries, and none of this machine's."""
    (library,) = (path.parent for path in folder.glob("usr/lib/*/libc.so.6"))
    (start,) = library.glob("ld-linux*.so.*")
    places = [library, library.parent, *(at for at in sorted(library.iterdir()) if any(at.glob("lib*.so*")))]
    return [str(start), "--inhibit-cache", "--library-path", ":".join(map(str, places))]


def run(folder: Path, screen: Path, arguments: list[str]) -> int:
    """Run Blender on a virtual screen of its own until it is closed. Returns its exit code."""
    start = loader(folder)
    programs = screen / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    compiler = programs / "xkbcomp"
    compiler.write_text(f'#!/bin/sh\nexec {" ".join(start)} {folder}/usr/bin/xkbcomp "$@"\n')
    compiler.chmod(0o755)
    path = f"{programs}:{os.environ.get('PATH', os.defpath)}"
    drivers = {"LIBGL_DRIVERS_PATH": str(Path(start[0]).parent / "dri"), "LIBGL_ALWAYS_SOFTWARE": "1"}
    command = [
        *start,
        f"{folder}/usr/bin/Xvfb",
        "-displayfd",
        "1",
        "-screen",
        "0",
        f"{'x'.join(SIZE)}x24",
        "-fbdir",
        str(screen),
    ]
    command += ["-xkbdir", f"{folder}/usr/share/X11/xkb", "-nolisten", "tcp", "-noreset", "-nocursor"]
    with (screen / "Xvfb.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **drivers, "PATH": path}
        )
    try:
        display = server.stdout.readline().decode().strip()
        if not display:
            raise Failed(f"The virtual screen did not start:\n{(screen / 'Xvfb.log').read_text()[-2000:]}")
        blender = [*start, "--argv0", f"{folder}/usr/bin/blender", f"{folder}/usr/bin/blender"]
        return subprocess.run(
            [*blender, "--gpu-backend", "opengl", "-p", "0", "0", *SIZE, *arguments],
            env={**os.environ, **drivers, **blender_variables(folder, screen), "DISPLAY": f":{display}"},
            check=False,
        ).returncode
    finally:
        server.terminate()
        server.wait()


def blender_variables(folder: Path, screen: Path) -> dict[str, str]:
    """Where Blender finds what else it needs, and its test the picture of the screen."""
    return {
        "BLENDER_SYSTEM_RESOURCES": f"{folder}/usr/share/blender",
        "BLENDER_SYSTEM_PYTHON": f"{folder}/usr",
        "__EGL_VENDOR_LIBRARY_DIRS": f"{folder}/usr/share/glvnd/egl_vendor.d",
        "PERPETUA_SCREEN": str(screen / "Xvfb_screen0"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    for name, what in (("build", "make the folder"), ("run", "run Blender in its window")):
        actions.add_parser(name, help=what).add_argument("folder", type=Path)
    actions.choices["run"].add_argument("screen", type=Path)
    actions.choices["run"].add_argument("arguments", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        if arguments.action == "run":
            return run(arguments.folder.resolve(), arguments.screen.resolve(), arguments.arguments)
        build(arguments.folder.resolve())
    except CannotFetch as error:
        print(f"Blender's window cannot be built here: {error}", file=sys.stderr)
        return CANNOT_FETCH
    except Failed as error:
        print(f"blender_window: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
