"""Takes in other files: linked, instanced, overridden and appended takes play, wherever their file lies."""

import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import clouds, playback, point_cloud, session, splat_viewport, visitors
from mathutils import Matrix
from toy_cache import write_cache

from perpetua_protocol.cache import Cache


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A saved file that plays a cache beside it; another file is open, in a folder of its own."""
    for name in ("shot", "layout"):
        (tmp_path / name).mkdir()
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "shot" / "cache")))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot" / "shot.blend"))
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "layout" / "layout.blend"))
    return tmp_path / "shot" / "shot.blend"


def link(shot: Path, instance: bool) -> bpy.types.Object | None:
    """Link the take's collection as File > Link does. Returns the empty that instances it."""
    inside = f"{shot}/Collection/"
    bpy.ops.wm.link(directory=inside, filename="Perpetua", instance_collections=instance, relative_path=True)
    return next((o for o in bpy.context.scene.objects if o.instance_collection is not None), None)


def visitor(role: str) -> bpy.types.Object:
    (found,) = (o for o in bpy.context.scene.objects if o.get(clouds.STANDS_FOR) and o[clouds.ROLE] == role)
    return found


def assert_plays(cloud: bpy.types.Object, cache: Path, numbers: tuple[int, ...] = (0, 5, 2)) -> None:
    scene = bpy.context.scene
    for number in numbers:
        scene.frame_set(scene.frame_start + number)
        expected = Cache(cache).frame(number)
        for name, values in point_cloud.read_attributes(cloud.data).items():
            np.testing.assert_array_equal(values, expected[name.replace(":", "_")])


def drawn_places() -> list[np.ndarray]:
    """Where the viewport draws the clouds of other files."""
    return [
        np.array(matrix)
        for _, matrix in splat_viewport._visible_clouds(bpy.context.scene.perpetua, bpy.context.view_layer)
    ]


@pytest.mark.parametrize("instance", [True, False], ids=["instanced", "linked"])
def test_a_linked_take_plays_where_it_is_put(shot: Path, instance: bool) -> None:
    empty = link(shot, instance)
    cloud = visitor("splats")
    assert_plays(cloud, shot.parent / "cache")
    still = point_cloud.read_attributes(visitor("background").data)
    np.testing.assert_array_equal(still["position"], Cache(shot.parent / "cache").background()["position"])
    if empty is not None:
        empty.matrix_world = place = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.5, 4, "Z")
        bpy.context.view_layer.update()
        np.testing.assert_allclose(drawn_places(), [place] * 2, atol=1e-6)
    cloud[visitors.OFFSET] = 3
    bpy.context.scene.frame_set(bpy.context.scene.frame_start + 5)
    shown = point_cloud.read_attributes(cloud.data)["position"]
    np.testing.assert_array_equal(shown, Cache(shot.parent / "cache").frame(2)["position"])


def test_what_stands_still_in_a_linked_take_is_written_once(shot: Path) -> None:
    link(shot, instance=True)
    still, moving = visitor("background"), visitor("splats")
    before = [splat_viewport._versions[cloud.session_uid] for cloud in (still, moving)]
    for frame in (2, 4):
        bpy.context.scene.frame_set(frame)
    after = [splat_viewport._versions[cloud.session_uid] for cloud in (still, moving)]
    assert [a - b for a, b in zip(after, before, strict=True)] == [0, 2]


def test_an_overridden_take_plays_too(shot: Path) -> None:
    link(shot, instance=False)
    scene = bpy.context.scene
    (linked,) = (c for c in scene.collection.children if c.library is not None)
    assert linked.override_hierarchy_create(scene, bpy.context.view_layer) is not None
    scene.frame_set(3)
    assert_plays(visitor("splats"), shot.parent / "cache")


def test_only_the_visitor_of_a_linked_take_is_rendered(shot: Path) -> None:
    link(shot, instance=True).location.x = 0.25
    scene = bpy.context.scene
    scene.render.engine = "PERPETUA_SPLATS"
    from bl_ext.user_default.perpetua import splat_engine

    bpy.context.view_layer.update()
    scene.frame_set(4)
    for cloud in scene.objects:
        cloud.hide_viewport = False  # as a render's graph has them
    staying, moving = splat_engine.gather(bpy.context.evaluated_depsgraph_get())
    assert (len(staying), len(moving)) == (1, 1)
    np.testing.assert_allclose(moving[0].matrix[:3, 3], [0.25, 0, 0], atol=1e-6)


def test_a_saved_layout_plays_when_it_is_opened_and_unlinked_takes_go(shot: Path) -> None:
    empty = link(shot, instance=True)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert_plays(visitor("splats"), shot.parent / "cache")
    empty = next(o for o in bpy.context.scene.objects if o.instance_collection is not None)
    bpy.data.objects.remove(empty)
    bpy.context.scene.frame_set(2)
    assert not [o for o in bpy.data.objects if o.get(clouds.STANDS_FOR)]


def test_a_linked_scene_says_that_it_cannot_play_and_leaves_nothing(shot: Path) -> None:
    with bpy.data.libraries.load(str(shot), link=True) as (_, wanted):
        wanted.scenes = ["Scene"]
    (linked,) = (scene for scene in bpy.data.scenes if scene.library is not None)
    before = len(bpy.data.collections)
    for number in (1, 3):
        linked.frame_set(number)
    assert len(bpy.data.collections) == before
    assert "is linked, so its take cannot play" in session.current().unplayable[linked.session_uid]


def test_a_linked_take_without_its_cache_says_so(shot: Path) -> None:
    link(shot, instance=True)
    playback.release()
    shutil.rmtree(shot.parent / "cache")
    bpy.context.scene.frame_set(4)
    assert "There is no cache at" in session.current().sentence
    scene = bpy.context.scene
    scene.render.engine = "PERPETUA_SPLATS"
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    with pytest.raises(RuntimeError, match="There is no cache at"):
        bpy.ops.render.render()


def test_an_appended_scene_plays_from_where_its_cache_lies(shot: Path) -> None:
    bpy.ops.wm.append(directory=f"{shot}/Scene/", filename="Scene")
    made = next(scene for scene in bpy.data.scenes if scene.perpetua.cache_folder)
    assert Path(made.perpetua.cache_folder) == shot.parent / "cache"
    for number in (0, 5):
        made.frame_set(made.frame_start + number)
        shown = point_cloud.read_attributes(made.perpetua.splats.data)
        np.testing.assert_array_equal(
            shown["position"], Cache(shot.parent / "cache").frame(number)["position"]
        )
    bpy.ops.wm.save_mainfile()
    assert made.perpetua.cache_folder == "//../shot/cache"


def test_an_appended_collection_plays_without_its_scene(shot: Path) -> None:
    bpy.ops.wm.append(directory=f"{shot}/Collection/", filename="Perpetua")
    (cloud,) = (o for o in bpy.context.scene.objects if o.get(clouds.ROLE) == "splats")
    assert_plays(cloud, shot.parent / "cache")


def test_an_appended_take_moves_with_its_project(shot: Path, tmp_path: Path) -> None:
    bpy.ops.wm.append(directory=f"{shot}/Collection/", filename="Perpetua")
    layout = Path(bpy.data.filepath)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copied.blend"), copy=True)
    (cloud,) = visitors_appended("splats")
    assert cloud[visitors.CACHE] == str(shot.parent / "cache"), "the open file has stayed where it was"
    bpy.ops.wm.save_mainfile()
    assert cloud[visitors.CACHE] == "//../shot/cache"
    (tmp_path / "moved").mkdir()
    for folder in (shot.parent, layout.parent):
        shutil.move(folder, tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "layout" / "layout.blend"))
    (cloud,) = visitors_appended("splats")
    assert_plays(cloud, tmp_path / "moved" / "shot" / "cache")


def visitors_appended(role: str) -> list[bpy.types.Object]:
    return [cloud for cloud in visitors.appended() if cloud[clouds.ROLE] == role]


def test_a_linked_take_is_hidden_with_what_carries_it(shot: Path) -> None:
    empty = link(shot, instance=True)
    bpy.context.scene.frame_set(2)
    assert drawn_places()
    empty.hide_render = True
    empty.hide_set(True)
    bpy.context.scene.frame_set(3)
    assert not drawn_places()
    assert visitor("splats").hide_render
