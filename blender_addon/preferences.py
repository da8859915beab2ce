"""Preferences: how the backend is reached and started, where caches go, what is logged.

The environment's PERPETUA_* variables go before them.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from perpetua_protocol.errors import BackendUnreachable, ProtocolError
from perpetua_protocol.keys import default_connection_file, read_connection
from perpetua_protocol.link import is_loopback, nobody_listens

from . import cache_folders, log

LEVELS = (
    ("WARNING", "Problems", "Only what went wrong"),
    ("INFO", "Steps", "Also what was done: bakes, files, backends"),
    ("DEBUG", "Everything", "Also every message of the backend, to find a fault"),
)


def _set_level(preferences: PerpetuaPreferences, context: bpy.types.Context) -> None:
    log.set_level(preferences.log_level)


class PerpetuaPreferences(bpy.types.AddonPreferences):
    """Where the backend is, where caches of unsaved files go, and how much is logged."""

    bl_idname = __package__

    command: StringProperty(  # type: ignore[valid-type]
        name="Backend Command",
        description="Command that starts the backend; empty uses 'perpetua serve' if it is installed",
    )
    connection_file: StringProperty(  # type: ignore[valid-type]
        name="Key File",
        description="File with the address and key of the backend, which it writes when it starts; empty is its usual "
        "place. For a backend on another machine copy its file here",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    cache_folder: StringProperty(  # type: ignore[valid-type]
        name="Cache Folder",
        description="Where takes of unsaved files are kept; empty is the add-on's own folder. Saved files keep theirs "
        "beside them, in //cache",
        subtype="DIR_PATH",
    )
    log_level: EnumProperty(  # type: ignore[valid-type]
        name="Log",
        description="How much is written to the log file",
        items=LEVELS,
        default="INFO",
        update=_set_level,
    )

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "command")
        column.prop(self, "connection_file")
        column.label(text=address(), icon="LINKED")
        column.separator()
        column.prop(self, "cache_folder")
        found = cache_folders.unused(cache_folders.root())
        size = sum(folder.bytes for folder in found)
        row = column.row()
        row.label(
            text=f"Takes that no open file plays: {len(found)}, {cache_folders.in_words(size)}",
            icon="DISK_DRIVE",
        )
        row.operator("perpetua.clean_cache", icon="TRASH")
        column.separator()
        column.prop(self, "log_level")
        row = column.row()
        row.label(text=str(log.path()), icon="TEXT")
        row.operator("perpetua.open_log", icon="FILE_FOLDER")


def command() -> str:
    """The command that starts the backend; empty when none is set."""
    return os.environ.get("PERPETUA_COMMAND") or _preferences().command


def connection_file() -> Path:
    """The connection file of the backend to talk to."""
    chosen = _preferences().connection_file
    if chosen and not os.environ.get("PERPETUA_CONNECTION"):
        return Path(bpy.path.abspath(chosen))
    return default_connection_file()


def log_level() -> int:
    """The level of the ``logging`` module that is chosen."""
    return int(getattr(logging, _preferences().log_level))


def address() -> str:
    """What the key file says of the backend, in a sentence."""
    path = connection_file()
    try:
        return f"Backend at {read_connection(path).control} ({path})"
    except BackendUnreachable:
        return "No backend runs; the first bake starts one"
    except ProtocolError as error:
        return str(error)


def address_in_short() -> str:
    """Where the backend is that the key file names: this machine or another."""
    control = _control()
    if control is None:
        return "Key file cannot be used"
    host = control.removeprefix("tcp://").rpartition(":")[0]
    return "Backend on this machine" if is_loopback(control) else f"Backend on {host}"


def is_remote() -> bool:
    """Whether the key file is of a backend on another machine."""
    control = _control()
    return control is not None and not is_loopback(control)


def listens() -> bool:
    """Whether the key file's backend is there: nothing is sent, so one that hangs counts."""
    control = _control()
    return control is not None and not nobody_listens(control)


def _control() -> str | None:
    try:
        return read_connection(connection_file()).control
    except ProtocolError:
        return None


def _preferences() -> PerpetuaPreferences:
    return bpy.context.preferences.addons[__package__].preferences
