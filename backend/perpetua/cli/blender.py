"""A Blender to run in the background: this checkout's bpy, or a Blender program that has the add-on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from perpetua.errors import PerpetuaError

ROOT = Path(__file__).resolve().parents[3]
DRIVER = ROOT / "scripts" / "run_in_bpy.py"


class BlenderMissing(PerpetuaError):
    """There is no Blender to run."""

    code = "blender_missing"


def blender_python() -> Path | None:
    """The Python that has bpy in this checkout, or None."""
    python = ROOT / ".venv-blender" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return python if python.exists() else None


def background_command(blend: Path | None, expression: str, program: Path | None = None) -> list[str]:
    """The command that opens ``blend`` in a Blender without a window, with the add-on, and runs a Python expression there.

    program: a Blender in which the add-on is installed; None takes this checkout's bpy, or the ``blender`` that is found. The command
    ends with another code than 0 when the expression raises. Raises ``BlenderMissing``.
    """
    python = blender_python()
    if program is None and python is not None and DRIVER.exists():
        return [str(python), str(DRIVER), str(blend or ""), expression]
    found = shutil.which(str(program)) if program is not None else shutil.which("blender")
    if found is None:
        raise BlenderMissing(
            f"There is no Blender at {program}; give --blender the path of its program."
            if program is not None
            else "There is no Blender here; give --blender the path of one that has the add-on, or run `make setup`."
        )
    opened = [] if blend is None else [str(blend)]
    return [found, "-b", *opened, "--python-exit-code", "1", "--python-expr", expression]
