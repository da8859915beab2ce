"""Drawing in the 3D viewport: every force with its direction, reach and time; the table, the bounds and gravity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import blf
import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

from perpetua_protocol.cache import CacheMeta
from perpetua_protocol.errors import ProtocolError

from . import drawing, force_sampling, forces, playback
from . import overlay_shapes as shapes
from .errors import AddonError
from .force_kinds import REACH, Kind

TEXT_PX = 11
BAR_PX = (70, 4)
"""Width and height of the bar that shows a force's frames on the timeline."""
LABEL_PX, BESIDE_PX = 26, 14
"""Height of a label, with its bar, and how far it stands to the right of its force."""
SIZE_M = 0.08
"""Length of an arrow that has no reach of its own."""
SMALLEST_M = 0.02
FIELD_COLOUR, HAND_COLOUR, PLACE_COLOUR = (0.35, 0.75, 1.0), (1.0, 0.55, 0.15), (0.75, 0.75, 0.75)
DIM = 0.25
"""Opacity of what does not act in the present frame."""
EARTH = 9.81
"""m/s^2, drawn as an arrow of ``SIZE_M``."""

Rectangle = tuple[float, float, float, float]
"""Left and lower edge, width and height, px."""


@dataclass(frozen=True)
class Shown:
    """A force as it is drawn. lines: [N,2,3] m. part: of the timeline it acts in, from and to, in [0, 1]."""

    lines: shapes.Lines
    colour: tuple[float, float, float]
    acting: bool
    place: Vector
    text: str
    part: tuple[float, float]


_handles: list[object] = []


def shown_forces(scene: bpy.types.Scene) -> Iterator[Shown]:
    """What is drawn of the forces that are switched on; those that carry none any more are left out."""
    for entry in force_sampling.acting(scene):
        try:
            yield _shown(entry.object, scene)
        except AddonError:  # the list and the bake say what is wrong with it
            continue


def force_lines(carrier: bpy.types.Object, kind: Kind) -> shapes.Lines:
    """The shape [N,2,3] of a force where its object stands."""
    centre = np.array(carrier.matrix_world.translation)
    axis = np.array(carrier.matrix_world.col[2].xyz.normalized())
    reach = _reach(carrier, kind)
    size = max(reach or SIZE_M, SMALLEST_M)
    strength = carrier.field.strength if kind.field else 1.0
    parts = [shapes.ball(centre, reach)] if reach and kind.name != "emitter" else []
    if kind.name == "emitter":
        parts += [shapes.circle(centre, axis, reach), shapes.arrow(centre, centre + SIZE_M * axis)]
    elif kind.name in ("wind", "push", "poke"):
        way = axis if strength >= 0 else -axis
        parts.append(shapes.arrow(centre, centre + size * way))
    elif kind.name == "force":
        parts.append(shapes.burst(centre, size, strength < 0))
    elif kind.name == "vortex":
        parts.append(shapes.whirl(centre, axis, size, strength < 0))
    elif kind.name == "turbulence":
        parts.append(shapes.eddies(centre, min(size, SIZE_M)))
    elif kind.name in ("drag", "pin"):
        parts.append(shapes.cross(centre, 0.5 * size))
    elif kind.name == "collider":
        corners = np.array([carrier.matrix_world @ Vector(corner) for corner in carrier.bound_box])
        parts.append(shapes.box(corners.min(0), corners.max(0)))
    return np.concatenate(parts)


def label(carrier: bpy.types.Object, kind: Kind, window: tuple[float, float]) -> str:
    """Its name, how strong it is and the frames of the timeline it acts in, such as ``Thumb  20 N  1-25``."""
    strength = kind.strength
    words = [carrier.name]
    if strength is not None:
        value = getattr(carrier.field, strength.name) if kind.field else carrier.get(strength.name, 0.0)
        unit = strength.label[strength.label.find("(") + 1 : -1] if "(" in strength.label else ""
        words.append(f"{value:.3g} {unit}".strip())
    words.append(f"{window[0]:g}-{window[1]:g}")
    return "  ".join(words)


def _shown(carrier: bpy.types.Object, scene: bpy.types.Scene) -> Shown:
    kind = forces.kind_of(carrier)
    whole = max(1, scene.frame_end - scene.frame_start)
    start, end = force_sampling.window(carrier, scene, 0, whole)
    now = scene.frame_current - scene.frame_start
    return Shown(
        force_lines(carrier, kind),
        FIELD_COLOUR if kind.field else HAND_COLOUR,
        start <= now < end,
        carrier.matrix_world.translation.copy(),
        label(carrier, kind, (start + scene.frame_start, end + scene.frame_start)),
        (min(max(start / whole, 0.0), 1.0), min(max(end / whole, 0.0), 1.0)),
    )


def _reach(carrier: bpy.types.Object, kind: Kind) -> float:
    """Radius it acts in, m; 0 is everywhere."""
    if kind.field:
        return float(carrier.field.distance_max) if carrier.field.use_max_distance else 0.0
    return forces.number(carrier, REACH) if any(entry.name == REACH for entry in kind.own) else 0.0


def place_lines(scene: bpy.types.Scene) -> shapes.Lines:
    """The table, the bounds and gravity of what is baked, as the settings ask; nothing before a reconstruction."""
    settings = scene.perpetua
    try:
        meta = playback.meta(scene)
    except (AddonError, ProtocolError):
        return np.zeros((0, 2, 3))
    lower, upper = np.array(meta.lower), np.array(meta.upper)
    centre, extent = (lower + upper) / 2, float((upper - lower).max())
    parts = [np.zeros((0, 2, 3))]
    if settings.show_table:
        parts.append(shapes.grid(centre, 1.5 * extent))
    if settings.show_bounds:
        parts += [shapes.box(*corners) for corners in bounds(scene, meta)]
    if settings.show_gravity and scene.use_gravity:
        top = np.array([centre[0], centre[1], upper[2] + SIZE_M])
        parts.append(shapes.arrow(top, top + SIZE_M / EARTH * np.array(scene.gravity)))
    return np.concatenate(parts)


def bounds(scene: bpy.types.Scene, meta: CacheMeta) -> list[tuple[shapes.Vec, shapes.Vec]]:
    """Lower and upper corners, m: of all that moves in the picture, and of what the playing round computes soft matter in."""
    boxes = [(meta.lower, meta.upper)]
    frame = playback.take_frame(scene, meta.frames)
    turn = next(record for record in meta.rounds if frame < record.start + record.frames)
    if turn.bounds is not None:
        boxes.append(turn.bounds)
    return [(np.array(lower), np.array(upper)) for lower, upper in boxes]


def _draw_lines() -> None:
    context = bpy.context
    if context.region is None or not context.space_data.overlay.show_overlays:
        return
    drawing.polylines(place_lines(context.scene), (*PLACE_COLOUR, DIM))
    if context.scene.perpetua.show_forces:
        for force in shown_forces(context.scene):
            drawing.polylines(force.lines, (*force.colour, 1.0 if force.acting else DIM))


def _draw_labels() -> None:
    context = bpy.context
    scene, region = context.scene, context.region
    if region is None or not scene.perpetua.show_forces or not context.space_data.overlay.show_overlays:
        return
    scale = context.preferences.system.ui_scale
    now = (scene.frame_current - scene.frame_start) / max(1, scene.frame_end - scene.frame_start)
    blf.size(0, TEXT_PX * scale)
    taken: list[Rectangle] = []
    for force in shown_forces(scene):
        at = location_3d_to_region_2d(region, context.region_data, force.place)
        if at is None:
            continue
        width = max(blf.dimensions(0, force.text)[0], BAR_PX[0] * scale)
        x = min(max(at.x + BESIDE_PX * scale, 0.0), region.width - width)
        place = free_place((x, at.y, width, LABEL_PX * scale), taken)
        taken.append(place)
        opacity = 1.0 if force.acting else 2 * DIM
        blf.enable(0, blf.SHADOW)
        blf.shadow(0, 3, 0.0, 0.0, 0.0, 0.8)  # 3: blurred over three pixels
        blf.color(0, *(0.5 + 0.5 * part for part in force.colour), opacity)
        blf.position(0, place[0], place[1] + 8 * scale, 0)
        blf.draw(0, force.text)
        blf.disable(0, blf.SHADOW)
        _time_bar(place[0], place[1], scale, force.part, min(max(now, 0.0), 1.0), (*force.colour, opacity))


def free_place(wanted: Rectangle, taken: list[Rectangle]) -> Rectangle:
    """Where a label goes: the wanted place, or the first above it that no other label has."""
    x, y, width, height = wanted
    for other in sorted(taken, key=lambda place: place[1]):
        beside = x >= other[0] + other[2] or other[0] >= x + width
        apart = y >= other[1] + other[3] or other[1] >= y + height
        if not beside and not apart:
            y = other[1] + other[3]
    return x, y, width, height


def _time_bar(
    x: float,
    y: float,
    scale: float,
    part: tuple[float, float],
    now: float,
    colour: tuple[float, float, float, float],
) -> None:
    """The timeline as a bar [px]: the part a force acts in is filled, a stroke stands at the present frame."""
    width, height = BAR_PX[0] * scale, BAR_PX[1] * scale
    drawing.rectangle(x, y, width, height, (0.0, 0.0, 0.0, 0.45))
    drawing.rectangle(x + part[0] * width, y, max(1.0, (part[1] - part[0]) * width), height, colour)
    drawing.rectangle(x + now * width - 0.5, y - 2 * scale, scale, height + 4 * scale, (1.0, 1.0, 1.0, 0.9))


def start() -> None:
    """Draw in every 3D viewport from now on."""
    if not _handles:
        add = bpy.types.SpaceView3D.draw_handler_add
        _handles.append(add(_draw_lines, (), "WINDOW", "POST_VIEW"))
        _handles.append(add(_draw_labels, (), "WINDOW", "POST_PIXEL"))


def stop() -> None:
    """Draw no more."""
    for handle in _handles:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
