"""What an add-on that is enabled holds of Blender and of the system: handlers, timers, threads, sockets, classes."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import bpy


def footprint() -> dict[str, int]:
    """How much of each there is now."""
    handlers = {n: getattr(bpy.app.handlers, n) for n in dir(bpy.app.handlers)}
    counts = {name: len(found) for name, found in handlers.items() if isinstance(found, list)}
    counts["threads"] = threading.active_count()
    counts["native threads"] = len(os.listdir("/proc/self/task"))
    counts["sockets"] = len(_sockets())
    functions = [found for found in gc.get_objects() if type(found).__name__ == "function"]
    counts["timers"] = int(any(f.__qualname__ == "_tick" and bpy.app.timers.is_registered(f) for f in functions))  # fmt: skip
    counts["classes"] = sum("perpetua" in name.lower() for name in dir(bpy.types))
    counts["property"] = int(hasattr(bpy.types.Scene, "perpetua"))
    counts["operators"] = len(dir(bpy.ops.perpetua))
    return counts


def _sockets() -> list[str]:
    """The open sockets, and what zmq wakes its threads with."""
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link for link in links if link.startswith(("socket:", "anon_inode:"))]
