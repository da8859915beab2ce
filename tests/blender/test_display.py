"""How a take is shown: its time on the timeline, and points or ellipsoids that Cycles and EEVEE see."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import display, playback, point_cloud
from bl_ext.user_default.perpetua.splat_shader import SOLID_OPACITY
from toy_cache import write_cache

from perpetua_protocol.cache import SH_C0, Cache

Scene = bpy.types.Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A take of 8 frames (0 to 7), from frame 1 of the timeline."""
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache")))
    return bpy.context.scene


def shown(scene: Scene, cache: Cache) -> int:
    """The take's frame that the splats are at."""
    position = point_cloud.read_attributes(scene.perpetua.splats.data)["position"]
    return next(n for n in range(8) if np.array_equal(cache.frame(n)["position"], position))


@pytest.mark.parametrize(
    ("speed", "loop", "expected"),
    [
        (1.0, False, [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7]),
        (0.5, False, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]),
        (2.0, False, [0, 2, 4, 6, 7, 7, 7, 7, 7, 7, 7]),
        (1.0, True, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2]),
        (-1.0, False, [7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0]),
        (-1.0, True, [7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5]),
        (0.1, False, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ],
)
def test_speed_and_loop(scene: Scene, tmp_path: Path, speed: float, loop: bool, expected: list[int]) -> None:
    cache = Cache(tmp_path / "cache")
    scene.perpetua.speed, scene.perpetua.loop = speed, loop
    seen = []
    for frame in range(1, 12):
        scene.frame_set(frame)
        seen.append(shown(scene, cache))
    assert seen == expected


def test_views_are_rendered_at_the_takes_own_speed(scene: Scene, tmp_path: Path) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 32, 18
    scene.perpetua.speed, scene.perpetua.loop = 3.0, True
    played: list[int] = []
    bpy.app.handlers.frame_change_post.append(
        lambda s, *_: played.append(playback.take_frame(s, playback.meta(s).frames))
    )
    try:
        bpy.ops.perpetua.render_views(directory=str(tmp_path / "views"))
    finally:
        bpy.app.handlers.frame_change_post.pop()
    assert [n for n in range(1, 8) if n in played] == list(range(1, 8))
    assert (scene.perpetua.speed, scene.perpetua.loop) == (3.0, True)


def evaluated(cloud: bpy.types.Object) -> bpy.types.Object:
    return cloud.evaluated_get(bpy.context.evaluated_depsgraph_get())


def test_points_are_blenders_own_in_the_pictures_colours(scene: Scene, tmp_path: Path) -> None:
    clouds = (scene.perpetua.splats, scene.perpetua.background)
    assert [cloud.hide_viewport for cloud in clouds] == [True, True], "the add-on draws them itself"
    scene.perpetua.display = "POINTS"
    assert [(c.display_type, c.hide_viewport) for c in clouds] == [("TEXTURED", False)] * 2
    scene.perpetua.show_background = False
    assert scene.perpetua.background.hide_viewport
    scene.frame_set(6)
    colour = np.empty(25 * 4, np.float32)
    scene.perpetua.splats.data.attributes[display.COLOUR].data.foreach_get("color", colour)
    radiance = Cache(tmp_path / "cache").frame(5)["radiance_base"]
    srgb = 0.5 + SH_C0 * radiance[:, :3]
    expected = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(colour.reshape(-1, 4)[:, :3], expected, atol=2e-5)
    np.testing.assert_allclose(colour.reshape(-1, 4)[:, 3], radiance[:, 3], atol=1e-6)
    scene.perpetua.display = "SPLATS"
    assert [cloud.hide_viewport for cloud in clouds] == [True, True]
    assert not any(cloud.hide_render for cloud in clouds)


def test_ellipsoids_stand_where_the_splats_are(scene: Scene, tmp_path: Path) -> None:
    scene.perpetua.display = "ELLIPSOIDS"
    scene.perpetua.show_background = False
    scene.frame_set(4)
    graph = bpy.context.evaluated_depsgraph_get()
    frame = Cache(tmp_path / "cache").frame(3)
    placed = [np.array(i.matrix_world) for i in graph.object_instances if i.is_instance]
    solid = frame["radiance_base"][:, 3] >= SOLID_OPACITY
    assert 0 < solid.sum() < len(solid), "the viewport leaves out what is no body"
    for matrix, centre, scale in zip(placed, frame["position"][solid], frame["scale"][solid], strict=True):
        np.testing.assert_allclose(matrix[:3, 3], centre, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(matrix[:3, :3], axis=0), scale, rtol=1e-4)
    scene.perpetua.display = "SPLATS"
    assert not scene.perpetua.splats.modifiers
    scene.perpetua.display = "ELLIPSOIDS"
    assert [tree.name for tree in bpy.data.node_groups] == [display.TREES["ELLIPSOIDS"]]


@pytest.mark.parametrize("how", ["POINTS", "ELLIPSOIDS"])
def test_cycles_sees_points_and_ellipsoids(scene: Scene, tmp_path: Path, how: str) -> None:
    """One red splat in the middle of the picture, rendered by Cycles."""
    scene.perpetua.show_background = False
    scene.perpetua.background.hide_render = True
    cloud = scene.perpetua.splats
    count = len(cloud.data.points)
    position = np.tile(np.array([0, 0, 50.0], np.float32), (count, 1))  # out of sight
    position[0] = 0.0
    radiance = np.tile(np.array([0.5, -0.5, -0.5, 0.0], np.float32) / SH_C0, (count, 1))
    radiance[:, 3] = 1.0
    rotation = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    values = {"position": position, "radiance:base": radiance, "rotation": rotation}
    point_cloud.write_attributes(cloud, {**values, "scale": np.full((count, 3), 0.05, np.float32)})
    scene.perpetua.display = how
    point_cloud.write_radius(cloud, np.full((count, 3), 0.05, np.float32))
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.render.resolution_x, scene.render.resolution_y = 24, 16
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(tmp_path / "still.png")
    for handler in list(bpy.app.handlers.frame_change_pre):
        bpy.app.handlers.frame_change_pre.remove(handler)  # or the render shows the cache's frame
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.array(image.pixels[:]).reshape(16, 24, 4)
    np.testing.assert_allclose(pixels[8, 12, :3], [1, 0, 0], atol=0.02)
    assert pixels[0, 0, :3].max() < 0.1


def test_the_pictures_colours_at_a_button(scene: Scene) -> None:
    scene.view_settings.view_transform, scene.view_settings.exposure = "AgX", 1.0
    bpy.ops.perpetua.match_picture()
    assert (scene.view_settings.view_transform, scene.view_settings.exposure) == ("Standard", 0.0)


def test_looking_through_a_camera(scene: Scene) -> None:
    bpy.ops.perpetua.add_cameras(degrees=20)
    bpy.ops.perpetua.look_through(index=2)
    assert scene.camera == scene.perpetua.cameras[2].object
    scene.perpetua.cameras[2].role = "front"
    assert [entry.role for entry in scene.perpetua.cameras] == ["side", "side", "front"]
    with pytest.raises(RuntimeError, match="no such camera"):
        bpy.ops.perpetua.look_through(index=9)
