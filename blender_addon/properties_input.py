"""What a scene keeps of its input besides the picture's path: further files, scale, and the view that is clicked in."""

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
    IntVectorProperty,
    StringProperty,
)

RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"}
UP = (
    ("AUTO", "Found", "The largest surface below the objects is level"),
    ("Z", "Z", "As in Blender"),
    ("-Z", "-Z", "Upside down"),
    ("Y", "Y", "As in many viewers"),
    ("-Y", "-Y", "As in most captures: the cameras' y axis looks down"),
    ("X", "X", "The first axis"),
    ("-X", "-X", "Against the first axis"),
)

DEPTHS = (
    ("none", "Nobody", "The table and the object's outline say it; needs no weights"),
    ("depth_anything_3", "Depth Anything 3", "Needs its weights in the backend's models folder"),
    ("depth_anything_v2", "Depth Anything V2", "Needs its weights in the backend's models folder"),
    ("depth_pro", "Depth Pro", "Finds the lens too; needs its weights in the backend's models folder"),
    (
        "moge",
        "MoGe 2",
        "Finds the lens too; needs its weights in the backend's models folder, and its package",
    ),
)
SEGMENTERS = (
    ("grabcut", "Colours and Edges", "A click grows as far as colours and edges allow; needs no weights"),
    (
        "sam2",
        "SAM 2",
        "Finds pale objects too, and follows them through a video; needs its weights in the backend's models folder",
    ),
)


class PerpetuaView(bpy.types.PropertyGroup):
    """A further picture of the same scene; its name is that of its file beside the picture."""


class PerpetuaInput(bpy.types.PropertyGroup):
    """What belongs to the picture, the capture, the video or the splats that a take starts from."""

    front: StringProperty(
        name="Clicked Picture",
        description="The picture that objects are clicked in, where that is not the input itself",
        subtype="FILE_PATH",
        options=RELATIVE,
    )
    views: CollectionProperty(type=PerpetuaView)
    depth: StringProperty(
        name="Depth Map",
        description="The picture's depth map, beside it: EXR in metres along the view, or 16-bit PNG in millimetres; none if empty",
        subtype="FILE_PATH",
        options=RELATIVE,
    )
    depth_estimator: EnumProperty(
        name="Depth By", description="Who says how far away everything in the picture is", items=DEPTHS
    )
    segmenter: EnumProperty(
        name="Objects By", description="Who finds an object around its clicks and boxes", items=SEGMENTERS
    )
    has_masks: BoolProperty(description="The capture has masks, so its objects need no click")
    video_frames: IntProperty(
        name="Frames Used", description="Frames of the video to look at, at most", default=32, min=8, max=200
    )
    metres_per_unit: FloatProperty(
        name="Metres per Unit",
        description="Real size of the input's unit of length; 0 goes by an object's height, or by its material",
        min=0.0,
        precision=4,
    )
    up: EnumProperty(
        name="Up",
        description="Which axis of the splats' file points up. If they lie askew, choose another and look again",
        items=UP,
    )
    look_matrix: FloatVectorProperty(
        size=16,
        description="Matrix, by rows, of the camera that the splats are clicked through, in their own axes",
    )
    look_fov: FloatProperty(description="Its horizontal field of view, degrees; 0 while there is none")
    look_size: IntVectorProperty(size=2, description="Width and height of its picture, pixels")


CLASSES = (PerpetuaView, PerpetuaInput)
