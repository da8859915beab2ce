"""What ``blender -b FILE --python-exit-code 1 --python-expr EXPRESSION`` does, with the bpy wheel and this checkout's add-on.

    .venv-blender/bin/python scripts/run_in_bpy.py FILE EXPRESSION

FILE may be empty. The add-on's folder is linked into a user folder that lives as long as the run.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

ADDON = Path(__file__).resolve().parents[1] / "blender_addon"
MODULE = "bl_ext.user_default.perpetua"


def user_folder() -> Path:
    """A folder for this Blender's settings, with the add-on in it. Must be there before bpy is imported."""
    folder = Path(tempfile.mkdtemp(prefix="perpetua-blender-"))
    repository = folder / "extensions" / "user_default"
    repository.mkdir(parents=True)
    try:
        (repository / "perpetua").symlink_to(ADDON, target_is_directory=True)
    except OSError:  # Windows lets only some users make links
        shutil.copytree(ADDON, repository / "perpetua", ignore=shutil.ignore_patterns("__pycache__"))
    os.environ["BLENDER_USER_RESOURCES"] = str(folder)
    return folder


def run(blend: str, expression: str) -> int:
    """Open the file and run the expression. Returns the exit code."""
    import bpy

    try:
        bpy.ops.preferences.addon_enable(module=MODULE)
        if blend:
            bpy.ops.wm.open_mainfile(filepath=blend)
        exec(expression, {"__name__": "__main__"})
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)  # a sentence, as Python itself takes it
        return 1
    except BaseException:  # noqa: BLE001 - whatever it is, the run failed; KeyboardInterrupt too
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    folder = user_folder()
    code = run(*sys.argv[1:3])
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # bpy can hang while its interpreter shuts down
