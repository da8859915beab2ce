"""Handlers of Blender's events, all of a module at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import bpy

Handlers = Mapping[str, Callable[..., Any]]
"""By the name of their list in ``bpy.app.handlers``."""


def add(handlers: Handlers) -> None:
    """Have them called from now on; those that are already stay once."""
    for name, handler in handlers.items():
        listed = getattr(bpy.app.handlers, name)
        if handler not in listed:
            listed.append(handler)


def remove(handlers: Handlers) -> None:
    """Have them called no more."""
    for name, handler in handlers.items():
        listed = getattr(bpy.app.handlers, name)
        if handler in listed:
            listed.remove(handler)
