"""Operators of the Forces panel: place an action of any kind, take over what is in the scene, say what it acts on."""

from __future__ import annotations

from itertools import pairwise

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, IntProperty, StringProperty
from mathutils import Vector

from . import forces, playback
from .errors import AddonError, PerpetuaOperator
from .force_kinds import BY_FIELD, KINDS, START, Kind
from .force_sampling import emitters, targets
from .reconstruction import objects_centre
from .take_builder import round_starts

KIND_ITEMS = tuple((kind.name, kind.label, kind.text, kind.icon, i) for i, kind in enumerate(KINDS.values()))
OF_LIST = ("targets", "material", "use_colour", "colour")
"""What the list says of a force, and its object does not."""


def _window(scene: bpy.types.Scene, start: int, end: int) -> tuple[int, int]:
    """First frame and end frame on the timeline; the current round's where they are not given (end <= start)."""
    if end > start:
        return start, end
    starts = round_starts(scene.perpetua)
    now = scene.frame_current - scene.frame_start
    for first, last in pairwise(starts):
        if now < last:
            return scene.frame_start + first, scene.frame_start + last
    return scene.frame_current, max(scene.frame_end, scene.frame_current + 1)


def _centre(scene: bpy.types.Scene) -> Vector:
    """Middle of the objects, m; the 3D cursor before there is a reconstruction."""
    if scene.perpetua.cache_folder:
        return objects_centre(playback.meta(scene))
    return scene.cursor.location.copy()


def _copied_from(scene: bpy.types.Scene, carrier: bpy.types.Object) -> int | None:
    """Place in the list of the force that an object is a copy of, by the name and kind that Blender gives a copy."""
    title, kind = carrier.name.rpartition(".")[0] or carrier.name, forces.kind_of(carrier)
    for index, entry in enumerate(scene.perpetua.forces):
        other = entry.object
        alike = other is not None and title in (other.name, other.name.rpartition(".")[0])
        if alike and forces.carries_force(other) and forces.kind_of(other) == kind:
            return index
    return None


def _list(scene: bpy.types.Scene, made: bpy.types.Object) -> bpy.types.PropertyGroup:
    entry = scene.perpetua.forces.add()
    entry.name, entry.object = made.name, made
    for selected in list(bpy.context.view_layer.objects.selected):
        selected.select_set(False)
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    scene.perpetua.force_index = len(scene.perpetua.forces) - 1
    return entry


def _active(context: bpy.types.Context, what: str) -> bpy.types.Object:
    """The active object. Raises ``AddonError`` when there is none, or it is listed already."""
    found = context.view_layer.objects.active
    if found is None:
        raise AddonError(f"No object is active; select {what} first.")
    if any(entry.object == found for entry in context.scene.perpetua.forces):
        raise AddonError(f"'{found.name}' is in the list already.")
    return found


class _Placed(PerpetuaOperator):
    """What every operator that places an action asks for."""

    location: FloatVectorProperty(  # type: ignore[valid-type]
        name="Location", description="Where it acts; the objects' middle if not given", subtype="TRANSLATION"
    )
    start: IntProperty(  # type: ignore[valid-type]
        name="Start",
        description="First frame it acts in; the current round's where start and end are the same",
    )
    end: IntProperty(name="End", description="Frame it stops at")  # type: ignore[valid-type]

    def place(
        self,
        context: bpy.types.Context,
        kind: Kind,
        name: str,
        direction: tuple[float, float, float],
        strength: float | None,
        reach: float | None,
    ) -> bpy.types.Object:
        """An action of ``kind``, listed and selected. strength, reach: None leaves the kind's own."""
        scene, way = context.scene, Vector(direction)
        if way.length == 0:
            raise AddonError("The force has no direction; give it one that is not zero.")
        way.normalize()
        location = Vector(self.location)
        if not self.properties.is_property_set("location"):  # type: ignore[attr-defined]
            location = _centre(scene) - kind.away_m * way
        window = _window(scene, self.start, self.end)
        if kind.name == "poke" and self.end <= self.start:  # a blow is over at once
            start = max(window[0], min(scene.frame_current, window[1] - 1))
            window = (start, start + 1)
        made = forces.new_force(kind, name, location, way, window, playback.collection(scene))
        if strength is not None:
            forces.set_strength(made, kind, strength)
        if reach is not None:
            forces.set_reach(made, kind, reach)
        _list(scene, made)
        return made


class PERPETUA_OT_add_force(_Placed, bpy.types.Operator):
    """Place an action on the objects"""

    bl_idname = "perpetua.add_force"
    bl_label = "Add Force"

    kind: EnumProperty(name="Kind", description="What it does", items=KIND_ITEMS)  # type: ignore[valid-type]
    name: StringProperty(name="Name", description="Name of its object; the kind's if empty")  # type: ignore[valid-type]
    direction: FloatVectorProperty(  # type: ignore[valid-type]
        name="Direction",
        description="Where its arrow points; the kind's usual one if not given",
        subtype="XYZ",
    )
    strength: FloatProperty(  # type: ignore[valid-type]
        name="Strength", description="How strong it is, in the kind's unit; its usual one if not given"
    )
    reach: FloatProperty(  # type: ignore[valid-type]
        name="Reach", description="How far it acts; 0 is everywhere", unit="LENGTH", min=0.0
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return KINDS[properties.kind].text

    def act(self, context: bpy.types.Context) -> None:
        kind = KINDS[self.kind]
        if kind.name == "collider":
            self._use_mesh(context, kind)
            return
        given = self.properties.is_property_set
        self.place(
            context,
            kind,
            self.name or kind.label,
            tuple(self.direction) if given("direction") else kind.direction,
            self.strength if given("strength") else None,
            self.reach if given("reach") else None,
        )

    def _use_mesh(self, context: bpy.types.Context, kind: Kind) -> None:
        mesh = _active(context, "the mesh that shall be solid")
        if mesh.type != "MESH":
            raise AddonError(f"'{mesh.name}' is not a mesh; select the mesh that shall be solid.")
        forces.mark(mesh, kind, _window(context.scene, self.start, self.end))
        _list(context.scene, mesh)


class PERPETUA_OT_add_wind(_Placed, bpy.types.Operator):
    """Add a wind: Blender's own wind field on an empty; its strength is the air's speed in m/s"""

    bl_idname = "perpetua.add_wind"
    bl_label = "Add Wind"

    name: StringProperty(name="Name", description="Name of its object", default="Wind")  # type: ignore[valid-type]
    direction: FloatVectorProperty(  # type: ignore[valid-type]
        name="Direction", description="Where the air goes", subtype="XYZ", default=(1, 0, 0)
    )
    strength: FloatProperty(  # type: ignore[valid-type]
        name="Speed", description="How fast the air moves, m/s", default=3.0, min=0.0, soft_max=40.0
    )
    reach: FloatProperty(  # type: ignore[valid-type]
        name="Reach", description="Radius it fills; 0 is everywhere", unit="LENGTH", default=0.0, min=0.0
    )

    def act(self, context: bpy.types.Context) -> None:
        self.place(context, KINDS["wind"], self.name, self.direction, self.strength, self.reach)


class PERPETUA_OT_add_push(_Placed, bpy.types.Operator):
    """Add a push: newtons over a ball of matter, along the arrow"""

    bl_idname = "perpetua.add_push"
    bl_label = "Add Push"

    name: StringProperty(name="Name", description="Name of its object", default="Push")  # type: ignore[valid-type]
    direction: FloatVectorProperty(  # type: ignore[valid-type]
        name="Direction", description="Where it pushes", subtype="XYZ", default=(0, 0, -1)
    )
    force: FloatProperty(  # type: ignore[valid-type]
        name="Force", description="Force over the whole ball, N", default=5.0, min=0.0, soft_max=100.0
    )
    reach: FloatProperty(  # type: ignore[valid-type]
        name="Reach", description="Radius of the ball", unit="LENGTH", default=0.03, min=0.0001
    )

    def act(self, context: bpy.types.Context) -> None:
        self.place(context, KINDS["push"], self.name, self.direction, self.force, self.reach)


class PERPETUA_OT_use_force(PerpetuaOperator, bpy.types.Operator):
    """Let the active object act on the take: one with Blender's own force field (wind, force, vortex, turbulence, drag), or a copy of a force"""

    bl_idname = "perpetua.use_force"
    bl_label = "Use Active Force Field"

    def act(self, context: bpy.types.Context) -> None:
        carrier = _active(context, "the object with the force field")
        if not forces.carries_force(carrier):
            raise AddonError(
                f"'{carrier.name}' has no force field that Perpetua knows; give it one of "
                f"{', '.join(kind.label for kind in BY_FIELD.values())} (Physics tab > Force Field)."
            )
        if START not in carrier:  # a copy acts when what it was copied from does
            forces.mark(carrier, forces.kind_of(carrier), _window(context.scene, 0, 0))
        origin = _copied_from(context.scene, carrier)
        made = _list(context.scene, carrier)
        for name in OF_LIST if origin is not None else ():
            setattr(made, name, getattr(context.scene.perpetua.forces[origin], name))


class PERPETUA_OT_toggle_target(PerpetuaOperator, bpy.types.Operator):
    """Let the force act on this object, or not. A force that is limited to none acts on everything"""

    bl_idname = "perpetua.toggle_target"
    bl_label = "Acts on"

    index: IntProperty(name="Force", description="Its place in the list")  # type: ignore[valid-type]
    name: StringProperty(name="Object", description="Name of the object; empty is everything")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        if not 0 <= self.index < len(settings.forces):
            raise AddonError("There is no such force; choose one in the list.")
        entry = settings.forces[self.index]
        chosen = list(targets(entry))
        if not self.name:
            chosen.clear()
        elif self.name in chosen:
            chosen.remove(self.name)
        elif self.name in settings.things or self.name in emitters(context.scene):
            chosen.append(self.name)
        else:
            raise AddonError(f"There is no object '{self.name}'; add it first.")
        entry.targets = ", ".join(chosen)


CLASSES = (
    PERPETUA_OT_add_force,
    PERPETUA_OT_add_wind,
    PERPETUA_OT_add_push,
    PERPETUA_OT_use_force,
    PERPETUA_OT_toggle_target,
)
