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

from . import clouds, display, frames, native_splats, playback, redraw, session
from .materials import POURED
from .properties_input import CLASSES as INPUT_CLASSES
from .properties_input import PerpetuaInput
from .properties_objects import CLASSES as OBJECT_CLASSES
from .properties_objects import PerpetuaOption, PerpetuaThing


def _show_frame(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    settings.id_data.frame_set(settings.id_data.frame_current)


def _redraw_views(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    redraw.views()


def _change_display(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    if native_splats.known():
        frames.forget_colours()  # Blender's own splats hold some turned (``frames``)
        _show_frame(settings, context)
    display.apply(settings.id_data)
    redraw.views()


def _select_force(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Choosing a force in the list chooses its object, so that it can be moved at once."""
    if not 0 <= settings.force_index < len(settings.forces) or context.mode != "OBJECT":
        return
    carrier = settings.forces[settings.force_index].object
    layer = context.view_layer
    if carrier is None or carrier.name not in layer.objects or not carrier.visible_get():
        return
    for selected in list(layer.objects.selected):
        selected.select_set(False)
    carrier.select_set(True)
    layer.objects.active = carrier


def _only_one_front(entry: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A take has one front view: the one before becomes a side view."""
    if entry.role != "front":
        return
    for other in entry.id_data.perpetua.cameras:
        if other != entry and other.role == "front":
            other.role = "side"


def _compare(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    playback.compare(settings.id_data)
    redraw.views()


def _fit_timeline(turn: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    scene = turn.id_data
    end = scene.frame_start + scene.perpetua.frame_offset + sum(r.frames for r in scene.perpetua.rounds)
    scene.frame_end = max(scene.frame_start, end)


def _refiners(owner: bpy.types.PropertyGroup, context: bpy.types.Context, typed: str) -> list[str]:
    return [name for name in session.current().refiners if typed.lower() in name]


def _other_takes(settings: bpy.types.PropertyGroup, scene: bpy.types.Scene) -> bool:
    return scene != settings.id_data and bool(scene.perpetua.cache_folder)


QUALITIES = (
    ("preview", "Preview", "Small and quick: to see what the forces do"),
    ("final", "Final", "The full take"),
)
IDENTIFY = (
    ("off", "No", "The materials stay as they are"),
    (
        "offer",
        "Offer",
        "What is found stands in the round, to be used or not",
    ),
    ("accept", "Accept", "What is found is used from the round on in which it was found"),
)
ROLES = (
    ("front", "Front", "The picture's own view"),
    ("side", "Side", "A view that the round corrects as well"),
)


class _Carried:
    """An entry of a list that stands for an object of the scene."""

    @property
    def there(self) -> bool:
        """Whether its object is in the scene. Blender keeps one that was deleted as long as an entry points to it."""
        carrier = self.object  # type: ignore[attr-defined]
        return carrier is not None and self.id_data in carrier.users_scene  # type: ignore[attr-defined]


class PerpetuaForce(_Carried, bpy.types.PropertyGroup):
    """An action: the object in the scene that carries it (``object``), switched on or off."""

    object: PointerProperty(type=bpy.types.Object, description="The object that carries the force")
    enabled: BoolProperty(name="On", description="Whether it acts in the next bake", default=True)
    targets: StringProperty(
        name="Objects", description="Names of the objects it acts on, with commas; empty is all"
    )
    material: EnumProperty(
        name="Material", description="What an emitter lets out", items=POURED, default="water"
    )
    use_colour: BoolProperty(
        name="Own Colour",
        description="Off takes the colour of an object of the same material, or one that suits it",
    )
    colour: FloatVectorProperty(
        name="Colour",
        description="Colour of what an emitter lets out",
        subtype="COLOR_GAMMA",
        size=3,
        min=0.0,
        max=1.0,
        default=(0.55, 0.75, 0.85),
    )


class PerpetuaCamera(_Carried, bpy.types.PropertyGroup):
    """A view of the take: a camera object and its role."""

    object: PointerProperty(type=bpy.types.Object, description="The camera")
    placed: FloatVectorProperty(size=17, description="Where Perpetua put it: matrix by rows, degrees")
    orbit: FloatProperty(
        description="Where it stands on the orbit around the objects while it is not moved, degrees"
    )
    role: EnumProperty(
        name="Role", description="What the view is for", items=ROLES, default="side", update=_only_one_front
    )


class PerpetuaRound(bpy.types.PropertyGroup):
    """A stretch of the take."""

    frames: IntProperty(
        name="Frames",
        description="How long the round is",
        min=1,
        max=100_000,
        default=36,
        update=_fit_timeline,
    )
    draw: IntProperty(
        name="Draw",
        description="Another number bakes the round anew with other random choices of the video model",
        min=0,
    )
    use_refiner: BoolProperty(
        name="Own Refiner", description="Refine this round otherwise than the take says"
    )
    refiner: StringProperty(
        name="Refiner", description="Video refiner of this round", default="none", search=_refiners
    )
    options: CollectionProperty(type=PerpetuaOption)


class PerpetuaSettings(bpy.types.PropertyGroup):
    """Everything of a scene's take. Pixels count from the picture's top left corner; 0 means that Perpetua guesses."""

    take_name: StringProperty(name="Take", description="Name of the take and of its cache", default="take")
    picture: StringProperty(
        name="Picture",
        description="The picture to play on; or a video, splats, or a capture's transforms.json",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    input: PointerProperty(type=PerpetuaInput, description="What belongs to it")
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
    thing_index: IntProperty(name="Object", description="The chosen object")
    forces: CollectionProperty(type=PerpetuaForce)
    force_index: IntProperty(name="Force", description="The chosen force", update=_select_force)
    effectors: PointerProperty(
        name="Effector Collection",
        description="Only forces whose objects lie in this collection act; empty is all of the list",
        type=bpy.types.Collection,
    )
    cameras: CollectionProperty(type=PerpetuaCamera)
    camera_index: IntProperty(name="Camera", description="The chosen camera")
    rounds: CollectionProperty(type=PerpetuaRound)
    round_index: IntProperty(name="Round", description="The chosen round")

    quality: EnumProperty(
        name="Quality", description="How much to spend on a bake", items=QUALITIES, default="final"
    )
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
        description="Rendered frames the correction may spend on each pass, four a frame if that is more; 0 takes the quality's",
        min=0,
    )
    refiner: StringProperty(
        name="Refiner",
        description="Video model that corrects what is simulated, by its name in the backend; none changes nothing",
        default="none",
        search=_refiners,
    )
    identify: EnumProperty(
        name="Ask the Videos",
        description="Whether the refined videos are asked what stiffness, friction, viscosity or wind they speak for",
        items=IDENTIFY,
        default="offer",
    )
    refiner_options: CollectionProperty(type=PerpetuaOption)
    seed: IntProperty(name="Seed", description="Another number draws other random choices", min=0)

    bake_folder: StringProperty(
        name="Bake to",
        description="Folder for the baked take; empty is //cache/<file>/<take> beside the .blend",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    job: StringProperty(name="Job", description="The bake that was paused or left running")
    job_rounds: IntProperty(name="Rounds", description="How many rounds that bake goes through")
    cache_folder: StringProperty(
        name="Cache",
        description="Folder of the baked take that is played",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    frame_offset: IntProperty(
        name="Offset", description="Frames the playback is moved by", update=_show_frame
    )
    speed: FloatProperty(
        name="Speed",
        description="Frames of the take for each frame of the timeline: 0.5 is slow motion, negative plays backwards",
        default=1.0,
        soft_min=-4.0,
        soft_max=4.0,
        update=_show_frame,
    )
    loop: BoolProperty(name="Loop", description="Begin again when the take has ended", update=_show_frame)
    display: EnumProperty(
        name="Display",
        description="How the take is shown in the viewport, and what Cycles and EEVEE render",
        items=display.items,
        update=_change_display,
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
    show_splats: BoolProperty(
        name="Moving Splats", description="Show what moves", default=True, update=_change_display
    )
    show_background: BoolProperty(
        name="Background", description="Show what stands still", default=True, update=_change_display
    )
    show_forces: BoolProperty(
        name="Forces",
        description="Arrows, reach and time of every force; dim while it does not act",
        default=True,
        update=_redraw_views,
    )
    show_table: BoolProperty(
        name="Table", description="The plane that objects rest on", default=True, update=_redraw_views
    )
    show_bounds: BoolProperty(
        name="Bounds",
        description="Boxes around all that moves, as it is in the picture, and around the space in which the round that plays computes soft matter",
        default=False,
        update=_redraw_views,
    )
    show_gravity: BoolProperty(
        name="Gravity", description="An arrow for the scene's gravity", default=False, update=_redraw_views
    )
    compared: PointerProperty(
        name="Compare with",
        description="Another scene's take, shown beside this one",
        type=bpy.types.Scene,
        poll=_other_takes,
        update=_compare,
    )
    compare_distance: FloatProperty(
        name="Beside by",
        description="How far to the right the other take is shown; 0 lays it over this one",
        unit="LENGTH",
        default=0.3,
        update=_compare,
    )
    mesh_scene: PointerProperty(
        name="Meshes", description="The scene whose engine draws the meshes of this one", type=bpy.types.Scene
    )
    splats_name: StringProperty(description="Name of the points of what moves")
    background_name: StringProperty(description="Name of the points of what stands still")
    compared_name: StringProperty(description="Name of the points of the other take")

    @property
    def splats(self) -> bpy.types.Object | None:
        """The points of what moves."""
        return clouds.find(self.id_data, self.splats_name, "splats")

    @splats.setter
    def splats(self, cloud: bpy.types.Object | None) -> None:
        self.splats_name = clouds.mark(cloud, "splats")

    @property
    def background(self) -> bpy.types.Object | None:
        """The points of what stands still."""
        return clouds.find(self.id_data, self.background_name, "background")

    @background.setter
    def background(self, cloud: bpy.types.Object | None) -> None:
        self.background_name = clouds.mark(cloud, "background")

    @property
    def compared_splats(self) -> bpy.types.Object | None:
        """The points of the other take."""
        return clouds.find(self.id_data, self.compared_name, "compared")

    @compared_splats.setter
    def compared_splats(self, cloud: bpy.types.Object | None) -> None:
        self.compared_name = clouds.mark(cloud, "compared")


CLASSES = (
    *INPUT_CLASSES,
    *OBJECT_CLASSES,
    PerpetuaForce,
    PerpetuaCamera,
    PerpetuaRound,
    PerpetuaSettings,
)
