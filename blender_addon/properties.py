"""What Perpetua keeps in a scene, and so in the .blend: the picture, its objects, forces, cameras, rounds, settings."""

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
    PointerProperty,
    StringProperty,
)

MATERIALS = (
    ("clay", "Clay", "Keeps every dent"),
    ("plasticine", "Plasticine", "Firm, keeps every dent"),
    ("dough", "Dough", "Soft, keeps its shape after a while"),
    ("mud", "Mud", "Sags slowly"),
    ("butter", "Butter", "Can be cut and spread"),
    ("cream", "Whipped Cream", "Light, holds its peaks"),
    ("jelly", "Jelly", "Wobbles and comes back"),
    ("rubber", "Rubber", "Stiff and bouncy"),
    ("foam", "Foam", "A light sponge"),
    ("snow", "Snow", "Packs and crumbles"),
    ("sand", "Dry Sand", "Loose grains"),
    ("wet sand", "Wet Sand", "Holds a castle, breaks in lumps"),
    ("sugar", "Sugar", "Loose light grains"),
    ("jam", "Jam", "A thick liquid"),
    ("honey", "Honey", "A slow liquid"),
    ("chocolate", "Melted Chocolate", "A smooth liquid"),
    ("oil", "Oil", "A liquid that clings"),
    ("milk", "Milk", "A thin liquid"),
    ("water", "Water", "A thin liquid"),
    ("wood", "Wood", "Rigid and light"),
    ("porcelain", "Porcelain", "Rigid and heavy"),
    ("glass", "Glass", "Rigid and smooth"),
    ("metal", "Metal", "Rigid and very heavy"),
    ("stone", "Stone", "Rigid, heavy and rough"),
    ("plastic", "Hard Plastic", "Rigid and light, bounces"),
    ("cotton", "Cotton", "Cloth that drapes"),
    ("silk", "Silk", "Light flowing cloth"),
    ("denim", "Denim", "Stiff heavy cloth"),
    ("steam", "Steam", "Rises"),
    ("smoke", "Smoke", "Rises"),
)


def _show_frame(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    settings.id_data.frame_set(settings.id_data.frame_current)


def _redraw_views(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


QUALITIES = (
    ("preview", "Preview", "Small and quick: to see what the forces do"),
    ("final", "Final", "The full take"),
)
ROLES = (
    ("front", "Front", "The picture's own view"),
    ("side", "Side", "A view that the round corrects as well"),
)


class PerpetuaClick(bpy.types.PropertyGroup):
    """A point in the picture, pixels from its top left corner."""

    x: FloatProperty(name="X", description="Pixels from the picture's left edge", min=0.0)
    y: FloatProperty(name="Y", description="Pixels from the picture's top edge", min=0.0)
    inside: BoolProperty(
        name="Inside", description="On the object, or on what is not the object", default=True
    )


class PerpetuaThing(bpy.types.PropertyGroup):
    """An object of the picture that will move. Its ``name`` is the group's own."""

    clicks: CollectionProperty(type=PerpetuaClick)
    material: EnumProperty(name="Material", items=MATERIALS, default="clay")
    height: FloatProperty(
        name="Height",
        description="Real height of the object; 0 lets Perpetua guess from the material",
        unit="LENGTH",
        min=0.0,
        soft_max=1.0,
        precision=3,
        default=0.0,
    )
    resting: BoolProperty(
        name="Resting", description="Off for an object that hangs in the air in the picture", default=True
    )


class PerpetuaForce(bpy.types.PropertyGroup):
    """A force: an empty in the scene (``object``), switched on or off."""

    object: PointerProperty(type=bpy.types.Object)
    enabled: BoolProperty(name="On", default=True)
    targets: StringProperty(
        name="Objects", description="Names of the objects it acts on, with commas; empty is all"
    )


class PerpetuaCamera(bpy.types.PropertyGroup):
    """A view of the take: a camera object and its role."""

    object: PointerProperty(type=bpy.types.Object)
    placed: FloatVectorProperty(size=17, description="Where Perpetua put it: matrix by rows, degrees")
    role: EnumProperty(name="Role", items=ROLES, default="side")


class PerpetuaRound(bpy.types.PropertyGroup):
    """A stretch of the take."""

    frames: IntProperty(name="Frames", min=1, max=100_000, default=36)


class PerpetuaSettings(bpy.types.PropertyGroup):
    """Everything of a scene's take. Pixels count from the picture's top left corner; 0 means that Perpetua guesses."""

    take_name: StringProperty(name="Take", description="Name of the take and of its cache", default="take")
    picture: StringProperty(
        name="Picture",
        description="The picture to play on",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    horizontal_fov: FloatProperty(
        name="Field of View",
        description="Horizontal field of view of the picture, degrees; 0 reads it from the file or takes 40",
        min=0.0,
        max=170.0,
    )
    pitch: FloatProperty(
        name="Looks Down",
        description="How far the picture's camera looks down, degrees; 0 uses the horizon, or a guess",
        min=0.0,
        max=89.0,
    )
    use_horizon: BoolProperty(name="Horizon", description="Say where the picture's horizon is")
    horizon_y: FloatProperty(
        name="Horizon Row", description="Picture row of the horizon; may lie outside the picture"
    )
    table_edge_y: FloatProperty(
        name="Table Edge Row",
        description="Picture row where the table ends; 0 lets Perpetua find it",
        min=0.0,
    )

    things: CollectionProperty(type=PerpetuaThing)
    thing_index: IntProperty()
    forces: CollectionProperty(type=PerpetuaForce)
    force_index: IntProperty()
    cameras: CollectionProperty(type=PerpetuaCamera)
    camera_index: IntProperty()
    rounds: CollectionProperty(type=PerpetuaRound)
    round_index: IntProperty()

    quality: EnumProperty(name="Quality", items=QUALITIES, default="final")
    particles: IntProperty(
        name="Particles", description="Particles to aim at; 0 takes the quality's", min=0, soft_max=100_000
    )
    video_width: IntProperty(
        name="Video Width",
        description="Width the loop works at, pixels; 0 takes the quality's",
        min=0,
        max=4096,
    )
    splat_width: IntProperty(
        name="Splat Width",
        description="Picture width the splats carry, pixels; 0 takes the quality's",
        min=0,
        max=8192,
    )
    optimise_renders: IntProperty(
        name="Correction Renders",
        description="Rendered frames the correction may spend on each pass; 0 takes the quality's",
        min=0,
    )
    refiner: StringProperty(
        name="Refiner", description="Video refiner of the backend, or none", default="none"
    )
    seed: IntProperty(name="Seed", min=0)

    bake_folder: StringProperty(
        name="Bake to",
        description="Folder for the baked take; empty is //cache/<take> beside the .blend",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    cache_folder: StringProperty(
        name="Cache",
        description="Folder of the baked take",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    frame_offset: IntProperty(
        name="Offset", description="Frames the playback is moved by", update=_show_frame
    )
    density: FloatProperty(
        name="Density",
        description="Part of the splats the viewport draws (renders draw all)",
        min=0.01,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
        update=_redraw_views,
    )
    show_splats: BoolProperty(name="Splats in Viewport", default=True, update=_redraw_views)
    show_background: BoolProperty(name="Background in Viewport", default=True, update=_redraw_views)
    splats: PointerProperty(type=bpy.types.Object)
    background: PointerProperty(type=bpy.types.Object)


CLASSES = (
    PerpetuaClick,
    PerpetuaThing,
    PerpetuaForce,
    PerpetuaCamera,
    PerpetuaRound,
    PerpetuaSettings,
)
