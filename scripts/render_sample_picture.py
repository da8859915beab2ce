"""Render the sample picture the demo starts from: a ball of clay with finger dents on a wooden table.

    .venv-blender/bin/python scripts/render_sample_picture.py [--output examples/clay_ball.png] [--samples 40]

Everything in it is procedural (Cycles, CPU), so the project ships a picture of its own whose camera is known:
40 degrees horizontal field of view, looking 12 degrees down, 1280 x 704 pixels. The script prints where the table
ends in the picture and where the ball is, which are what the add-on's scene settings and the first click ask for.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector, noise

WIDTH, HEIGHT = 1280, 704
FOV_DEGREES = 40.0
PITCH_DEGREES = 12.0
CAMERA_HEIGHT = 0.19  # m above the table
CAMERA_DISTANCE = 0.56  # m from the ball, along the table
BALL_RADIUS = 0.042  # m
TABLE_BACK = 0.48  # m from the ball to the table's far edge

# Finger dents: direction from the ball's centre (x right, y away, z up), angular width [rad], depth [m].
DENTS = (
    ((-0.32, -0.84, 0.44), 0.30, 0.0062),
    ((0.42, -0.74, 0.52), 0.27, 0.0048),
    ((-0.05, -0.30, 0.95), 0.32, 0.0050),
    ((0.80, -0.55, -0.05), 0.34, 0.0040),
    ((0.16, -0.97, -0.12), 0.22, 0.0028),
)


class NodeGraph:
    """A material's or world's node tree, written as nested calls."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree
        self.tree.nodes.clear()

    def add(
        self, kind: str, inputs: dict[str | int, object] | None = None, **properties: object
    ) -> bpy.types.Node:
        """A node; an input may be a value or the output socket of another node."""
        node = self.tree.nodes.new(kind)
        for name, value in properties.items():
            setattr(node, name, value)
        for slot, value in (inputs or {}).items():
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, node.inputs[slot])
            else:
                node.inputs[slot].default_value = value
        return node

    def ramp(
        self, factor: bpy.types.NodeSocket, *stops: tuple[float, tuple[float, float, float]]
    ) -> bpy.types.NodeSocket:
        """A colour ramp through (position, linear RGB) stops."""
        node = self.add("ShaderNodeValToRGB", {"Fac": factor})
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1.0)
        return node.outputs["Color"]


def material(name: str) -> tuple[bpy.types.Material, NodeGraph]:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    return made, NodeGraph(made.node_tree)


def surface(graph: NodeGraph, shader: bpy.types.Node) -> None:
    graph.add("ShaderNodeOutputMaterial", {"Surface": shader.outputs[0]})


def plain(
    name: str, colour: tuple[float, float, float], roughness: float = 0.6, glow: float = 0.0
) -> bpy.types.Material:
    made, graph = material(name)
    inputs: dict[str | int, object] = {"Base Color": (*colour, 1), "Roughness": roughness}
    if glow:
        inputs |= {"Emission Color": (*colour, 1), "Emission Strength": glow}
    surface(graph, graph.add("ShaderNodeBsdfPrincipled", inputs))
    return made


def clay() -> bpy.types.Material:
    """Matt modelling clay: slow colour drift, a soft sheen, and the fine grain of worked clay as bump."""
    made, graph = material("clay")
    where = graph.add("ShaderNodeTexCoord").outputs["Object"]
    drift = graph.add("ShaderNodeTexNoise", {"Vector": where, "Scale": 38.0, "Detail": 5.0}).outputs["Fac"]
    colour = graph.ramp(drift, (0.30, (0.020, 0.155, 0.215)), (0.72, (0.040, 0.245, 0.310)))
    grain = graph.add("ShaderNodeTexNoise", {"Vector": where, "Scale": 420.0, "Detail": 6.0}).outputs["Fac"]
    smears = graph.add(
        "ShaderNodeTexNoise", {"Vector": where, "Scale": 70.0, "Detail": 3.0, "Distortion": 1.2}
    )
    coarse = graph.add(
        "ShaderNodeBump", {"Height": smears.outputs["Fac"], "Strength": 0.30, "Distance": 0.004}
    )
    fine = graph.add(
        "ShaderNodeBump",
        {"Height": grain, "Strength": 0.22, "Distance": 0.0012, "Normal": coarse.outputs["Normal"]},
    )
    shader = graph.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": 0.52,
            "Normal": fine.outputs["Normal"],
            "Subsurface Weight": 0.12,
            "Subsurface Radius": (0.002, 0.004, 0.005),
            "Specular IOR Level": 0.42,
        },
    )
    surface(graph, shader)
    return made


def wood() -> bpy.types.Material:
    """Oiled oak planks along x: stretched noise for the grain, darker pores, a thin seam between planks."""
    made, graph = material("wood")
    where = graph.add("ShaderNodeTexCoord").outputs["Object"]
    planks_at = graph.add("ShaderNodeMapping", {"Vector": where, "Location": (0.62, 0.055, 0.0)}).outputs[0]
    planks = graph.add(
        "ShaderNodeTexBrick",
        {
            "Vector": planks_at,
            "Scale": 1.0,
            "Mortar Size": 0.0011,
            "Mortar Smooth": 0.6,
            "Brick Width": 1.7,
            "Row Height": 0.135,
            "Color1": (0.0, 0.0, 0.0, 1),
            "Color2": (1.0, 1.0, 1.0, 1),
            "Mortar": (0.5, 0.5, 0.5, 1),
        },
        offset=0.37,
    )
    own = graph.add(
        "ShaderNodeVectorMath", {0: planks.outputs["Color"], 1: (7.3, 3.1, 0.0)}, operation="MULTIPLY"
    )
    shifted = graph.add("ShaderNodeVectorMath", {0: where, 1: own.outputs[0]}, operation="ADD").outputs[0]
    along = graph.add("ShaderNodeMapping", {"Vector": shifted, "Scale": (1.1, 17.0, 1.0)}).outputs[0]
    rings = graph.add(
        "ShaderNodeTexNoise", {"Vector": along, "Scale": 2.6, "Detail": 8.0, "Distortion": 0.9}
    ).outputs["Fac"]
    thin = graph.add("ShaderNodeMapping", {"Vector": shifted, "Scale": (7.0, 260.0, 1.0)}).outputs[0]
    pores = graph.add("ShaderNodeTexNoise", {"Vector": thin, "Scale": 2.2, "Detail": 3.0}).outputs["Fac"]
    base = graph.ramp(
        rings, (0.22, (0.150, 0.058, 0.022)), (0.48, (0.310, 0.140, 0.055)), (0.78, (0.455, 0.235, 0.105))
    )
    dark = graph.ramp(pores, (0.34, (0.55, 0.50, 0.46)), (0.52, (1.0, 1.0, 1.0)))
    grained = graph.add(
        "ShaderNodeMix", {0: 0.75, 6: base, 7: dark}, data_type="RGBA", blend_type="MULTIPLY"
    ).outputs[2]
    plank_tone = graph.ramp(planks.outputs["Color"], (0.0, (0.82, 0.80, 0.80)), (1.0, (1.0, 1.0, 1.0)))
    toned = graph.add(
        "ShaderNodeMix", {0: 1.0, 6: grained, 7: plank_tone}, data_type="RGBA", blend_type="MULTIPLY"
    ).outputs[2]
    seamed = graph.add(
        "ShaderNodeMix", {0: planks.outputs["Fac"], 6: toned, 7: (0.045, 0.018, 0.008, 1)}, data_type="RGBA"
    ).outputs[2]
    relief = graph.add("ShaderNodeBump", {"Height": pores, "Strength": 0.10, "Distance": 0.0008})
    sheen = graph.add("ShaderNodeMapRange", {"Value": rings, "To Min": 0.34, "To Max": 0.50}).outputs[0]
    shader = graph.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": seamed,
            "Roughness": sheen,
            "Normal": relief.outputs["Normal"],
            "Specular IOR Level": 0.45,
        },
    )
    surface(graph, shader)
    return made


def place(made: bpy.types.Object, made_of: bpy.types.Material) -> bpy.types.Object:
    made.data.materials.append(made_of)
    return made


def box(
    centre: tuple[float, float, float], size: tuple[float, float, float], made_of: bpy.types.Material
) -> None:
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=centre)
    bpy.context.object.scale = size
    place(bpy.context.object, made_of)


def add_ball() -> bpy.types.Object:
    """The ball: an icosphere pressed by fingers, slightly slumped, flat where it rests on z = 0."""
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=7, radius=1.0)
    ball = bpy.context.object
    count = len(ball.data.vertices)
    flat = np.empty(count * 3, np.float32)
    ball.data.vertices.foreach_get("co", flat)
    unit = flat.reshape(-1, 3)
    lumps = np.array([noise.fractal(Vector(u * 1.7 + 3.0), 0.9, 2.0, 3) for u in unit], np.float32)
    radius = BALL_RADIUS * (1.0 + 0.030 * lumps)
    for direction, width, depth in DENTS:
        towards = np.array(direction) / np.linalg.norm(direction)
        angle = np.arccos(np.clip(unit @ towards, -1, 1)) / width
        radius -= depth * (
            np.exp(-(angle**2)) - 0.20 * np.exp(-((angle - 1.6) ** 2) / 0.35)
        )  # dent and its rim
    points = unit * radius[:, None]
    points[:, 2] *= 0.93  # clay slumps a little under its weight
    floor = points[:, 2].min() * 0.90
    below = points[:, 2] < floor + 0.004  # rounded into the flat it rests on
    points[below, 2] = floor + 0.004 * np.exp((points[below, 2] - floor - 0.004) / 0.004)
    points[:, 2] -= points[:, 2].min()
    ball.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
    ball.data.shade_smooth()
    ball.name = "clay ball"
    return place(ball, clay())


def add_table() -> None:
    depth = 1.6
    box((0, TABLE_BACK - depth / 2, -0.02), (2.6, depth, 0.04), wood())
    bevel = bpy.context.object.modifiers.new("edge", "BEVEL")
    bpy.ops.object.transform_apply(location=True, scale=True)
    bevel.width, bevel.segments = 0.008, 4


def add_room() -> None:
    """A room far out of focus: a wall, a bright window, shelves with pots; only its colours will be read.

    The camera looks down, so what shows above the table is what stands between the floor and the table's height.
    """
    wall_y = 2.4
    box((0, wall_y, 0.0), (6.0, 0.05, 4.0), plain("wall", (0.44, 0.36, 0.28), 0.9))
    frame, pane = plain("frame", (0.62, 0.54, 0.44)), plain("pane", (1.0, 0.86, 0.62), glow=1.5)
    for x in (-0.92, -0.56):
        for z in (-0.05, 0.33):
            box((x, wall_y - 0.04, z), (0.32, 0.02, 0.34), pane)
    for x in (-1.10, -0.74, -0.38):
        box((x, wall_y - 0.06, 0.1), (0.05, 0.05, 0.75), frame)
    box((-0.74, wall_y - 0.10, -0.26), (0.86, 0.14, 0.05), frame)
    board = plain("board", (0.20, 0.095, 0.042))
    for z in (-0.30, 0.01, 0.30):
        box((0.72, wall_y - 0.16, z), (1.25, 0.28, 0.035), board)
    pots = (
        (0.22, -0.30, 0.085, (0.52, 0.14, 0.07)), (0.47, -0.30, 0.07, (0.72, 0.60, 0.42)), (0.74, -0.30, 0.10, (0.62, 0.33, 0.10)),
        (1.08, -0.30, 0.08, (0.10, 0.20, 0.13)), (0.28, 0.01, 0.08, (0.75, 0.66, 0.52)), (0.60, 0.01, 0.10, (0.60, 0.20, 0.12)),
        (0.94, 0.01, 0.07, (0.15, 0.20, 0.32)), (1.18, 0.01, 0.085, (0.66, 0.45, 0.20)),
    )  # fmt: skip
    for index, (x, z, radius, colour) in enumerate(pots):
        bpy.ops.mesh.primitive_cylinder_add(radius=radius, depth=0.18, location=(x, wall_y - 0.18, z + 0.11))
        place(bpy.context.object, plain(f"pot {index}", colour, 0.5))
    leaf = plain("leaf", (0.060, 0.16, 0.045), 0.55)
    rng = np.random.default_rng(4)
    for _ in range(30):
        spread = rng.normal(size=3) * (0.11, 0.08, 0.10)
        bpy.ops.mesh.primitive_uv_sphere_add(
            radius=0.05,
            location=(-0.10 + spread[0], 1.9 + spread[1], 0.02 + spread[2]),
            segments=12,
            ring_count=8,
        )
        bpy.context.object.scale = (1.0, 0.5, 1.3)
        place(bpy.context.object, leaf)
    box((-0.10, 1.9, -0.24), (0.20, 0.20, 0.26), plain("planter", (0.42, 0.17, 0.09), 0.7))


def add_light(
    name: str, location: Vector, target: Vector, watts: float, size: float, colour: tuple[float, float, float]
) -> None:
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.energy, lamp.size, lamp.color = watts, size, colour
    lamp_object = bpy.data.objects.new(name, lamp)
    lamp_object.location = location
    lamp_object.rotation_euler = (target - location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(lamp_object)


def add_lights() -> None:
    ball = Vector((0, 0, BALL_RADIUS))
    add_light("key", Vector((-0.62, -0.30, 0.66)), ball, 13.0, 0.26, (1.0, 0.78, 0.55))
    add_light("fill", Vector((1.1, -0.9, 0.50)), ball, 2.6, 0.9, (0.74, 0.85, 1.0))
    add_light("rim", Vector((0.40, 0.62, 0.70)), ball, 3.5, 0.30, (1.0, 0.86, 0.68))
    add_light("room", Vector((0.5, 1.0, 1.6)), Vector((0.5, 2.4, -0.1)), 30.0, 1.2, (1.0, 0.84, 0.64))
    world = bpy.data.worlds.new("room light")
    world.use_nodes = True
    graph = NodeGraph(world.node_tree)
    sky = graph.add("ShaderNodeBackground", {"Color": (0.60, 0.58, 0.55, 1), "Strength": 0.16})
    graph.add("ShaderNodeOutputWorld", {"Surface": sky.outputs[0]})
    bpy.context.scene.world = world


def add_camera() -> bpy.types.Object:
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.lens_unit = "HORIZONTAL", "FOV"
    camera.angle = math.radians(FOV_DEGREES)
    camera.dof.use_dof, camera.dof.focus_distance = (
        True,
        math.hypot(CAMERA_DISTANCE, CAMERA_HEIGHT) - BALL_RADIUS,
    )
    camera.dof.aperture_fstop = 2.0
    camera_object = bpy.data.objects.new("camera", camera)
    camera_object.location = (0, -CAMERA_DISTANCE, CAMERA_HEIGHT)
    camera_object.rotation_euler = (math.radians(90 - PITCH_DEGREES), 0, 0)
    bpy.context.collection.objects.link(camera_object)
    bpy.context.scene.camera = camera_object
    return camera_object


def render(output: Path, samples: int, percentage: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.seed = "CPU", samples, 1
    scene.cycles.use_denoising, scene.cycles.max_bounces = True, 6
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = percentage
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"
    scene.view_settings.exposure = 0.35
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    scene.render.image_settings.compression = 100
    scene.render.filepath = str(output)
    bpy.ops.render.render(write_still=True)


def pixel(camera: bpy.types.Object, point: tuple[float, float, float]) -> tuple[float, float]:
    """Where a point [m] lies in the picture, pixels from its top left corner."""
    view = world_to_camera_view(bpy.context.scene, camera, Vector(point))
    return round(view.x * WIDTH, 1), round((1 - view.y) * HEIGHT, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("examples/clay_ball.png"))
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--percentage", type=int, default=100, help="of the full size, for a quick look")
    arguments = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    ball = add_ball()
    add_table()
    add_room()
    add_lights()
    camera = add_camera()
    render(arguments.output.resolve(), arguments.samples, arguments.percentage)
    bpy.context.view_layer.update()
    print(
        f"ball: height {ball.dimensions.z:.4f} m, width {ball.dimensions.x:.4f} m, centre at pixel {pixel(camera, (0, 0, BALL_RADIUS))}"
    )
    print(
        f"table edge: row {pixel(camera, (0, TABLE_BACK, 0))[1]}; horizontal field of view {FOV_DEGREES:g}, pitch {PITCH_DEGREES:g} degrees"
    )


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender's wheel can hang while its interpreter shuts down
