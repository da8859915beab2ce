"""Perpetua in Blender: place a force on a picture, bake a round, look, place the next.

This package talks to the Perpetua backend through ``perpetua_protocol`` only. See README.md for the operators.
"""

from __future__ import annotations

import bpy

from . import (
    across_undo,
    backend_process,
    exports,
    following,
    log,
    mesh_depth,
    mesh_scene,
    operators_bake,
    operators_cameras,
    operators_export,
    operators_files,
    operators_forces,
    operators_input,
    operators_lists,
    operators_meshes,
    operators_rounds,
    operators_scene,
    operators_shots,
    overlay,
    panels,
    picture_marks,
    picture_so_far,
    playback,
    preferences,
    properties,
    render_guard,
    saved_paths,
    splat_engine,
    splat_layers,
    splat_shader,
    splat_viewport,
)

CLASSES = (
    *properties.CLASSES,
    preferences.PerpetuaPreferences,
    splat_engine.PerpetuaSplatEngine,
    *operators_input.CLASSES,
    *operators_scene.CLASSES,
    *operators_forces.CLASSES,
    *operators_cameras.CLASSES,
    *operators_rounds.CLASSES,
    *operators_bake.CLASSES,
    *operators_export.CLASSES,
    *operators_lists.CLASSES,
    *operators_files.CLASSES,
    *operators_shots.CLASSES,
    *operators_meshes.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    for made in CLASSES:
        bpy.utils.register_class(made)
    bpy.types.Scene.perpetua = bpy.props.PointerProperty(type=properties.PerpetuaSettings)
    log.start(preferences.log_level())
    following.register()
    playback.start()
    render_guard.start()
    mesh_scene.start()
    across_undo.start()
    saved_paths.start()
    splat_viewport.start()
    overlay.start()
    picture_marks.start()


def unregister() -> None:
    following.unregister()
    exports.stop()
    backend_process.stop()
    picture_marks.stop()
    overlay.stop()
    splat_viewport.stop()
    mesh_scene.stop()
    render_guard.stop()
    saved_paths.stop()
    across_undo.stop()
    playback.stop()
    picture_so_far.forget()
    splat_layers.forget()
    splat_shader.forget()
    mesh_depth.forget()
    log.stop()
    del bpy.types.Scene.perpetua
    for made in reversed(CLASSES):
        bpy.utils.unregister_class(made)
