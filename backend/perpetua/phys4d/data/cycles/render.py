"""Films a folder of surfaces with Cycles. Runs in Blender's own Python, and imports nothing of the project:

    .venv-blender/bin/python render.py FOLDER

FOLDER holds ``job.json`` and ``arrays.npz`` (``film.py`` says what is in them) and gets, for every camera and frame, ``rgb/<camera>_<frame>.png``
and ``data/<camera>_<frame>.exr``: z-depth, the object's number and ``after``, where what the pixel's middle sees is in the next frame (m, world).

The picture is path-traced and denoised. The data come from a second scene of the same objects with one ray through each pixel's
middle and one material, so that they belong to one point each and not to a mean over an edge.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

PIXEL_MIDDLE = 0.01
"""pixels, the width of the box that a ray for the data is drawn from."""
BOUNCES = 4
GAS_DENSITY = 90.0
"""1/m, of a volume around gas."""
TABLE_M, WALL_M = 1.2, 1.2
"""Radius of the table and the wall, height of the wall."""
SHARP_DEGREES = 40.0


class Studio:
    """The two scenes, what is in them, and how a frame is put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        self.arrays = np.load(folder / "arrays.npz", allow_pickle=False)
        self.things = bpy.data.collections.new("things")
        self.unseen = bpy.data.collections.new("only in the picture")
        self.picture, self.data = self._scene("picture"), self._scene("data")
        for scene in (self.picture, self.data):
            scene.collection.children.link(self.things)
        self.picture.collection.children.link(self.unseen)
        self._light()
        self._room()
        self._data_layers()
        self.materials = [self._material(s) for s in self.job["surfaces"]]
        self.shown: list[bpy.types.Object | None] = [None] * len(self.materials)

    def film(self) -> None:
        for sub in ("rgb", "data"):
            (self.folder / sub).mkdir(exist_ok=True)
        for frame in range(self.job["frames"]):
            for index in range(len(self.materials)):
                self._show(index, frame)
            for name in self.job["cameras"]:
                camera = self._camera(name, frame)
                for scene, path in ((self.picture, "rgb"), (self.data, "data")):
                    scene.camera = camera
                    scene.render.filepath = str(self.folder / path / f"{name}_{frame:04d}")
                    bpy.ops.render.render(write_still=True, scene=scene.name)

    def _scene(self, name: str) -> bpy.types.Scene:
        scene = bpy.data.scenes.new(name)
        scene.render.engine = "CYCLES"
        scene.cycles.device = "CPU"
        scene.cycles.seed = self.job["seed"]
        scene.cycles.use_adaptive_sampling = False
        scene.render.resolution_x, scene.render.resolution_y = self.job["width"], self.job["height"]
        scene.render.threads_mode, scene.render.threads = "FIXED", 1  # the same sums in the same order
        scene.render.use_persistent_data = True
        scene.view_settings.view_transform = "Standard"
        if name == "picture":
            scene.cycles.samples, scene.cycles.max_bounces = self.job["samples"], BOUNCES
            scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
            scene.cycles.denoising_prefilter = (
                "FAST"  # of normals and colours: two thirds of the time otherwise
            )
            scene.render.image_settings.file_format = "PNG"
            scene.render.image_settings.color_mode = "RGB"
        else:
            scene.cycles.samples, scene.cycles.max_bounces = 1, 0
            scene.cycles.use_denoising = False
            scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", PIXEL_MIDDLE
            scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
            scene.render.image_settings.color_depth = "32"
        return scene

    def _light(self) -> None:
        world = bpy.data.worlds.new("sky")
        world.use_nodes = True
        sky = world.node_tree.nodes["Background"]
        sky.inputs["Color"].default_value = (*self.job["room"]["sky"], 1.0)
        sky.inputs["Strength"].default_value = self.job["room"]["sky_strength"]
        self.picture.world = world
        middle = Vector(self.job["middle"])
        for number, lamp in enumerate(self.job["lamps"]):
            light = bpy.data.lights.new(f"lamp {number}", "AREA")
            light.energy, light.size, light.color = lamp["power"], lamp["size"], lamp["colour"]
            place = bpy.data.objects.new(light.name, light)
            place.location = lamp["at"]
            place.rotation_euler = (Vector(lamp["at"]) - middle).to_track_quat("Z", "Y").to_euler()
            place.visible_camera = False
            self.unseen.objects.link(place)

    def _room(self) -> None:
        turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        ring = TABLE_M * np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
        count = len(ring)
        table = self._mesh("table", ring.astype(np.float32), [list(range(count))])
        both = np.concatenate([ring, ring + np.array([0, 0, WALL_M])]).astype(np.float32)
        sides = [[i, i + count, (i + 1) % count + count, (i + 1) % count] for i in range(count)]
        wall = self._mesh("wall", both, sides)
        for mesh, look in ((table, self.job["room"]["table"]), (wall, self.job["room"]["wall"])):
            place = bpy.data.objects.new(mesh.name, mesh)
            mesh.materials.append(self._textured(mesh.name, look, "Object"))
            self.things.objects.link(place)

    def _data_layers(self) -> None:
        made = bpy.data.materials.new("data")
        made.use_nodes = True
        tree = made.node_tree
        tree.nodes.clear()
        after = tree.nodes.new("ShaderNodeAttribute")
        after.attribute_name = "after"
        out = tree.nodes.new("ShaderNodeOutputAOV")
        out.aov_name = "after"
        tree.links.new(after.outputs["Vector"], out.inputs["Color"])
        glow = tree.nodes.new("ShaderNodeEmission")
        end = tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(glow.outputs[0], end.inputs["Surface"])
        layer = self.data.view_layers[0]
        layer.material_override = made
        layer.use_pass_z = layer.use_pass_object_index = True
        aov = layer.aovs.add()
        aov.name, aov.type = "after", "COLOR"

    def _material(self, surface: dict) -> bpy.types.Material:
        if surface["draws"] == "gas":
            return self._gas(surface["name"], surface["look"])
        return self._textured(surface["name"], surface["look"], "rest")

    def _textured(self, name: str, look: dict, anchor: str) -> bpy.types.Material:
        """A principled material whose two colours a texture mixes, anchored to the object or to the attribute ``rest``."""
        made = bpy.data.materials.new(name)
        made.use_nodes = True
        tree = made.node_tree
        shader = tree.nodes["Principled BSDF"]
        shader.inputs["Roughness"].default_value = look["roughness"]
        shader.inputs["Metallic"].default_value = look["metallic"]
        first, second = (*look["colour"], 1.0), (*look["second"], 1.0)
        if look["texture"] == "plain":
            shader.inputs["Base Color"].default_value = first
            return made
        if anchor == "Object":
            where = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
        else:
            rest = tree.nodes.new("ShaderNodeAttribute")
            rest.attribute_name = anchor
            where = rest.outputs["Vector"]
        per_metre = 1.0 / look["scale"]
        if look["texture"] == "checker":
            texture = tree.nodes.new("ShaderNodeTexChecker")
            texture.inputs["Scale"].default_value = per_metre
        elif look["texture"] == "stripes":
            texture = tree.nodes.new("ShaderNodeTexWave")
            texture.inputs["Scale"].default_value = 0.3 * per_metre
            texture.inputs["Distortion"].default_value = 1.5
        else:
            texture = tree.nodes.new("ShaderNodeTexNoise")
            texture.inputs["Scale"].default_value = per_metre
            texture.inputs["Distortion"].default_value = 2.5 if look["texture"] == "marble" else 0.0
        tree.links.new(where, texture.inputs["Vector"])
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        tree.links.new(texture.outputs["Fac"], mix.inputs["Factor"])
        mix.inputs["A"].default_value, mix.inputs["B"].default_value = first, second
        tree.links.new(mix.outputs["Result"], shader.inputs["Base Color"])
        return made

    def _gas(self, name: str, look: dict) -> bpy.types.Material:
        made = bpy.data.materials.new(name)
        made.use_nodes = True
        tree = made.node_tree
        tree.nodes.clear()
        volume = tree.nodes.new("ShaderNodeVolumePrincipled")
        volume.inputs["Color"].default_value = (*look["colour"], 1.0)
        volume.inputs["Density"].default_value = 1.0
        end = tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(volume.outputs["Volume"], end.inputs["Volume"])
        return made

    def _show(self, index: int, frame: int) -> None:
        """Put surface ``index`` as it is in ``frame`` into both scenes (gas: into the picture only)."""
        surface = self.job["surfaces"][index]
        old = self.shown[index]
        names = {n: f"{index}/{frame}/{n}" for n in ("points", "after", "rest")}
        if names["points"] not in self.arrays:
            found = None
        else:
            points, after, rest = (self.arrays[names[n]] for n in ("points", "after", "rest"))
            if (
                old is not None
                and surface["draws"] == "mesh"
                and len(old.data.vertices) == len(points)
                and surface["fixed"]
            ):
                self._write(old.data, points, after, rest)
                return
            found = self._made(index, frame, points, after, rest)
        if old is not None:
            data = old.data
            bpy.data.objects.remove(old)
            if isinstance(data, bpy.types.Mesh) and not data.users:
                bpy.data.meshes.remove(data)
        self.shown[index] = found

    def _made(
        self, index: int, frame: int, points: np.ndarray, after: np.ndarray, rest: np.ndarray
    ) -> bpy.types.Object:
        surface = self.job["surfaces"][index]
        draws = surface["draws"]
        faces = (
            self.arrays[f"{index}/faces" if surface["fixed"] else f"{index}/{frame}/faces"]
            if draws == "mesh"
            else []
        )
        mesh = self._mesh(surface["name"], points, faces)
        self._write(mesh, points, after, rest)
        mesh.materials.append(self.materials[index])
        place = bpy.data.objects.new(surface["name"], mesh)
        place.pass_index = index + 1
        (self.unseen if draws == "gas" else self.things).objects.link(place)
        if draws == "mesh":
            mesh.shade_smooth()
            if surface["sharp"]:
                mesh.set_sharp_from_angle(angle=np.radians(SHARP_DEGREES))
        elif draws == "grains":
            self._attribute(
                mesh, "radius", "FLOAT", "value", np.full(len(points), surface["radius"], np.float32)
            )
            with bpy.context.temp_override(
                scene=self.picture, view_layer=self.picture.view_layers[0], active_object=place, object=place,
                selected_objects=[place], selected_editable_objects=[place],
            ):  # fmt: skip
                bpy.ops.object.convert(target="POINTCLOUD")
            place.data.materials.clear()
            place.data.materials.append(self.materials[index])
        else:
            self._puff(place, surface["radius"], self.materials[index])
        return place

    def _puff(self, place: bpy.types.Object, radius: float, material: bpy.types.Material) -> None:
        """Geometry nodes that fill the space around the points."""
        tree = bpy.data.node_groups.new("gas", "GeometryNodeTree")
        tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        begin, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
        points = tree.nodes.new("GeometryNodeMeshToPoints")
        volume = tree.nodes.new("GeometryNodePointsToVolume")
        volume.resolution_mode = "VOXEL_SIZE"
        volume.inputs["Voxel Size"].default_value = 0.6 * radius
        volume.inputs["Radius"].default_value = radius
        volume.inputs["Density"].default_value = GAS_DENSITY
        dye = tree.nodes.new("GeometryNodeSetMaterial")
        dye.inputs["Material"].default_value = material
        for a, b in ((begin, points), (points, volume), (volume, dye), (dye, end)):
            tree.links.new(a.outputs[0], b.inputs[0])
        place.modifiers.new("gas", "NODES").node_group = tree

    def _write(self, mesh: bpy.types.Mesh, points: np.ndarray, after: np.ndarray, rest: np.ndarray) -> None:
        mesh.attributes["position"].data.foreach_set("vector", points.ravel())
        for name, values in (("after", after), ("rest", rest)):
            self._attribute(mesh, name, "FLOAT_VECTOR", "vector", values)
        mesh.update()

    def _attribute(self, mesh: bpy.types.Mesh, name: str, kind: str, slot: str, values: np.ndarray) -> None:
        attribute = mesh.attributes.get(name) or mesh.attributes.new(name, kind, "POINT")
        attribute.data.foreach_set(slot, np.ascontiguousarray(values, np.float32).ravel())

    def _mesh(self, name: str, vertices: np.ndarray, faces: object) -> bpy.types.Mesh:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(vertices.tolist(), [], faces.tolist() if isinstance(faces, np.ndarray) else faces)
        return mesh

    def _camera(self, name: str, frame: int) -> bpy.types.Object:
        place = bpy.data.objects.get(name)
        if place is None:
            place = bpy.data.objects.new(name, bpy.data.cameras.new(name))
            place.data.clip_start, place.data.clip_end, place.data.sensor_fit = 0.01, 100.0, "HORIZONTAL"
            for scene in (self.picture, self.data):
                scene.collection.objects.link(place)
        place.matrix_world = Matrix(self.arrays[f"camera/{name}"][frame].tolist())
        place.data.angle = self.job["cameras"][name]
        return place


if __name__ == "__main__":
    Studio(Path(sys.argv[1])).film()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 can hang while it ends
