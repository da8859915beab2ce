"""What is kept of the picture's objects: where they were clicked or boxed, what they are made of, and their parts."""

# mypy: disable-error-code="valid-type"
# (Blender reads properties from annotations that are calls)

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from .materials import MATERIALS, PARAMETERS


class PerpetuaClick(bpy.types.PropertyGroup):
    """A point in the picture, pixels from its top left corner."""

    x: FloatProperty(name="X", description="Pixels from the picture's left edge", min=0.0)
    y: FloatProperty(name="Y", description="Pixels from the picture's top edge", min=0.0)
    inside: BoolProperty(
        name="Inside", description="On the object, or on what is not the object", default=True
    )


class PerpetuaChange(bpy.types.PropertyGroup):
    """A number of a material that the artist has changed."""

    parameter: EnumProperty(name="What", description="Which number of the material", items=PARAMETERS)
    value: FloatProperty(name="Value", description="Its value instead of the material's own", precision=5)


FIRST_HEIGHT_M = 0.1
"""Of an object whose height is to be given: where its number begins."""


class _Marked:
    """A place in the picture, points on it and beside it or a box around it, and what is there."""

    clicks: CollectionProperty(type=PerpetuaClick)
    use_box: BoolProperty(name="Box", description="A box is drawn around it in the picture")
    box: FloatVectorProperty(
        name="Box", description="Left, top, right and bottom edge, pixels from the picture's top left", size=4
    )
    material: EnumProperty(name="Material", description="What it is made of", items=MATERIALS, default="clay")
    changes: CollectionProperty(type=PerpetuaChange)


class PerpetuaRegion(_Marked, bpy.types.PropertyGroup):
    """A part of a soft object that is made of something else. Its ``name`` is the group's own."""


def _knows_height(thing: bpy.types.PropertyGroup) -> bool:
    return thing.height > 0.0


def _know_height(thing: bpy.types.PropertyGroup, known: bool) -> None:
    thing.height = FIRST_HEIGHT_M if known else 0.0


class PerpetuaThing(_Marked, bpy.types.PropertyGroup):
    """An object of the picture that will move. Its ``name`` is the group's own."""

    height: FloatProperty(
        name="Height",
        description="Real height of the object; 0 lets Perpetua guess from the material",
        unit="LENGTH",
        min=0.0,
        soft_max=1.0,
        precision=3,
        default=0.0,
    )
    knows_height: BoolProperty(
        name="Height Is Known",
        description="Tick it to give the object's real height; else Perpetua guesses from the material",
        get=_knows_height,
        set=_know_height,
    )
    outline: BoolProperty(
        name="Clicks Outline It",
        description="The clicks are the corners of its outline, in their order: for glass, and for what looks like what is behind it",
        default=False,
    )
    resting: BoolProperty(
        name="Rests on the Table",
        description="Off for an object that hangs in the air in the picture",
        default=True,
    )
    held: BoolProperty(
        name="Held at the Top",
        description="Cloth that hangs is held at its highest points; off lets it fall",
        default=True,
    )
    regions: CollectionProperty(type=PerpetuaRegion)
    region_index: IntProperty(name="Part", description="The chosen part")


class PerpetuaOption(bpy.types.PropertyGroup):
    """An option of a refiner. Its ``name`` is the group's own."""

    value: StringProperty(name="Value", description="A number, true, false, or words")


CLASSES = (
    PerpetuaClick,
    PerpetuaChange,
    PerpetuaRegion,
    PerpetuaThing,
    PerpetuaOption,
)
