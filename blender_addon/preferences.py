"""Preferences: how the backend is reached and started. The environment's PERPETUA_* variables go before them."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
from bpy.props import StringProperty

from perpetua_protocol.keys import default_connection_file


class PerpetuaPreferences(bpy.types.AddonPreferences):
    """Where the backend's command and its connection file are."""

    bl_idname = __package__

    command: StringProperty(  # type: ignore[valid-type]
        name="Backend Command",
        description="Command that starts the backend; empty uses 'perpetua serve' if it is installed",
    )
    connection_file: StringProperty(  # type: ignore[valid-type]
        name="Connection File",
        description="File that the backend writes when it starts; empty is its usual place",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "command")
        self.layout.prop(self, "connection_file")


def command() -> str:
    """The command that starts the backend; empty when none is set."""
    return os.environ.get("PERPETUA_COMMAND") or _preferences().command


def connection_file() -> Path:
    """The connection file of the backend to talk to."""
    chosen = _preferences().connection_file
    if chosen and not os.environ.get("PERPETUA_CONNECTION"):
        return Path(bpy.path.abspath(chosen))
    return default_connection_file()


def _preferences() -> PerpetuaPreferences:
    return bpy.context.preferences.addons[__package__].preferences
