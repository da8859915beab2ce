"""Perpetua in Blender: place a force on a picture, bake a round, look, place the next.

This package talks to the Perpetua backend through ``perpetua_protocol`` only. See README.md for the operators.
"""

from __future__ import annotations

import bpy

from . import (
    backend_process,
    bake,
    operators_bake,
    operators_forces,
    operators_scene,
    panel,
    playback,
    preferences,
    properties,
    splat_engine,
    splat_layers,
    splat_shader,
    splat_viewport,
)

CLASSES = (
    *properties.CLASSES,
    preferences.PerpetuaPreferences,
    splat_engine.PerpetuaSplatEngine,
    *operators_scene.CLASSES,
    *operators_forces.CLASSES,
    *operators_bake.CLASSES,
    *panel.CLASSES,
)


def register() -> None:
    for made in CLASSES:
        bpy.utils.register_class(made)
    bpy.types.Scene.perpetua = bpy.props.PointerProperty(type=properties.PerpetuaSettings)
    bake.register()
    playback.start()
    splat_viewport.start()


def unregister() -> None:
    bake.unregister()
    backend_process.stop()
    splat_viewport.stop()
    playback.stop()
    splat_layers.forget()
    splat_shader.forget()
    del bpy.types.Scene.perpetua
    for made in reversed(CLASSES):
        bpy.utils.unregister_class(made)
