"""Render the scenes whose truth is known, for `perpetua evaluate reconstruct`.

    .venv-blender/bin/python scripts/render_truth_scenes.py --scene clay_ball --out out/truth/clay_ball [--width 240] [--views 24] [--grain]

Each is made of procedural meshes and materials and rendered by Cycles from a ring of cameras (render_ring.py), with views held out
for the test, a front view and two at 20 degrees to its sides. Beside the pictures lies the truth: ``truth.json`` and the closed
surface of every object (``truth/<object>.obj``, metres). ``--grain`` paints everything with a fine pattern, on which cameras can be found.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector, noise

sys.path.insert(0, str(Path(__file__).resolve().parent))
from render_ring import Shot, looking, render, ring

FOV = math.radians(40.0)
SIDE_DEGREES = 20.0
FRONT_ELEVATION_DEGREES = 14.0
GRAIN_M = 0.03
"""Size of the pattern of ``--grain``, in radii of the ring."""
TABLE_M = 1.1
"""Radius of the table, in radii of the ring."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Truth:
    """objects: the meshes of each, the first its closed surface.  radius: m from the objects to the cameras."""

    objects: dict[str, list[bpy.types.Object]]
    materials: dict[str, str]
    hanging: tuple[str, ...]
    centre: Vector
    radius: float
    thickness: dict[str, float] = field(default_factory=dict)
    """m, of cloth."""


def mesh(
    name: str, vertices: np.ndarray, faces: list[tuple[int, ...]], smooth: bool = True
) -> bpy.types.Object:
    data = bpy.data.meshes.new(name)
    data.from_pydata([tuple(v) for v in vertices], [], faces)
    data.validate()
    if smooth:
        data.shade_smooth()
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    return made


def patterned(
    name: str, first: Colour, second: Colour, scale: float, kind: str = "noise", roughness: float = 0.75
) -> bpy.types.Material:
    """A matt material of two colours: slow noise, or a chequer."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = roughness
    where = tree.nodes.new("ShaderNodeTexCoord")
    if kind == "checker":
        texture = tree.nodes.new("ShaderNodeTexChecker")
        texture.inputs["Color1"].default_value, texture.inputs["Color2"].default_value = (
            (*first, 1),
            (*second, 1),
        )
        texture.inputs["Scale"].default_value = scale
        tree.links.new(where.outputs["Object"], texture.inputs["Vector"])
        tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
        return made
    texture = tree.nodes.new("ShaderNodeTexNoise")
    texture.inputs["Scale"].default_value, texture.inputs["Detail"].default_value = scale, 2.0
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    for element, position, colour in zip(ramp.color_ramp.elements, (0.35, 0.65), (first, second)):
        element.position, element.color = position, (*colour, 1)
    tree.links.new(where.outputs["Object"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Fac"], ramp.inputs["Fac"])
    tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    return made


def grained(material: bpy.types.Material, size: float) -> None:
    """Multiply a material's colour by a fine pattern of about ``size`` m that never repeats."""
    tree = material.node_tree
    shader = tree.nodes.get("Principled BSDF")
    if shader is None:
        return
    base = shader.inputs["Base Color"]
    where, texture, mixed = (
        tree.nodes.new(kind) for kind in ("ShaderNodeTexCoord", "ShaderNodeTexNoise", "ShaderNodeMix")
    )
    texture.inputs["Scale"].default_value, texture.inputs["Detail"].default_value = 1 / size, 6.0
    sharper = tree.nodes.new("ShaderNodeValToRGB")
    for element, position, level in zip(sharper.color_ramp.elements, (0.42, 0.58), (0.25, 1.0)):
        element.position, element.color = position, (level, level, level, 1)
    mixed.data_type, mixed.blend_type = "RGBA", "MULTIPLY"
    mixed.inputs["Factor"].default_value = 1.0
    colour, pattern = (socket for socket in mixed.inputs if socket.type == "RGBA")
    if base.is_linked:
        tree.links.new(base.links[0].from_socket, colour)
    else:
        colour.default_value = base.default_value
    tree.links.new(where.outputs["Object"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Fac"], sharper.inputs["Fac"])
    tree.links.new(sharper.outputs["Color"], pattern)
    tree.links.new(next(socket for socket in mixed.outputs if socket.type == "RGBA"), base)


def glass(name: str) -> bpy.types.Material:
    made = patterned(name, (1.0, 1.0, 1.0), (0.95, 1.0, 0.97), 5.0, roughness=0.0)
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Transmission Weight"].default_value = 1.0
    shader.inputs["IOR"].default_value = 1.15  # a thin wall bends light little
    return made


def turned(name: str, profile: list[tuple[float, float]], segments: int = 64) -> bpy.types.Object:
    """A closed solid of revolution about z through (radius, height) m from the bottom to the top."""
    angles = 2 * np.pi * np.arange(segments) / segments
    rows = [np.stack([r * np.cos(angles), r * np.sin(angles), np.full(segments, z)], 1) for r, z in profile]
    vertices = np.concatenate([*rows, [[0, 0, profile[0][1]], [0, 0, profile[-1][1]]]])
    bottom, top, last = len(vertices) - 2, len(vertices) - 1, (len(profile) - 1) * segments
    faces: list[tuple[int, ...]] = []
    for i in range(segments):
        j = (i + 1) % segments
        faces += [(bottom, j, i), (top, last + i, last + j)]
        for row in range(0, last, segments):
            faces.append((row + i, row + j, row + segments + j, row + segments + i))
    return mesh(name, vertices, faces)


def paint(thing: bpy.types.Object, made_of: bpy.types.Material) -> bpy.types.Object:
    thing.data.materials.clear()
    thing.data.materials.append(made_of)
    return thing


def sphere(name: str, shape: Callable[[np.ndarray], np.ndarray]) -> bpy.types.Object:
    """A closed mesh: ``shape`` takes unit vectors [N, 3] to places [N, 3] m."""
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=6, radius=1.0)
    made = bpy.context.object
    made.name = name
    unit = np.array([v.co[:] for v in made.data.vertices])
    made.data.vertices.foreach_set("co", shape(unit).astype(np.float32).ravel())
    made.data.shade_smooth()
    return made


def lumps(unit: np.ndarray, size: float, seed: float) -> np.ndarray:
    return np.array([noise.fractal(Vector(u * 1.8 + seed), 0.9, 2.0, 3) for u in unit]) * size


def clay_ball() -> Truth:
    dents = (
        ((-0.3, -0.8, 0.45), 0.32, 0.007),
        ((0.5, -0.7, 0.4), 0.28, 0.005),
        ((0.2, 0.8, 0.5), 0.35, 0.006),
    )

    def shape(unit: np.ndarray) -> np.ndarray:
        radius = 0.045 * (1 + lumps(unit, 0.03, 3.0))
        for direction, width, depth in dents:
            towards = np.array(direction) / np.linalg.norm(direction)
            radius = radius - depth * np.exp(-((np.arccos(np.clip(unit @ towards, -1, 1)) / width) ** 2))
        points = unit * radius[:, None]
        points[:, 2] = np.maximum(points[:, 2], -0.036) + 0.036  # flat where it rests
        return points

    ball = paint(sphere("ball", shape), patterned("clay", (0.03, 0.22, 0.30), (0.10, 0.38, 0.42), 30.0))
    return Truth({"ball": [ball]}, {"ball": "clay"}, (), Vector((0, 0, 0.04)), 0.32)


def cloth_on_a_line() -> Truth:
    across, down, thick = 41, 31, 0.02
    u, v = np.meshgrid(np.linspace(-1, 1, across), np.linspace(0, 1, down), indexing="ij")
    y = 0.035 * np.sin(4.2 * u + 0.8) * (0.35 + 0.65 * v) + 0.02 * v * np.sin(2 * u)
    sheet = np.stack([0.26 * u, y, 0.66 - 0.40 * v], -1).reshape(-1, 3)
    away = np.array([0.0, thick / 2, 0.0])
    vertices = np.concatenate([sheet - away, sheet + away])
    at = np.arange(across * down).reshape(across, down)
    a, b, c, d = (k.ravel() for k in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    rim = np.concatenate([at[:, 0], at[-1, 1:], at[-2::-1, -1], at[0, -2:0:-1]])
    n = across * down
    faces = [tuple(f) for f in np.stack([d, c, b, a], 1)] + [tuple(f) for f in np.stack([a, b, c, d], 1) + n]
    faces += [(p, q, q + n, p + n) for p, q in zip(rim, np.roll(rim, -1))]
    cloth = mesh("cloth", vertices, [tuple(int(i) for i in f) for f in faces])
    paint(cloth, patterned("linen", (0.70, 0.16, 0.12), (0.86, 0.80, 0.66), 14.0, "checker"))
    wood = patterned("pole", (0.20, 0.10, 0.05), (0.30, 0.17, 0.08), 20.0)
    for x in (-0.36, 0.36):
        pole = paint(turned("pole", [(0.012, 0.0), (0.012, 0.70)], 16), wood)
        pole.location = (x, 0, 0)
    line = paint(turned("line", [(0.004, -0.36), (0.004, 0.36)], 8), wood)
    line.rotation_euler, line.location = (0, math.pi / 2, 0), (0, 0.0, 0.675)
    return Truth(
        {"cloth": [cloth]}, {"cloth": "cotton"}, ("cloth",), Vector((0, 0, 0.42)), 1.35, {"cloth": thick}
    )


def sand_castle() -> Truth:
    parts = [turned("keep", [(0.075, 0), (0.066, 0.10), (0.066, 0.125)])]
    for index in range(8):
        angle = 2 * math.pi * index / 8
        bpy.ops.mesh.primitive_cube_add(
            size=0.022, location=(0.056 * math.cos(angle), 0.056 * math.sin(angle), 0.133)
        )
        bpy.context.object.rotation_euler = (0, 0, angle)
        parts.append(bpy.context.object)
    for x, y in ((-0.10, -0.09), (0.10, -0.09), (-0.10, 0.09), (0.10, 0.09)):
        tower = turned("tower", [(0.036, 0), (0.031, 0.085), (0.042, 0.087), (0.006, 0.135)])
        tower.location = (x, y, 0)
        parts.append(tower)
    for size, place in (
        ((0.2, 0.03, 0.05), (0, -0.09, 0.025)), ((0.2, 0.03, 0.05), (0, 0.09, 0.025)),
        ((0.03, 0.18, 0.05), (-0.10, 0, 0.025)), ((0.03, 0.18, 0.05), (0.10, 0, 0.025)),
    ):  # fmt: skip
        bpy.ops.mesh.primitive_cube_add(size=1.0, location=place)
        bpy.context.object.scale = size
        parts.append(bpy.context.object)
    bpy.ops.object.select_all(action="DESELECT")
    for part in parts:
        part.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.join()
    castle = parts[0]
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    castle.name, castle.data.remesh_voxel_size = "castle", 0.0025
    bpy.ops.object.voxel_remesh()
    castle.data.shade_smooth()
    paint(castle, patterned("sand", (0.42, 0.29, 0.15), (0.62, 0.46, 0.27), 45.0))
    return Truth({"castle": [castle]}, {"castle": "sand"}, (), Vector((0, 0, 0.05)), 0.62)


def glass_jar() -> Truth:
    wall = [
        (0.034, 0),
        (0.037, 0.003),
        (0.038, 0.012),
        (0.038, 0.075),
        (0.036, 0.082),
        (0.030, 0.088),
        (0.030, 0.095),
    ]
    lid = [(0.033, 0.095), (0.033, 0.108), (0.031, 0.110)]
    jar = turned("jar", [*wall, *lid])
    jar.data.materials.append(glass("glass"))
    jar.data.materials.append(patterned("lid", (0.55, 0.40, 0.12), (0.70, 0.55, 0.22), 40.0, "checker"))
    middles = np.array([np.mean([jar.data.vertices[i].co.z for i in f.vertices]) for f in jar.data.polygons])
    jar.data.polygons.foreach_set("material_index", (middles > 0.0949).astype(np.int32))
    jam = turned("jam", [(0.031, 0.003), (0.0345, 0.006), (0.0352, 0.014), (0.0352, 0.062)])
    paint(jam, patterned("jam", (0.30, 0.015, 0.02), (0.50, 0.05, 0.04), 60.0))
    return Truth({"jar": [jar, jam]}, {"jar": "wood"}, (), Vector((0, 0, 0.05)), 0.40)


def rolling_pin_and_dough() -> Truth:
    def shape(unit: np.ndarray) -> np.ndarray:
        reach = 1 + lumps(unit, 0.05, 8.0)
        points = unit * reach[:, None] * np.array([0.11, 0.085, 0.036])
        points[:, 2] = np.maximum(points[:, 2], -0.012) + 0.012
        return points

    dough = paint(sphere("dough", shape), patterned("dough", (0.72, 0.58, 0.38), (0.86, 0.75, 0.56), 22.0))
    profile = [(0.008, -0.155), (0.013, -0.15), (0.013, -0.115), (0.008, -0.105), (0.026, -0.10), (0.026, 0.10), (0.008, 0.105),
               (0.013, 0.115), (0.013, 0.15), (0.008, 0.155)]  # fmt: skip
    pin = paint(turned("pin", profile), patterned("beech", (0.40, 0.20, 0.08), (0.58, 0.33, 0.15), 25.0))
    top = max(v.co.z for v in dough.data.vertices)
    pin.matrix_world = (
        Matrix.Translation((0.0, 0.0, top + 0.0265))
        @ Matrix.Rotation(0.5, 4, "Z")
        @ Matrix.Rotation(math.pi / 2, 4, "Y")
    )
    return Truth(
        {"dough": [dough], "pin": [pin]},
        {"dough": "dough", "pin": "wood"},
        ("pin",),
        Vector((0, 0, 0.04)),
        0.62,
    )


SCENES = {
    made.__name__: made
    for made in (clay_ball, cloth_on_a_line, sand_castle, glass_jar, rolling_pin_and_dough)
}


def stage(truth: Truth, samples: int) -> None:
    """The table, light, and a plain sky."""
    table = turned("table", [(TABLE_M * truth.radius, -0.03), (TABLE_M * truth.radius, 0.0)], 96)
    table.data.shade_flat()
    paint(table, patterned("table", (0.30, 0.17, 0.09), (0.45, 0.29, 0.17), 2.4 / truth.radius))
    for name, place, watts, size in (
        ("key", (-1.6, -1.2, 2.2), 34.0, 0.9),
        ("fill", (1.9, 0.5, 1.6), 12.0, 1.5),
    ):
        lamp = bpy.data.lights.new(name, "AREA")
        lamp.energy, lamp.size = watts * truth.radius**2 * 4, size * truth.radius
        made = bpy.data.objects.new(name, lamp)
        made.matrix_world = looking(truth.radius * Vector(place), truth.centre)
        bpy.context.scene.collection.objects.link(made)
    scene = bpy.context.scene
    world = scene.world or bpy.data.worlds.new("sky")
    scene.world = world
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value, sky.inputs["Strength"].default_value = (0.52, 0.60, 0.68, 1), 0.55
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.seed = "CPU", samples, 1
    scene.cycles.use_denoising, scene.cycles.max_bounces = True, 6
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.render.image_settings.compression = 90
    scene.view_settings.view_transform = "Standard"


def shots_of(truth: Truth, views: int, held_out: int) -> list[Shot]:
    up = math.radians(FRONT_ELEVATION_DEGREES)
    away = truth.radius * Vector((0, -math.cos(up), math.sin(up)))
    shots = []
    for name, role, degrees in (
        ("front_000", "front", 0.0),
        ("side_left", "side", -SIDE_DEGREES),
        ("side_right", "side", SIDE_DEGREES),
    ):
        place = truth.centre + Matrix.Rotation(math.radians(degrees), 3, "Z") @ away
        shots.append(Shot(name, looking(place, truth.centre), FOV, role))
    return (
        shots
        + ring(truth.centre, truth.radius, FOV, views)
        + ring(truth.centre, truth.radius, FOV, held_out, "test", 0.4)
    )


def write_truth(truth: Truth, out: Path) -> None:
    (out / "truth").mkdir(parents=True, exist_ok=True)
    graph = bpy.context.evaluated_depsgraph_get()
    for name, parts in truth.objects.items():
        solid = parts[0].evaluated_get(graph)
        made = solid.to_mesh()
        made.transform(solid.matrix_world)
        made.calc_loop_triangles()
        lines = [f"v {v.co.x:.7f} {v.co.y:.7f} {v.co.z:.7f}" for v in made.vertices]
        lines += ["f " + " ".join(str(i + 1) for i in t.vertices) for t in made.loop_triangles]
        (out / "truth" / f"{name}.obj").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = {
        "plane": {"normal": [0.0, 0.0, 1.0], "height": 0.0},
        "centre": list(truth.centre),
        "objects": {
            name: {
                "mesh": f"truth/{name}.obj",
                "material": truth.materials[name],
                "resting": name not in truth.hanging,
                "thickness": truth.thickness.get(name),
            }
            for name in truth.objects
        },
    }
    (out / "truth.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", choices=SCENES, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--held-out", type=int, default=5)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--grain", action="store_true")
    asked = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    truth = SCENES[asked.scene]()
    stage(truth, asked.samples)
    if asked.grain:
        for material in bpy.data.materials:
            grained(material, GRAIN_M * truth.radius)
    bpy.context.view_layer.update()
    write_truth(truth, asked.out)
    shots = shots_of(truth, asked.views, asked.held_out)
    render(shots, truth.objects, asked.out, (asked.width, round(asked.width * 0.75)))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender as a module can hang at its exit
