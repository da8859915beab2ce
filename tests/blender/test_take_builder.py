"""Scene to take: keyed empties sampled as they are, simplified without loss, cameras in both directions."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import cameras, take_builder, tracks
from bl_ext.user_default.perpetua.errors import AddonError
from bpy_extras.object_utils import world_to_camera_view
from keys import make_linear
from mathutils import Euler, Matrix, Vector

from perpetua_protocol.take import CameraSpec, Push, ScalarTrack, VectorTrack, Wind


@pytest.fixture
def scene(tmp_path: Path) -> bpy.types.Scene:
    """A picture with an object and two rounds of 8 and 6 frames, from frame 11."""
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(tmp_path / "ball.png")
    image.file_format = "PNG"
    image.save()
    made = bpy.context.scene
    made.frame_start = 11
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "ball.png"))
    bpy.ops.perpetua.add_object(name="ball", x=30.5, y=20, material="jelly", height=0.07)
    bpy.ops.perpetua.add_round(frames=8)
    bpy.ops.perpetua.add_round(frames=6)
    return made


def test_picture_and_objects(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_click(name="ball", x=3, y=4, inside=False)
    scene.perpetua.horizontal_fov = 33.0
    scene.perpetua.table_edge_y = 12.0
    take = take_builder.build_take(scene, 2)
    assert (take.name, take.picture, take.fps) == ("ball", "ball.png", 24.0)
    (thing,) = take.objects
    assert [(c.x, c.y, c.inside) for c in thing.clicks] == [(30.5, 20, True), (3, 4, False)]
    assert (thing.material.preset, thing.height) == ("jelly", pytest.approx(0.07))
    assert (take.scene.horizontal_fov_degrees, take.scene.table_edge_y) == (33.0, 12.0)
    assert take.scene.horizon_y is None
    assert take.scene.camera_pitch_degrees is None
    assert [r.frames for r in take.rounds] == [8, 6]
    assert take.cameras == (
        CameraSpec("front", "front"),
        CameraSpec("left", "side", -25.0),
        CameraSpec("right", "side", 25.0),
    )
    assert (scene.render.resolution_x, scene.render.resolution_y) == (64, 36)


def test_keyed_push_is_sampled_as_the_timeline_has_it(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(
        name="Poke", location=(0.1, 0, 0.05), direction=(0, 1, 0), force=2.0, reach=0.04, start=13, end=17
    )
    push = scene.perpetua.forces[0].object
    push["perpetua_force"] = 1.0
    push.keyframe_insert('["perpetua_force"]', frame=13)
    push["perpetua_force"] = 5.0
    push.keyframe_insert('["perpetua_force"]', frame=17)
    push.location = (0.1, 0, 0.05)
    push.keyframe_insert("location", frame=11)
    push.location = (0.3, 0, 0.05)
    push.keyframe_insert("location", frame=19)
    make_linear(push)
    scene.frame_set(12)
    first, second = take_builder.build_take(scene, 2).rounds
    assert scene.frame_current == 12
    assert second.actions == ()
    (action,) = first.actions
    assert isinstance(action, Push)
    assert (action.name, action.start, action.end) == ("Poke", 2.0, 6.0)
    assert action.reach == pytest.approx(0.04)
    assert action.direction == pytest.approx((0, 1, 0), abs=1e-6)
    assert action.force == ScalarTrack((0.0, 2.0, 6.0, 8.0), (1.0, 1.0, 5.0, 5.0))
    assert isinstance(action.location, VectorTrack)
    assert action.location.frames == (0.0, 8.0)
    np.testing.assert_allclose(action.location.values, [(0.1, 0, 0.05), (0.3, 0, 0.05)], atol=1e-6)


def test_smooth_keys_keep_every_frame_within_tolerance(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_wind(name="Breeze", direction=(1, 0, 0), strength=1.0, start=11, end=25)
    wind = scene.perpetua.forces[0].object
    for frame, strength, angle in ((11, 0.0, 0.0), (16, 12.0, 40.0), (25, 3.0, 90.0)):
        wind.field.strength = strength
        wind.keyframe_insert("field.strength", frame=frame)
        wind.rotation_euler = Euler((0, np.radians(90), np.radians(angle)))
        wind.keyframe_insert("rotation_euler", frame=frame)
    take = take_builder.build_take(scene, 2)
    start = 0
    for turn in take.rounds:
        (action,) = turn.actions
        assert isinstance(action, Wind)
        assert (action.start, action.end) == (start, start + turn.frames)
        for frame in range(start, start + turn.frames + 1):
            scene.frame_set(11 + frame)
            seen = wind.evaluated_get(bpy.context.evaluated_depsgraph_get())
            speed = np.interp(frame, action.speed.frames, action.speed.values)
            assert speed == pytest.approx(seen.field.strength, abs=2e-4)
            values = np.array(action.direction.values)
            way = [np.interp(frame, action.direction.frames, values[:, axis]) for axis in range(3)]
            np.testing.assert_allclose(way, seen.matrix_world.col[2].xyz, atol=2e-4)
        start += turn.frames


def test_constant_forces_become_plain_numbers(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_wind(
        direction=(0, 2, 0), strength=9.0, reach=0.5, start=11, end=19, location=(0, -1, 0)
    )
    scene.perpetua.forces[0].targets = "ball"
    (action,) = take_builder.build_take(scene, 1).rounds[0].actions
    assert action.speed == 9.0
    assert action.direction == pytest.approx((0, 1, 0), abs=1e-6)
    assert action.location == pytest.approx((0, -1, 0))
    assert (action.reach, action.drag, action.targets) == (0.5, 2.0, ("ball",))


def test_parents_and_switches_count(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(location=(0, 0, 0), direction=(0, 0, 1), start=11, end=19)
    push = scene.perpetua.forces[0].object
    parent = bpy.data.objects.new("parent", None)
    scene.collection.objects.link(parent)
    parent.matrix_world = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(np.pi / 2, 4, "X")
    push.parent = parent
    (action,) = take_builder.build_take(scene, 1).rounds[0].actions
    assert action.location == pytest.approx((1, 2, 3))
    assert action.direction == pytest.approx((0, -1, 0), abs=1e-6)
    scene.perpetua.forces[0].enabled = False
    assert take_builder.build_take(scene, 1).rounds[0].actions == ()


def test_gravity_is_the_scenes(scene: bpy.types.Scene) -> None:
    assert take_builder.build_take(scene, 1).gravity == pytest.approx((0, 0, -9.81))
    scene.use_gravity = False
    assert take_builder.build_take(scene, 1).gravity == (0, 0, 0)
    scene.use_gravity = True
    for frame, z in ((11, -10.0), (19, -2.0)):
        scene.gravity = (0, 0, z)
        scene.keyframe_insert("gravity", frame=frame)
    make_linear(scene)
    gravity = take_builder.build_take(scene, 1).gravity
    assert gravity == VectorTrack((0.0, 8.0), ((0, 0, -10.0), (0, 0, -2.0)))


def test_a_script_needs_no_update_for_its_values_to_count(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(name="Poke", force=2.0, reach=0.04)
    bpy.ops.perpetua.add_wind(name="Breeze", strength=3.0, reach=0.5)
    push, wind = (entry.object for entry in scene.perpetua.forces)
    for force, drag, strength in ((7.0, 1.5, 8.0), (9.0, 4.0, 5.0)):
        push["perpetua_force"], push["perpetua_reach"] = force, force / 100
        wind["perpetua_drag"], wind.field.strength, wind.field.distance_max = drag, strength, drag / 4
        poke, breeze = take_builder.build_take(scene, 1).rounds[0].actions
        assert (poke.force, poke.reach) == (force, force / 100)
        assert (breeze.speed, breeze.drag, breeze.reach) == (strength, drag, drag / 4)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(
    ("name", "setting", "what"),
    [
        ("Poke", lambda force, value: force.__setitem__("perpetua_force", value), "perpetua_force"),
        ("Poke", lambda force, value: force.__setitem__("perpetua_reach", value), "perpetua_reach"),
        ("Poke", lambda force, value: force.__setitem__("perpetua_start", value), "perpetua_start"),
        ("Poke", lambda force, value: force.__setitem__("perpetua_end", value), "perpetua_end"),
        ("Breeze", lambda force, value: force.__setitem__("perpetua_drag", value), "perpetua_drag"),
        ("Breeze", lambda force, value: setattr(force.field, "strength", value), "strength"),
    ],
)  # fmt: skip
def test_a_force_with_an_impossible_number_is_named(
    scene: bpy.types.Scene, name: str, setting: object, what: str, value: float
) -> None:
    bpy.ops.perpetua.add_push(name="Poke", force=2.0, reach=0.04)
    bpy.ops.perpetua.add_wind(name="Breeze", strength=3.0)
    setting(bpy.data.objects[name], value)
    with pytest.raises(AddonError, match=rf"'{name}' has the {what} -?(inf|nan); give it a finite number"):
        take_builder.build_take(scene, 2)


def test_a_force_that_is_nowhere_is_named(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(name="Poke")
    bpy.data.objects["Poke"].location = (float("nan"), 0, 0)
    with pytest.raises(AddonError, match="'Poke' has the location nan"):
        take_builder.build_take(scene, 1)


def test_a_force_whose_number_is_a_word_or_gone_is_named(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(name="Poke")
    push = bpy.data.objects["Poke"]
    push["perpetua_force"] = "much"
    with pytest.raises(AddonError, match="'Poke' has no number in its property perpetua_force"):
        take_builder.build_take(scene, 1)
    push["perpetua_force"] = 1.0
    del push["perpetua_reach"]
    with pytest.raises(AddonError, match="'Poke' has no number in its property perpetua_reach"):
        take_builder.build_take(scene, 1)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda s: s.perpetua.things.clear(), "no object"),
        (lambda s: setattr(s.perpetua, "picture", "//nowhere.png"), "no file at"),
        (lambda s: s.perpetua.rounds.clear(), "add a round"),
        (lambda s: setattr(s.unit_settings, "scale_length", 0.01), "A unit of this scene is 0.01 m"),
        (lambda s: bpy.ops.perpetua.add_push(start=15, end=16) and s.perpetua.forces[0].object.__setitem__("perpetua_end", 12), "ends at its start"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(scene: bpy.types.Scene, break_it: object, sentence: str) -> None:
    break_it(scene)
    with pytest.raises(Exception, match=sentence):
        take_builder.build_take(scene, 1)


def test_clicks_outside_the_picture_are_refused(scene: bpy.types.Scene) -> None:
    with pytest.raises(RuntimeError, match="outside the picture"):
        bpy.ops.perpetua.add_object(name="b", x=64, y=3)
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.perpetua.add_object(name="ball", x=6, y=3)


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(64, 36), (36, 64)])
def test_camera_round_trip_against_blenders_projection(fit: str, size: tuple[int, int]) -> None:
    """A camera goes out as matrix and field of view, comes back, and projects every point to the same pixel."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    data = bpy.data.cameras.new("own")
    data.sensor_fit, data.lens, data.sensor_width, data.sensor_height = fit, 43.0, 31.0, 19.0
    own = bpy.data.objects.new("own", data)
    own.matrix_world = Matrix.LocRotScale(Vector((0.2, -0.9, 0.4)), Euler((1.2, 0.1, 0.2)), Vector((2, 2, 2)))
    scene.collection.objects.link(own)
    bpy.context.view_layer.update()
    spec = cameras.camera_spec("own", "side", own, scene)
    matrix = Matrix(np.array(spec.matrix_world).reshape(4, 4).tolist())
    back = cameras.new_camera("back", matrix, spec.horizontal_fov_degrees, scene.collection)
    bpy.context.view_layer.update()
    own.scale = (1, 1, 1)
    own.matrix_world = own.matrix_world.normalized()
    bpy.context.view_layer.update()
    width, height = size
    focal = width / 2 / np.tan(np.radians(spec.horizontal_fov_degrees) / 2)
    for point in np.random.default_rng(3).uniform(-0.2, 0.2, (10, 3)):
        a, b = (np.array(world_to_camera_view(scene, c, Vector(point))) for c in (own, back))
        np.testing.assert_allclose(a, b, atol=1e-5)
        eye = np.linalg.inv(np.array(spec.matrix_world).reshape(4, 4)) @ [*point, 1]  # looks along -z
        pixel = [width / 2 + focal * eye[0] / -eye[2], height / 2 - focal * eye[1] / -eye[2]]
        np.testing.assert_allclose(pixel, [a[0] * width, (1 - a[1]) * height], atol=1e-3)


def test_cameras_a_take_cannot_describe_are_refused() -> None:
    scene = bpy.context.scene
    made = bpy.data.objects.new("c", bpy.data.cameras.new("c"))
    made.data.shift_x = 0.1
    with pytest.raises(Exception, match="lens shift"):
        cameras.horizontal_fov(made, scene.render)
    made.data.type = "ORTHO"
    with pytest.raises(Exception, match="not a perspective"):
        cameras.horizontal_fov(made, scene.render)


def test_tracks_drop_what_interpolation_gives_back() -> None:
    frames = [float(f) for f in range(101)]
    assert tracks.scalar_track(frames, [3.0] * 101) == 3.0
    values = [min(f, 50.0) for f in frames]
    assert tracks.scalar_track(frames, values) == ScalarTrack((0.0, 50.0, 100.0), (0.0, 50.0, 50.0))
    wavy = [float(np.sin(f / 9)) for f in frames]
    track = tracks.scalar_track(frames, wavy)
    np.testing.assert_allclose(np.interp(frames, track.frames, track.values), wavy, atol=1e-5)
