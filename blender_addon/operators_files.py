"""Operators of the preferences: clean up caches, look at the log."""

from __future__ import annotations

import bpy

from . import cache_folders, log
from .errors import AddonError, PerpetuaOperator


class PERPETUA_OT_clean_cache(PerpetuaOperator, bpy.types.Operator):
    """Delete the takes of unsaved files that no open Blender plays. They can be baked again"""

    bl_idname = "perpetua.clean_cache"
    bl_label = "Clean Up"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def act(self, context: bpy.types.Context) -> None:
        found = cache_folders.unused(cache_folders.root())
        try:
            cache_folders.remove(found)
        except OSError as error:
            raise AddonError(
                f"{error.filename} cannot be deleted ({error.strerror}); delete it by hand."
            ) from error
        size = cache_folders.in_words(sum(folder.bytes for folder in found))
        log.LOG.info("deleted %d caches, %s", len(found), size)
        self.report({"INFO"}, f"Deleted {len(found)} takes, {size}.")


class PERPETUA_OT_open_log(PerpetuaOperator, bpy.types.Operator):
    """Open the folder with the add-on's log and the backend's"""

    bl_idname = "perpetua.open_log"
    bl_label = "Open Folder"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        bpy.ops.wm.path_open(filepath=str(log.path().parent))


CLASSES = (PERPETUA_OT_clean_cache, PERPETUA_OT_open_log)
