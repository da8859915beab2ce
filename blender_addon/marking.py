"""Marking objects in the picture: points and boxes, and finding the pixel under the mouse."""

from __future__ import annotations

from pathlib import Path

import bpy

from perpetua_protocol.inputs import kind_of

from . import inputs
from .errors import AddonError
from .take_builder import picture_path

PICTURE_PART = 0.35
"""Share of the viewport's width that the picture takes when it is shown beside it."""
SMALLEST_BOX_PX = 4
"""Boxes below this are slips of the mouse."""


def picture_image(scene: bpy.types.Scene) -> bpy.types.Image:
    """The picture that objects are clicked in, as a Blender image. Raises ``AddonError`` when it cannot be read."""
    picture_path(scene)
    path = inputs.clicked_path(scene.perpetua)
    if path is None:
        raise AddonError("The splats have not been looked at yet; press Look.")
    return image_of(path)


def image_of(path: Path) -> bpy.types.Image:
    """A picture, or a video, as a Blender image. Raises ``AddonError`` when it cannot be read."""
    what = (
        "video Blender can read; use MP4"
        if kind_of(path.name) == "video"
        else "picture Blender can read; use PNG or JPEG"
    )
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise AddonError(f"{path.name} is no {what}.") from error
    if image.size[0] == 0 or image.size[1] == 0:
        raise AddonError(f"{path.name} is no {what}.")
    return image


def new_name(settings: bpy.types.PropertyGroup) -> str:
    """A name for one more object of the picture."""
    name, number = "object", 1
    while name in settings.things:
        number += 1
        name = f"object {number}"
    return name


def add_click(scene: bpy.types.Scene, name: str, x: float, y: float, inside: bool, region: str = "") -> None:
    """Add a click [px from the picture's top left] to the object ``name``, or to a part of it.

    The object is made if there is none. Raises ``AddonError`` for a click outside the picture or an unknown part.
    """
    width, height = picture_image(scene).size
    if not (0 <= x < width and 0 <= y < height):
        raise AddonError(f"The click at {x:g}, {y:g} is outside the picture ({width} x {height} pixels).")
    click = _made(scene, name, region).clicks.add()
    click.x, click.y, click.inside = x, y, inside


def set_box(
    scene: bpy.types.Scene, name: str, box: tuple[float, float, float, float], region: str = ""
) -> None:
    """Draw a box (two opposite corners: x, y, x, y [px from the picture's top left]) around an object or a part.

    Raises ``AddonError`` as ``add_click``, and for a box too small to hold anything.
    """
    width, height = picture_image(scene).size
    left, right = (min(max(x, 0.0), float(width)) for x in sorted((box[0], box[2])))
    top, bottom = (min(max(y, 0.0), float(height)) for y in sorted((box[1], box[3])))
    if right - left < SMALLEST_BOX_PX or bottom - top < SMALLEST_BOX_PX:
        raise AddonError("The box is too small or outside the picture; drag one around the whole object.")
    place = _made(scene, name, region)
    place.use_box, place.box = True, (left, top, right, bottom)


def marked(scene: bpy.types.Scene, name: str, region: str) -> bpy.types.PropertyGroup:
    """The object ``name``, or its part ``region``. Raises ``AddonError`` when there is none."""
    thing = scene.perpetua.things.get(name)
    if thing is None:
        raise AddonError(f"There is no object '{name}'; add it first.")
    part = thing.regions.get(region) if region else thing
    if part is None:
        raise AddonError(f"'{name}' has no part '{region}'; add it first.")
    return part


def _made(scene: bpy.types.Scene, name: str, region: str) -> bpy.types.PropertyGroup:
    """As ``marked``, but an object is made if there is none."""
    settings = scene.perpetua
    if not region and name.strip() and name not in settings.things:
        settings.things.add().name = name
        settings.thing_index = len(settings.things) - 1
    return marked(scene, name, region)


def show_picture(context: bpy.types.Context) -> None:
    """Show the picture in the window's Image Editors; beside the 3D viewport if there is none."""
    image = picture_image(context.scene)
    if context.screen is None:  # no window
        return
    if not any(area.type == "IMAGE_EDITOR" for area in context.screen.areas):
        _split_viewport(context)
    for area in context.screen.areas:
        if area.type == "IMAGE_EDITOR":
            area.spaces.active.image = image
            shown = area.spaces.active.image_user
            shown.frame_start, shown.frame_duration, shown.use_auto_refresh = (
                1,
                1,
                False,
            )  # of a video the first
            region = next(region for region in area.regions if region.type == "WINDOW")
            with context.temp_override(area=area, region=region):
                bpy.ops.image.view_all(fit_view=True)


def _split_viewport(context: bpy.types.Context) -> None:
    views = [area for area in context.screen.areas if area.type == "VIEW_3D"]
    if not views:
        raise AddonError("Open an Image Editor to click in, or type the pixel with Add Point.")
    largest = max(views, key=lambda area: area.width * area.height)
    before = set(context.screen.areas)
    with context.temp_override(area=largest):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=PICTURE_PART)
    made = next(area for area in context.screen.areas if area not in before)
    left = min((made, largest), key=lambda area: area.x)
    left.type = "IMAGE_EDITOR"


def place_in_picture(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float] | None:
    """Pixel under the mouse, from the picture's top left; None outside every Image Editor."""
    for area in context.screen.areas:
        if area.type != "IMAGE_EDITOR":
            continue
        region = next(region for region in area.regions if region.type == "WINDOW")
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        if 0 <= x < region.width and 0 <= y < region.height:
            u, v = region.view2d.region_to_view(x, y)
            width, height = picture_image(context.scene).size
            return u * width, (1 - v) * height
    return None
