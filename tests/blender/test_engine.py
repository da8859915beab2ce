"""The splat engine's pixels: colours, occlusion, alpha and depth of splats whose picture is known."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import point_cloud, splat_data, splat_engine, splat_layers
from mathutils import Matrix
from toy_cache import LOOKS_ALONG_Y, radiance

WIDTH, HEIGHT = 96, 64
IDENTITY = np.eye(4)


def cloud(name: str, positions: list, colours: list, size: float, opacity: float = 1.0) -> bpy.types.Object:
    made = point_cloud.new_cloud(name, len(positions), bpy.context.scene.collection)
    count = len(positions)
    point_cloud.write_attributes(
        made,
        {
            "position": np.array(positions, np.float32),
            "rotation": np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            "scale": np.full((count, 3), size, np.float32),
            "radiance:base": radiance(np.array(colours), opacity),
        },
    )
    return made


@pytest.fixture
def camera() -> bpy.types.Object:
    scene = bpy.context.scene
    data = bpy.data.cameras.new("camera")
    data.angle = np.radians(40)
    made = bpy.data.objects.new("camera", data)
    made.matrix_world = Matrix(np.array(LOOKS_ALONG_Y).reshape(4, 4).tolist())
    scene.collection.objects.link(made)
    scene.camera = made
    scene.render.engine = splat_engine.ENGINE
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform = "Standard"
    scene.render.dither_intensity = 0.0
    return made


def picture(tmp_path: Path, transparent: bool = False) -> np.ndarray:
    """Render to PNG and read it back: [H, W, 4] of 0..255, first row at the top."""
    scene = bpy.context.scene
    scene.render.film_transparent = transparent
    scene.render.image_settings.color_mode = "RGBA" if transparent else "RGB"
    scene.render.filepath = str(tmp_path / "frame.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath, check_existing=False)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], 4)[::-1] * 255
    bpy.data.images.remove(image)
    return pixels


COLOURS = [(0.9, 0.1, 0.2), (0.05, 0.5, 0.75), (0.02, 0.03, 0.9), (0.6, 0.6, 0.6)]


@pytest.mark.parametrize("colour", COLOURS)
def test_srgb_colours_come_out_unchanged(tmp_path: Path, camera: bpy.types.Object, colour: tuple) -> None:
    cloud("wall", [(x, 0.0, z) for x in (-0.1, 0.1) for z in (-0.1, 0.1)] * 8, [colour] * 32, 0.5)
    pixels = picture(tmp_path)
    np.testing.assert_allclose(
        pixels[..., :3], np.broadcast_to(np.array(colour) * 255, pixels[..., :3].shape), atol=2
    )


def test_a_splat_lies_where_blender_projects_it(tmp_path: Path, camera: bpy.types.Object) -> None:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    place = (0.12, 0.1, -0.07)
    cloud("dot", [place], [(1, 1, 1)], 0.01)
    pixels = picture(tmp_path, transparent=True)[..., 3]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    found = np.array([(pixels * columns).sum(), (pixels * rows).sum()]) / pixels.sum()
    view = world_to_camera_view(bpy.context.scene, camera, Vector(place))
    np.testing.assert_allclose(found, [view.x * WIDTH, (1 - view.y) * HEIGHT], atol=0.15)


def test_shape_follows_scale_and_rotation(tmp_path: Path, camera: bpy.types.Object) -> None:
    made = cloud("bar", [(0, 0, 0)], [(1, 1, 1)], 0.01)
    half = np.radians(45) / 2  # turned about the view axis (y): the long x axis points down to the right
    point_cloud.write_attributes(
        made,
        {
            "scale": np.array([[0.06, 0.01, 0.01]], np.float32),
            "rotation": np.array([[np.cos(half), 0, np.sin(half), 0]], np.float32),
        },
    )
    alpha = picture(tmp_path, transparent=True)[..., 3] / 255
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    moments = np.cov(np.stack([columns.ravel(), rows.ravel()]), aweights=alpha.ravel())
    focal = WIDTH / 2 / np.tan(np.radians(20))
    a, b = (0.06 * focal) ** 2, (0.01 * focal) ** 2
    np.testing.assert_allclose(
        moments, [[(a + b) / 2, (a - b) / 2], [(a - b) / 2, (a + b) / 2]], rtol=0.12, atol=0.5
    )


@pytest.mark.parametrize("near", [0, 1])
def test_the_nearer_splat_hides_the_other(tmp_path: Path, camera: bpy.types.Object, near: int) -> None:
    red, green = (0.8, 0.1, 0.1), (0.1, 0.7, 0.1)
    depths = [-0.2, 0.2] if near == 0 else [0.2, -0.2]
    cloud("two", [(0, y, 0) for y in depths for _ in range(4)], [red] * 4 + [green] * 4, 0.3)
    centre = picture(tmp_path)[HEIGHT // 2, WIDTH // 2, :3]
    np.testing.assert_allclose(centre, np.array((red, green)[near]) * 255, atol=2)


@pytest.mark.parametrize(("moving_y", "wins"), [(-0.3, "moving"), (0.3, "static")])
def test_static_layer_hides_moving_splats_behind_it(
    tmp_path: Path, camera: bpy.types.Object, moving_y: float, wins: str
) -> None:
    colours = {"static": (0.1, 0.2, 0.9), "moving": (0.9, 0.6, 0.1)}
    wall = cloud("wall", [(0, 0, 0)] * 6, [colours["static"]] * 6, 0.3)
    wall[splat_engine.STATIC] = True
    cloud("ball", [(0, moving_y, 0)] * 6, [colours["moving"]] * 6, 0.05)
    centre = picture(tmp_path)[HEIGHT // 2, WIDTH // 2, :3]
    np.testing.assert_allclose(centre, np.array(colours[wins]) * 255, atol=2)


def test_static_layer_is_drawn_once_a_view_and_follows_changes(
    tmp_path: Path, camera: bpy.types.Object
) -> None:
    splat_layers.forget()
    wall = cloud("wall", [(0, 0, 0)] * 6, [(0.2, 0.4, 0.6)] * 6, 0.4)
    wall[splat_engine.STATIC] = True
    first = picture(tmp_path)
    picture(tmp_path)
    assert len(splat_layers._kept) == 1
    point_cloud.write_attributes(wall, {"radiance:base": radiance(np.full((6, 3), 0.9), 1.0)})
    assert abs(picture(tmp_path)[HEIGHT // 2, WIDTH // 2, 0] - 0.9 * 255) < 2
    assert len(splat_layers._kept) == 2
    camera.data.angle = np.radians(60)
    picture(tmp_path)
    assert len(splat_layers._kept) == 3
    assert abs(first[HEIGHT // 2, WIDTH // 2, 0] - 0.2 * 255) < 2


def test_empty_pixels_are_transparent_or_the_worlds_colour(tmp_path: Path, camera: bpy.types.Object) -> None:
    cloud("dot", [(0, 0, 0)], [(1, 1, 1)], 0.01)
    assert picture(tmp_path, transparent=True)[0, 0, 3] == 0
    bpy.context.scene.world = bpy.data.worlds.new("white")
    bpy.context.scene.world.color = (1, 1, 1)
    np.testing.assert_allclose(picture(tmp_path)[0, 0, :3], 255, atol=1)


def test_depth_pass_is_metres_along_the_view(tmp_path: Path, camera: bpy.types.Object) -> None:
    cloud("wall", [(0, 0.25, 0)] * 4, [(1, 1, 1)] * 4, 0.2)
    scene = bpy.context.scene
    scene.view_layers[0].use_pass_z = True
    if hasattr(scene.render.image_settings, "media_type"):  # Blender 5.0 and later
        scene.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    depths: list[np.ndarray] = []
    draw = splat_engine.draw

    def spy(*arguments: object) -> splat_engine.Frame:
        frame = draw(*arguments)
        depths.append(frame.depth)
        return frame

    splat_engine.draw = spy
    try:
        bpy.ops.render.render()
    finally:
        splat_engine.draw = draw
    assert depths[0][HEIGHT // 2, WIDTH // 2] == pytest.approx(1.25, abs=1e-3)


def test_objects_are_moved_turned_and_scaled(tmp_path: Path, camera: bpy.types.Object) -> None:
    made = cloud("dot", [(0.01, 0, 0)], [(1, 1, 1)], 0.002)
    made.matrix_world = Matrix.Translation((0.1, 0, 0.05)) @ Matrix.Diagonal((5, 5, 5, 1))
    alpha = picture(tmp_path, transparent=True)[..., 3]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    focal = WIDTH / 2 / np.tan(np.radians(20))
    centre = np.array([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()
    np.testing.assert_allclose(centre, [WIDTH / 2 + 0.15 * focal, HEIGHT / 2 - 0.05 * focal], atol=0.2)


def test_any_shape_of_picture_and_meshes_are_no_trouble(tmp_path: Path, camera: bpy.types.Object) -> None:
    bpy.ops.mesh.primitive_cube_add(size=0.1)
    cloud("wall", [(0, 0, 0)] * 6, [(0.5, 0.5, 0.5)] * 6, 0.6)
    render = bpy.context.scene.render
    for width, height, percentage in ((30, 90, 100), (101, 33, 50)):
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, percentage
        pixels = picture(tmp_path)
        assert pixels.shape[:2] == (height * percentage // 100, width * percentage // 100)
        assert abs(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, 0] - 127.5) < 2


def test_no_camera_is_one_sentence() -> None:
    scene = bpy.context.scene
    scene.render.engine = splat_engine.ENGINE
    with pytest.raises(RuntimeError, match="camera"):
        bpy.ops.render.render()


def test_what_moves_is_blended_over_what_does_not_where_both_are_as_far() -> None:
    packed = np.zeros((3, 16), np.float32)
    packed[:, 2] = (-1.0, -0.99, -0.95)  # the view looks along -z
    assert list(splat_data.back_to_front(packed, np.eye(4))) == [0, 1, 2]
    nearer = np.array([0.02, 0.0, 0.0], np.float32)
    assert list(splat_data.back_to_front(packed, np.eye(4), nearer)) == [1, 0, 2]


def centre(alpha: np.ndarray) -> tuple[float, float]:
    """Of what is there in a picture [H, W], px from its left top corner."""
    rows, columns = np.indices(alpha.shape) + 0.5
    return float((columns * alpha).sum() / alpha.sum()), float((rows * alpha).sum() / alpha.sum())


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("box", [(0.0, 1.0, 0.0, 1.0), (0.29, 0.58, 0.14, 0.57), (0.1, 0.9, 0.33, 0.66)])
def test_a_render_region_is_that_part_of_the_picture(
    tmp_path: Path, camera: bpy.types.Object, crop: bool, box: tuple[float, ...]
) -> None:
    cloud("wall", [(0.02, 0, 0.01)], [(0.9, 0.5, 0.1)], 0.1)
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 100, 100
    whole = picture(tmp_path, transparent=True)
    render.use_border, render.use_crop_to_border = True, crop
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = box
    part = picture(tmp_path, transparent=True)
    left, right, bottom, top = (round(100 * edge) for edge in box)
    inside = (slice(100 - top, 100 - bottom), slice(left, right))
    if not crop:
        outside = np.ones((100, 100), bool)
        outside[inside] = False
        assert part.shape == whole.shape
        assert not part[outside].any()
        part = part[inside]
    np.testing.assert_allclose(part, whole[inside], atol=1)
    assert part[..., 3].max() > 100


@pytest.mark.parametrize("percent", [29, 33, 57, 58])
def test_a_part_of_the_size_is_rounded_as_blender_does(
    tmp_path: Path, camera: bpy.types.Object, percent: int
) -> None:
    cloud("wall", [(0, 0, 0)], [(0.9, 0.5, 0.1)], 0.3)
    render = bpy.context.scene.render
    render.resolution_x = render.resolution_y = 100
    render.resolution_percentage = percent
    assert picture(tmp_path).shape == (percent, percent, 4)
    assert picture(tmp_path)[..., 0].mean() > 100


def test_every_view_layer_has_its_own_splats(tmp_path: Path, camera: bpy.types.Object) -> None:
    scene = bpy.context.scene
    cloud("wall", [(0, 0, 0)], [(0.9, 0.5, 0.1)], 0.1)
    hidden = bpy.data.collections.new("hidden")
    scene.collection.children.link(hidden)
    dot = cloud("dot", [(0, -0.2, 0)], [(0.1, 0.9, 0.1)], 0.1)
    scene.collection.objects.unlink(dot)
    hidden.objects.link(dot)
    scene.view_layers.new("Second").layer_collection.children["hidden"].exclude = True
    from bl_ext.user_default.perpetua.rendered_frames import set_format

    set_format(scene, "OPEN_EXR_MULTILAYER")
    scene.render.filepath = str(tmp_path / "layers.exr")
    bpy.ops.render.render(write_still=True)
    for name, green in ((scene.view_layers[0].name, True), ("Second", False)):
        colour = layer_of(tmp_path, name)[HEIGHT // 2, WIDTH // 2]
        assert (colour[1] > colour[0]) == green, name
        assert colour.max() > 0.3, name


def layer_of(tmp_path: Path, layer: str) -> np.ndarray:
    """A view layer of ``layers.exr`` [H, W, 4], by way of a scene's compositor, which can read one."""
    image = bpy.data.images.load(str(tmp_path / "layers.exr"), check_existing=False)
    scene = bpy.data.scenes.new("reads")
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.camera = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    if bpy.app.version < (5, 0):
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        into = tree.nodes.new("CompositorNodeComposite").inputs["Image"]
    else:
        tree = bpy.data.node_groups.new("reads", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group, into = tree, tree.nodes.new("NodeGroupOutput").inputs[0]
    node = tree.nodes.new("CompositorNodeImage")
    node.image, node.layer = image, layer
    tree.links.new(node.outputs["Combined" if "Combined" in node.outputs else "Image"], into)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(tmp_path / "one.exr")
    bpy.ops.render.render(write_still=True, scene=scene.name)
    read = bpy.data.images.load(scene.render.filepath, check_existing=False)
    pixels = np.array(read.pixels[:]).reshape(HEIGHT, WIDTH, 4)
    bpy.data.scenes.remove(scene)
    return pixels


@pytest.mark.parametrize(("mode", "apart"), [("OFFAXIS", 0.0), ("TOE", 0.0), ("PARALLEL", 0.05)])
@pytest.mark.parametrize("size", [(100, 60), (60, 100)])
def test_each_eye_has_its_view(
    tmp_path: Path, camera: bpy.types.Object, mode: str, apart: float, size: tuple[int, int]
) -> None:
    """Both see what lies at the distance of convergence at the same place; parallel eyes see it as far apart as they are."""
    cloud("dot", [(0, 0, 0)], [(0.9, 0.5, 0.1)], 0.02)
    scene, stereo = bpy.context.scene, camera.data.stereo
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.use_multiview = scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    stereo.convergence_mode, stereo.convergence_distance, stereo.interocular_distance = mode, 1.0, 0.05
    scene.render.filepath = str(tmp_path / "eye.png")
    bpy.ops.render.render(write_still=True)
    middles = []
    for eye in ("L", "R"):
        image = bpy.data.images.load(str(tmp_path / f"eye_{eye}.png"), check_existing=False)
        middles.append(centre(np.array(image.pixels[:]).reshape(*size[::-1], 4)[::-1, :, 3])[0])
    focal = max(size) / 2 / np.tan(np.radians(20))
    assert middles[0] - middles[1] == pytest.approx(apart * focal, abs=0.1)


def test_a_panorama_is_refused(tmp_path: Path, camera: bpy.types.Object) -> None:
    camera.data.type = "PANO"
    with pytest.raises(RuntimeError, match="Camera 'camera' is a panorama"):
        picture(tmp_path)
