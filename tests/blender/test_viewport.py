"""What the viewport's draw handler draws, into an image of its own: splats, and coloured bodies where Blender's are grey."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import gpu
import numpy as np
import pytest
from bl_ext.user_default.perpetua import point_cloud, splat_viewport
from mathutils import Matrix
from toy_cache import LOOKS_ALONG_Y, radiance, write_cache

WIDTH, HEIGHT = 96, 64
RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.2, 0.9)


@pytest.fixture(scope="module", autouse=True)
def drawing() -> None:
    """A GPU context in the background."""
    if hasattr(gpu, "init"):
        gpu.init()
        return
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x = scene.render.resolution_y = 4
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.ops.render.render()


@pytest.fixture
def scene(tmp_path: Path) -> bpy.types.Scene:
    """Two opaque splats, a red before a blue one to its right, and nothing else."""
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache", foreground=2)))
    scene = bpy.context.scene
    scene.perpetua.show_background = False
    point_cloud.write_attributes(
        scene.perpetua.splats,
        {
            "position": np.float32([[0, -0.2, 0], [0.06, 0.2, 0]]),
            "rotation": np.float32([[1, 0, 0, 0]] * 2),
            "scale": np.float32([[0.03, 0.03, 0.03], [0.06, 0.06, 0.03]]),
            "radiance:base": radiance(np.array([RED, BLUE]), 0.99),
        },
    )
    splat_viewport.forget()
    return scene


def drawn(
    scene: bpy.types.Scene, solid: bool, faint: bool = False, turn: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Linear colours [H,W,4] and depths [H,W] in m, first row at the bottom, as seen from y = -1, or ``turn`` radians around."""
    matrix = Matrix.Rotation(turn, 4, "Z") @ Matrix(np.array(LOOKS_ALONG_Y).reshape(4, 4).tolist())
    camera = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    camera.data.angle, camera.data.clip_start, camera.data.clip_end = np.radians(40), 0.1, 10.0
    projection = camera.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=WIDTH, y=HEIGHT)
    context = SimpleNamespace(
        scene=scene,
        view_layer=scene.view_layers[0],
        region=SimpleNamespace(width=WIDTH, height=HEIGHT),
        region_data=SimpleNamespace(view_matrix=matrix.inverted(), window_matrix=projection),
    )
    target = gpu.types.GPUOffScreen(WIDTH, HEIGHT, format="RGBA32F")
    with target.bind():
        buffer = gpu.state.active_framebuffer_get()
        buffer.clear(color=(0, 0, 0, 0), depth=1.0)
        splat_viewport.draw_scene(context, solid)
        if faint:
            splat_viewport.draw_faint(context)
        colour = buffer.read_color(0, 0, WIDTH, HEIGHT, 4, 0, "FLOAT")
        depth = buffer.read_depth(0, 0, WIDTH, HEIGHT)
    colour.dimensions, depth.dimensions = WIDTH * HEIGHT * 4, WIDTH * HEIGHT
    near, far = 0.1, 10.0
    ndc = 2 * np.array(depth, np.float64).reshape(HEIGHT, WIDTH) - 1
    return (
        np.array(colour, np.float32).reshape(HEIGHT, WIDTH, 4),
        2 * near * far / (far + near - ndc * (far - near)),
    )


def linear(colour: tuple[float, float, float]) -> np.ndarray:
    return ((np.array(colour) + 0.055) / 1.055) ** 2.4


def test_splats_are_drawn_soft_and_leave_no_depth(scene: bpy.types.Scene) -> None:
    colour, depth = drawn(scene, solid=False)
    middle = colour[HEIGHT // 2, WIDTH // 2]
    assert middle[0] > 0.8 * linear(RED)[0]
    assert ((colour[..., 3] > 0.05) & (colour[..., 3] < 0.9)).sum() > 100
    np.testing.assert_allclose(depth, 10.0, rtol=1e-3)


def test_a_view_that_goes_around_blends_in_its_own_order(scene: bpy.types.Scene) -> None:
    front, _ = drawn(scene, solid=False)
    back, _ = drawn(scene, solid=False, turn=np.pi)
    splat_viewport.forget()
    np.testing.assert_array_equal(drawn(scene, solid=False, turn=np.pi)[0], back)
    seen = lambda image, x: image[HEIGHT // 2, WIDTH // 2 + x, :3]  # noqa: E731
    assert seen(front, 3)[0] > seen(front, 3)[2], "red is before blue"
    assert seen(back, -3)[2] > seen(back, -3)[0], "and behind it"


@pytest.mark.parametrize(("display", "size"), [("POINTS", 2.0), ("ELLIPSOIDS", 1.6)])
def test_solid_bodies_have_their_colour_shape_and_depth(
    scene: bpy.types.Scene, display: str, size: float
) -> None:
    scene.perpetua.display = display
    colour, depth = drawn(scene, solid=True)
    np.testing.assert_allclose(colour[HEIGHT // 2, WIDTH // 2, :3], linear(RED), rtol=0.05)
    assert depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(0.8 - size * 0.03, abs=0.01), "its front"
    assert set(np.unique(colour[..., 3])) == {0.0, 1.0}
    focal = WIDTH / 2 / np.tan(np.radians(20))
    reds = colour[..., 0] > colour[..., 2]
    assert np.sqrt(reds.sum() / np.pi) == pytest.approx(size * 0.03 / 0.8 * focal, rel=0.06)
    blues = (colour[..., 2] > colour[..., 0]).any(0)
    right = np.flatnonzero(blues).max() + 1 - WIDTH / 2
    wide = 0.05 if display == "POINTS" else 0.06
    assert right == pytest.approx((0.06 + size * wide) / 1.2 * focal, abs=1.5)


def test_faint_splats_are_no_bodies(scene: bpy.types.Scene) -> None:
    scene.perpetua.display = "POINTS"
    base = radiance(np.array([RED, BLUE]), np.array([0.1, 0.9]))
    point_cloud.write_attributes(scene.perpetua.splats, {"radiance:base": base})
    splat_viewport.forget()
    colour, _ = drawn(scene, solid=True)
    assert not (colour[..., 0] > colour[..., 2]).any()
    assert (colour[..., 2] > colour[..., 0]).any()


@pytest.mark.parametrize("before", [True, False])
def test_what_is_no_body_is_seen_softly_among_bodies(scene: bpy.types.Scene, before: bool) -> None:
    scene.perpetua.display = "ELLIPSOIDS"
    splats = {
        "position": np.float32([[0.06, -0.2 if before else 0.5, 0], [0.06, 0.2, 0]]),
        "radiance:base": radiance(np.array([RED, BLUE]), np.array([0.2, 0.9])),
    }
    point_cloud.write_attributes(scene.perpetua.splats, splats)
    splat_viewport.forget()
    middle = (
        HEIGHT // 2,
        WIDTH // 2 + round(0.06 / (0.8 if before else 1.5) * WIDTH / 2 / np.tan(np.radians(20))),
    )
    bodies, front = drawn(scene, solid=True)
    colour, depth = drawn(scene, solid=True, faint=True)
    mixed = 0.8 * bodies[middle] + 0.2 * np.array([*linear(RED), 1.0])
    np.testing.assert_allclose(colour[middle], mixed if before else bodies[middle], atol=0.02)
    np.testing.assert_array_equal(depth, front, "it has no depth of its own")


@pytest.mark.parametrize("how", ["exclude", "hide_viewport"])
def test_a_collection_that_is_not_shown_is_not_drawn(scene: bpy.types.Scene, how: str) -> None:
    shown, _ = drawn(scene, solid=False)
    assert shown.any()
    home = scene.view_layers[0].layer_collection.children["Perpetua"]
    setattr(home, how, True)
    hidden, _ = drawn(scene, solid=False)
    assert not hidden.any()
    setattr(home, how, False)
    again, _ = drawn(scene, solid=False)
    np.testing.assert_array_equal(again, shown)
