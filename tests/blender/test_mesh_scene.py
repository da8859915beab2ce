"""Splats rendered together with meshes: each hides the other by its depth, edges are clean, shadows fall both ways."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import (
    compositor,
    mesh_scene,
    playback,
    point_cloud,
    splat_engine,
    stand_ins,
    takes,
)
from mathutils import Matrix
from toy_cache import radiance, write_arrays

from perpetua_protocol.cache import RoundRecord

WIDTH, HEIGHT = 48, 32
GREEN, GREY, RED = (0.1, 0.6, 0.1), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0)
MOVES_M = 0.1
"""The green tile goes so far to the right in every frame."""


def tiles(rows: int, size: float, turned: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Centres [N,3] and rotations [N,4] of flat discs on a square about the origin that faces -y, or up when it is ``turned``."""
    a, b = np.meshgrid(*[np.linspace(-size / 2, size / 2, rows)] * 2)
    zero = np.zeros(a.size)
    centres = np.stack([a.ravel(), b.ravel(), zero] if turned else [a.ravel(), zero, b.ravel()], 1)
    return centres.astype(np.float32), np.tile(np.float32([1, 0, 0, 0]), (a.size, 1))


def cache_of_a_tile(folder: Path, lying: bool = False) -> Path:
    """A green tile before a grey wall at y = 0.4, seen from y = -1; ``lying``: over a grey table."""
    front, turn = tiles(12, 0.3, lying)
    still, still_turn = tiles(24, 3.0, lying)
    flat = np.float32([1, 1, 0.05] if lying else [1, 0.05, 1])
    still += np.float32([0, 0, 0] if lying else [0, 0.4, 0])
    front += np.float32([0, 0, 0.3] if lying else [0, 0, 0])
    frames = {0: [0.0], 1: [MOVES_M, 2 * MOVES_M]}
    arrays = {
        "background/position.npy": still,
        "background/rotation.npy": still_turn,
        "background/scale.npy": np.tile(0.12 * flat, (len(still), 1)),
        "background/radiance_base.npy": radiance(np.tile(GREY, (len(still), 1)), 0.99),
    }
    for index, moved in frames.items():
        at = np.stack([front + np.float32([x, 0, 0]) for x in moved])
        arrays |= {
            f"round_{index:03d}/position.npy": at.astype(np.float32),
            f"round_{index:03d}/rotation.npy": np.tile(turn, (len(moved), 1, 1)),
            f"round_{index:03d}/scale.npy": np.tile(0.02 * flat, (len(moved), len(front), 1)),
            f"round_{index:03d}/radiance_base.npy": radiance(np.tile(GREEN, (len(front), 1)), 0.99),
        }
    records = [
        RoundRecord(i, start, len(frames[i]), f"round_{i:03d}", str(i) * 64, "5" * 64, 1.0)
        for i, start in ((0, 0), (1, 1))
    ]
    return write_arrays(folder, arrays, records, len(still), len(front))


@pytest.fixture
def scene(tmp_path: Path) -> bpy.types.Scene:
    return loaded(cache_of_a_tile(tmp_path / "cache"))


def loaded(cache: Path) -> bpy.types.Scene:
    bpy.ops.perpetua.load_cache(directory=str(cache))
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.dither_intensity = 0.0
    scene.world = bpy.data.worlds.new("dark")
    scene.world.color = (0, 0, 0)
    return scene


def plate(size: float, place: Matrix, shines: bool = True) -> bpy.types.Object:
    """A square that shines red, facing -y before it is placed, or one of white paper."""
    bpy.ops.mesh.primitive_plane_add(size=size)
    made = bpy.context.object
    made.matrix_world = place @ Matrix.Rotation(np.pi / 2, 4, "X")
    material = bpy.data.materials.new("plate")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    if shines:
        red = nodes.new("ShaderNodeEmission")
        red.inputs["Color"].default_value = (*RED, 1)
        material.node_tree.links.new(red.outputs[0], nodes["Material Output"].inputs["Surface"])
    made.data.materials.append(material)
    return made


def picture(scene: bpy.types.Scene, tmp_path: Path, samples: int = 4) -> np.ndarray:
    """The composited picture [H,W,3] in sRGB, first row at the top."""
    if scene.perpetua.mesh_scene is None:
        bpy.ops.perpetua.render_meshes(engine="CYCLES")
    cycles = scene.perpetua.mesh_scene.cycles
    cycles.samples, cycles.use_denoising = samples, False  # it guesses in so small a picture
    scene.render.filepath = str(tmp_path / "frame.png")
    bpy.ops.render.render(write_still=True)
    return loaded_picture(Path(scene.render.filepath))


def loaded_picture(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path), check_existing=False)
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], 4)[::-1, :, :3]
    bpy.data.images.remove(image)
    return pixels


def at(pixels: np.ndarray, x: float, z: float, depth: float) -> np.ndarray:
    """The colour where the camera sees a point, m, ``depth`` m before it."""
    focal = WIDTH / 2 / np.tan(np.radians(20))
    return pixels[int(HEIGHT / 2 - z / depth * focal), int(WIDTH / 2 + x / depth * focal)]


def test_a_mesh_is_hidden_by_splats_before_it_and_hides_those_behind(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    red = plate(0.64, Matrix.Translation((0.1, 0.2, 0)))
    behind = picture(scene, tmp_path)
    np.testing.assert_allclose(at(behind, 0, 0, 1.0), GREEN, atol=0.02)
    np.testing.assert_allclose(at(behind, 0.3, 0, 1.2), RED, atol=0.02)
    np.testing.assert_allclose(behind[0, 0], GREY, atol=0.02)
    red.location.y = -0.2
    before = picture(scene, tmp_path)
    np.testing.assert_allclose(at(before, 0, 0, 0.8), RED, atol=0.02)
    np.testing.assert_allclose(before[0, 0], GREY, atol=0.02)


def test_a_mesh_that_cuts_through_the_splats_is_seen_where_it_is_nearer(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    plate(0.6, Matrix.Rotation(np.radians(30), 4, "Z"))  # its left side comes forward
    pixels = picture(scene, tmp_path)
    np.testing.assert_allclose(at(pixels, -0.08, 0, 1.0), RED, atol=0.02)
    np.testing.assert_allclose(at(pixels, 0.08, 0, 1.0), GREEN, atol=0.02)


def test_both_eyes_see_meshes_and_splats(scene: bpy.types.Scene, tmp_path: Path) -> None:
    plate(0.2, Matrix.Translation((0, -0.3, 0)))
    alone = picture(scene, tmp_path)
    scene.render.use_multiview = True
    bpy.ops.render.render(write_still=True)
    left, right = (loaded_picture(tmp_path / f"frame_{eye}.png") for eye in "LR")
    np.testing.assert_allclose(left, alone, atol=0.02)
    assert abs(right - alone).mean() > 0.01
    reds = [(eye[..., 0] > 2 * eye[..., 2]).sum() for eye in (left, right)]
    assert reds[1] == pytest.approx(reds[0], rel=0.2)


def test_what_the_artist_leaves_out_of_the_view_layer_is_not_drawn(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    outer, inner = (bpy.data.collections.new(name) for name in ("outer", "inner"))
    scene.collection.children.link(outer)
    outer.children.link(inner)
    made = plate(0.6, Matrix.Translation((0, -0.5, 0)))
    made.users_collection[0].objects.unlink(made)
    inner.objects.link(made)
    seen = at(picture(scene, tmp_path), 0, 0, 0.5)
    assert seen[0] > 2 * seen[2], "the plate is before the splats"
    scene.view_layers[0].layer_collection.children["outer"].children["inner"].exclude = True
    without = at(picture(scene, tmp_path), 0, 0, 0.5)
    assert abs(without - seen).max() > 0.2
    scene.view_layers[0].layer_collection.children["outer"].exclude = True
    np.testing.assert_allclose(at(picture(scene, tmp_path), 0, 0, 0.5), without, atol=0.02)


def test_edges_mix_what_is_on_both_sides_of_them(scene: bpy.types.Scene, tmp_path: Path) -> None:
    """No dark or bright fringe: every pixel lies between the mesh's colour and the splats', in linear light."""
    scene.perpetua.show_splats = False
    bpy.data.objects["Perpetua splats"].hide_render = True
    plate(0.3, Matrix.Translation((0.013, 0.1, 0.007)) @ Matrix.Rotation(0.3, 4, "Y"))
    pixels = picture(scene, tmp_path, samples=64)
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    wall = linear[0, 0, 1]
    share = 1 - linear[..., 1] / wall
    np.testing.assert_allclose(linear[..., 0], wall + share * (1 - wall), atol=0.03)
    assert ((share > 0.1) & (share < 0.9)).sum() > 10
    seen_m = np.tan(np.radians(20)) * 2 * 1.1 / WIDTH  # a pixel's width, 1.1 m away
    assert share.sum() == pytest.approx((0.3 / seen_m) ** 2, rel=0.01), "also where it covers less than half"


def test_the_worlds_colour_lies_behind_both(scene: bpy.types.Scene, tmp_path: Path) -> None:
    bpy.data.objects["Perpetua background"].hide_render = True
    scene.world.color = (0.0, 0.0, 1.0)
    plate(0.2, Matrix.Translation((0.3, 0.2, 0)))
    pixels = picture(scene, tmp_path)
    np.testing.assert_allclose(pixels[0, 0], (0, 0, 1), atol=0.01)
    np.testing.assert_allclose(at(pixels, 0, 0, 1.0), GREEN, atol=0.03)
    np.testing.assert_allclose(at(pixels, 0.3, 0, 1.2), RED, atol=0.01)


def test_meshes_and_splats_move_together(scene: bpy.types.Scene, tmp_path: Path) -> None:
    red = plate(0.1, Matrix.Translation((0, -0.1, 0.2)))
    for frame, x in ((1, -0.2), (3, 0.2)):
        red.location.x = x
        red.keyframe_insert("location", index=0, frame=frame)
    bpy.ops.perpetua.render_meshes(engine="CYCLES")
    scene.perpetua.mesh_scene.cycles.samples = 1
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    columns = np.arange(WIDTH) + 0.5 - WIDTH / 2
    focal = WIDTH / 2 / np.tan(np.radians(20))
    for number in range(3):
        pixels = loaded_picture(tmp_path / f"frame_{number + 1:04d}.png")
        reds = np.clip(pixels[..., 0] - 0.6, 0, None).sum(0)
        greens = np.clip(pixels[..., 1] - pixels[..., 0] - 0.2, 0, None).sum(0)
        x = -0.2 + 0.2 * number
        assert (reds * columns).sum() / reds.sum() == pytest.approx(
            x / 0.9 * focal, abs=1.0 + 4 * (number == 1)
        )
        assert (greens * columns).sum() / greens.sum() == pytest.approx(MOVES_M * number * focal, abs=1.0)


def test_shadows_fall_on_splats_and_from_them(tmp_path: Path) -> None:
    scene = loaded(cache_of_a_tile(tmp_path / "cache", lying=True))
    camera = scene.camera
    camera.matrix_world = Matrix.Translation((0, -0.9, 1.6)) @ Matrix.Rotation(np.radians(30), 4, "X")
    bpy.ops.object.light_add(type="SUN")  # shines straight down
    bpy.context.object.data.energy = 3
    plate(0.3, Matrix.Translation((-0.35, 0, 0.25)) @ Matrix.Rotation(np.pi / 2, 4, "X"))
    plate(0.25, Matrix.Translation((0, 0, 0.05)) @ Matrix.Rotation(-np.pi / 2, 4, "X"), shines=False)
    bpy.context.view_layer.update()
    alone = picture_alone(scene, tmp_path)
    joined = picture(scene, tmp_path, samples=8)

    def seen(pixels: np.ndarray, x: float, y: float, z: float) -> float:
        from bpy_extras.object_utils import world_to_camera_view
        from mathutils import Vector

        place = world_to_camera_view(scene, camera, Vector((x, y, z)))
        return float(pixels[int((1 - place.y) * HEIGHT), int(place.x * WIDTH), 1])

    assert seen(alone, -0.35, -0.08, 0) == pytest.approx(GREY[1], abs=0.02)
    assert seen(joined, -0.35, -0.08, 0) < 0.25, "the red plate's shadow on the table of splats"
    assert seen(joined, 0.45, 0.0, 0) == pytest.approx(GREY[1], abs=0.04), "where no shadow falls"
    assert seen(joined, 0.0, -0.11, 0.05) < 0.45, "the tile of splats shades the paper"
    scene.frame_set(3)  # the tile has gone to the right
    moved = picture(scene, tmp_path, samples=8)
    assert seen(moved, -0.1, -0.11, 0.05) > 0.8, "and no longer"


def picture_alone(scene: bpy.types.Scene, tmp_path: Path) -> np.ndarray:
    scene.render.filepath = str(tmp_path / "alone.png")
    bpy.ops.render.render(write_still=True)
    return loaded_picture(Path(scene.render.filepath))


def test_the_body_is_of_solid_splats_alone(scene: bpy.types.Scene) -> None:
    """Not of the picture's own shadows, which lie around the objects as faint splats."""
    bpy.ops.perpetua.render_meshes(engine="CYCLES")
    meshes, cloud = scene.perpetua.mesh_scene, scene.perpetua.splats
    values = point_cloud.read_attributes(cloud.data)
    base = values["radiance:base"]
    base[:, 3] = np.where(values["position"][:, 0] > 0, 0.1, 0.9)
    point_cloud.write_attributes(cloud, {"radiance:base": base})
    layer = meshes.view_layers["Meshes"]
    layer.update()
    body = next(o for o in stand_ins.collection(meshes).objects if o[stand_ins.KIND] == "body")
    corners = np.array([corner.co for corner in body.evaluated_get(layer.depsgraph).data.vertices])
    assert -0.2 < corners[:, 0].min() < -0.14
    assert -0.05 < corners[:, 0].max() < 0.03


def test_setting_up_and_taking_down_leaves_the_artists_compositor(scene: bpy.types.Scene) -> None:
    tree = compositor.new_tree(scene)
    layers, output = tree.nodes["Render Layers"], next(n for n in tree.nodes if not n.outputs)
    blur = tree.nodes.new("CompositorNodeBlur")
    tree.links.new(layers.outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], output.inputs["Image"])
    counts = {
        kind: len(getattr(bpy.data, kind)) for kind in ("scenes", "objects", "collections", "node_groups")
    }
    for engine in ("CYCLES", "CYCLES", "EEVEE"):
        bpy.ops.perpetua.render_meshes(engine=engine)
        assert blur.inputs["Image"].links[0].from_node["perpetua"] == "above"
    assert [layer.name for layer in scene.perpetua.mesh_scene.view_layers] == ["Meshes"], (
        "EEVEE catches no shadows"
    )
    bpy.ops.perpetua.render_meshes(engine="NONE")
    assert blur.inputs["Image"].links[0].from_node == layers
    assert {kind: len(getattr(bpy.data, kind)) for kind in counts} == counts
    with pytest.raises(RuntimeError, match="alone already"):
        bpy.ops.perpetua.render_meshes(engine="NONE")
    tree.nodes.remove(layers)
    with pytest.raises(RuntimeError, match="no Render Layers node"):
        bpy.ops.perpetua.render_meshes(engine="CYCLES")
    assert scene.perpetua.mesh_scene is None
    assert len(bpy.data.scenes) == counts["scenes"], "nothing is left half made"


def test_what_is_added_later_is_drawn_too_and_a_branch_renders_alone(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.render_meshes(engine="CYCLES")
    meshes = scene.perpetua.mesh_scene
    loose = bpy.data.objects.new("loose", bpy.data.meshes.new("loose"))
    scene.collection.objects.link(loose)
    kept = bpy.data.collections.new("kept")
    scene.collection.children.link(kept)
    scene.render.resolution_x = 64
    mesh_scene.match(scene)
    assert loose.name in meshes.objects
    assert kept in set(meshes.collection.children)
    assert meshes.render.resolution_x == 64
    hidden = {c.name for c in meshes.view_layers["Meshes"].layer_collection.children if c.exclude}
    assert hidden == {playback.collection(scene).name}
    scene.perpetua.picture = "//ball.png"
    made = takes.branch(scene, "other", 0)
    assert made.perpetua.mesh_scene is None
    nodes = compositor.tree_of(made).nodes
    assert not [node for node in nodes if node.get("perpetua")]
    assert {node.scene for node in nodes if node.bl_idname == "CompositorNodeRLayers"} == {made}
    assert stand_ins.collection(meshes) is not None
    stand_ins.remove(meshes)
    mesh_scene.match(scene)  # nothing falls over where the artist has deleted them
    assert scene.render.engine == splat_engine.ENGINE
