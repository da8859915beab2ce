"""Every kind of action: placed, sampled over time as the evaluated scene has it, refused where a take cannot say it."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import force_kinds, overlay, overlay_shapes, take_builder
from bl_ext.user_default.perpetua.errors import AddonError
from bl_ext.user_default.perpetua.panels import forces as forces_panel
from keys import make_linear
from mathutils import Euler
from test_addon import Recorder
from toy_cache import write_cache

from perpetua_protocol import actions
from perpetua_protocol.take import Action, Falloff, MaterialSpec, RotationTrack, ScalarTrack, VectorTrack


@pytest.fixture
def scene(tmp_path: Path) -> bpy.types.Scene:
    """A picture with two objects and two rounds of 8 and 6 frames, from frame 11."""
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(tmp_path / "ball.png")
    image.file_format = "PNG"
    image.save()
    made = bpy.context.scene
    made.frame_start = 11
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "ball.png"))
    for name in ("ball", "cup"):
        bpy.ops.perpetua.add_object(name=name, x=30, y=20)
    bpy.ops.perpetua.add_round(frames=8)
    bpy.ops.perpetua.add_round(frames=6)
    made.frame_set(11)
    return made


def first_action(scene: bpy.types.Scene, through_round: int = 1) -> Action:
    (action,) = take_builder.build_take(scene, through_round).rounds[through_round - 1].actions
    return action


def keyed(owner: bpy.types.Object, path: str, values: dict[int, float]) -> None:
    """Key ``path`` linearly."""
    target, _, name = path.rpartition(".")
    holder = owner.path_resolve(target) if target else owner
    for frame, value in values.items():
        if path.startswith("["):
            owner[path[2:-2]] = value
        else:
            setattr(holder, name, value)
        owner.keyframe_insert(path, frame=frame)
    make_linear(owner)


EXPECTED = {
    "wind": (actions.Wind, {"speed": 3.0, "drag": 2.0, "reach": None}),
    "force": (actions.Force, {"strength": 5.0, "flow": 0.0}),
    "vortex": (actions.Vortex, {"strength": 50.0, "inflow": 0.0}),
    "turbulence": (actions.Turbulence, {"strength": 5.0, "size": 0.05, "speed": 0.1, "seed": 1}),
    "drag": (actions.Drag, {"linear": 2.0, "quadratic": 0.0}),
    "push": (actions.Push, {"force": 5.0, "reach": 0.03}),
    "poke": (actions.Poke, {"impulse": 0.05, "reach": 0.03}),
    "emitter": (actions.Emitter, {"speed": 0.7, "rate": 1.0, "radius": 0.01}),
    "pin": (actions.Pin, {"reach": 0.03, "rotation": (1.0, 0.0, 0.0, 0.0)}),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_kind_becomes_its_action(scene: bpy.types.Scene, kind: str) -> None:
    bpy.ops.perpetua.add_force(kind=kind, location=(0.1, 0.2, 0.3))
    made, expected = EXPECTED[kind]
    action = first_action(scene)
    assert type(action) is made
    assert action.name == force_kinds.KINDS[kind].label
    assert (action.start, action.end) == ((0.0, 1.0) if kind == "poke" else (0.0, 8.0))
    assert action.location == pytest.approx((0.1, 0.2, 0.3))
    for name, value in expected.items():
        assert getattr(action, name) == (pytest.approx(value, abs=1e-6) if value is not None else None), name
    carrier = scene.perpetua.forces[0].object
    assert (carrier.field.type if carrier.field else "") == force_kinds.KINDS[kind].field


def test_every_kind_of_the_wire_can_be_placed() -> None:
    placed = {made for made, _ in EXPECTED.values()} | {actions.Collider}
    assert placed == set(actions.Action.__args__)
    assert set(force_kinds.KINDS) == {*EXPECTED, "collider"}


def test_a_keyed_vortex_turns_and_grows(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="vortex", location=(0, 0, 0), reach=0.4)
    carrier = scene.perpetua.forces[0].object
    keyed(carrier, "field.strength", {11: 0.0, 19: 80.0})
    keyed(carrier, "field.inflow", {11: 4.0, 15: 8.0})
    action = first_action(scene)
    assert action.strength == ScalarTrack((0.0, 8.0), (0.0, 80.0))
    assert action.inflow == ScalarTrack((0.0, 4.0, 8.0), (4.0, 8.0, 8.0))
    assert action.falloff == Falloff(max_distance=pytest.approx(0.4))


def test_blenders_falloff_goes_along(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="force", direction=(0, 1, 0), strength=-7.0)
    field = scene.perpetua.forces[0].object.field
    field.falloff_type, field.falloff_power, field.z_direction = "CONE", 1.5, "POSITIVE"
    field.use_min_distance, field.distance_min = True, 0.1
    field.use_max_distance, field.distance_max = True, 0.5
    field.use_radial_max, field.radial_max, field.radial_falloff = True, 30.0, 0.25
    action = first_action(scene)
    assert action.strength == -7.0
    assert action.axis == pytest.approx((0, 1, 0), abs=1e-6)
    assert action.falloff == Falloff(
        "cone", 1.5, pytest.approx(0.1), 0.5, radial_power=0.25, radial_max=30.0, side="positive"
    )


def test_a_pin_carries_what_it_holds_along_its_keys(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="pin", location=(0, 0, 0), reach=0.0)
    pin = scene.perpetua.forces[0].object
    for frame, height, turn in ((11, 0.0, 0.0), (15, 0.1, np.pi / 2), (19, 0.1, np.pi / 2)):
        pin.location.z, pin.rotation_euler = height, Euler((0, 0, turn))
        pin.keyframe_insert("location", frame=frame)
        pin.keyframe_insert("rotation_euler", frame=frame)
    make_linear(pin)
    scene.perpetua.forces[0].targets = "cup"
    action = first_action(scene)
    assert action.reach is None  # its objects whole
    assert action.targets == ("cup",)
    assert isinstance(action.location, VectorTrack)
    assert isinstance(action.rotation, RotationTrack)
    assert action.rotation.frames == (0.0, 4.0, 8.0), "an even turn about one axis needs its ends alone"
    half = np.sqrt(0.5)
    np.testing.assert_allclose(np.abs(action.rotation.values), [(1, 0, 0, 0), (half, 0, 0, half), (half, 0, 0, half)], atol=1e-6)  # fmt: skip


def test_an_emitter_lets_out_what_the_list_says(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="emitter", name="tap", location=(0, 0, 0.2), reach=0.02, start=11, end=25)
    tap = scene.perpetua.forces[0]
    keyed(tap.object, '["perpetua_rate"]', {11: 0.0, 15: 1.0})
    action = first_action(scene)
    assert (action.material, action.colour, action.radius) == (
        MaterialSpec("water"),
        None,
        pytest.approx(0.02),
    )
    assert action.rate == ScalarTrack((0.0, 4.0, 8.0), (0.0, 1.0, 1.0))
    assert action.direction == pytest.approx((0, 0, -1), abs=1e-6)
    tap.material, tap.use_colour, tap.colour = "honey", True, (1.0, 0.5, 0.25)
    first, second = (turn.actions[0] for turn in take_builder.build_take(scene, 2).rounds)
    assert (first.material, first.colour) == (MaterialSpec("honey"), (1.0, 0.5, 0.25))
    assert (first.start, first.end, second.start, second.end) == (0.0, 8.0, 8.0, 14.0), "cut without a seam"
    bpy.ops.perpetua.add_force(kind="drag", start=19, end=25)
    bpy.ops.perpetua.toggle_target(index=1, name="tap")
    _, drag = take_builder.build_take(scene, 2).rounds[1].actions
    assert drag.targets == ("tap",)


def test_a_mesh_becomes_a_collider_with_its_scale_and_modifiers(scene: bpy.types.Scene) -> None:
    bpy.ops.mesh.primitive_cube_add(size=0.1, location=(0.3, 0, 0.05), rotation=(0, 0, np.pi / 2))
    cube = bpy.context.object
    cube.scale = (2.0, 1.0, -1.0)
    cube.modifiers.new("thicker", "SUBSURF").subdivision_type = "SIMPLE"
    bpy.ops.perpetua.add_force(kind="collider")
    assert scene.perpetua.forces[0].object == cube
    cube.keyframe_insert("location", frame=11)
    cube.location.x = 0.5
    cube.keyframe_insert("location", frame=19)
    action = first_action(scene)
    assert isinstance(action, actions.Collider)
    assert action.friction == 0.5
    assert isinstance(action.location, VectorTrack)
    corners = np.array(action.mesh.vertices)
    np.testing.assert_allclose(np.ptp(corners, axis=0), [0.2, 0.1, 0.1], atol=1e-6)
    assert len(action.mesh.faces) == 6 * 4 * 2
    assert signed_volume(corners, np.array(action.mesh.faces)) == pytest.approx(0.002, rel=1e-5), (
        "faces look out"
    )
    bpy.ops.perpetua.remove(kind="forces")
    assert cube.name in bpy.data.objects, "the artist's own mesh stays"
    assert not [name for name, _ in cube.items() if name.startswith("perpetua_")]


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """By the divergence theorem: positive where triangles run counter-clockwise as seen from outside."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_blenders_own_force_field_is_taken_over(scene: bpy.types.Scene) -> None:
    bpy.ops.object.effector_add(type="WIND", location=(0, 0, 1))
    bpy.context.object.field.strength = 4.0
    bpy.ops.perpetua.use_force()
    assert first_action(scene).speed == 4.0
    with pytest.raises(RuntimeError, match="in the list already"):
        bpy.ops.perpetua.use_force()
    bpy.ops.object.effector_add(type="MAGNET")
    with pytest.raises(RuntimeError, match="no force field that Perpetua knows"):
        bpy.ops.perpetua.use_force()


def test_a_blow_belongs_to_the_round_it_begins_in(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="poke", start=18, end=22)
    first, second = take_builder.build_take(scene, 2).rounds
    assert [(a.start, a.end) for a in first.actions] == [(7.0, 8.0)]
    assert second.actions == ()


def test_objects_are_chosen_by_their_buttons(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="drag")
    bpy.ops.perpetua.toggle_target(index=0, name="cup")
    bpy.ops.perpetua.toggle_target(index=0, name="ball")
    assert first_action(scene).targets == ("cup", "ball")
    bpy.ops.perpetua.toggle_target(index=0, name="cup")
    assert first_action(scene).targets == ("ball",)
    with pytest.raises(RuntimeError, match="no object 'plate'"):
        bpy.ops.perpetua.toggle_target(index=0, name="plate")
    bpy.ops.perpetua.toggle_target(index=0, name="")
    assert first_action(scene).targets == (), "everything"


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("force", lambda c: keyed(c, "field.flow", {11: 0.0, 19: 2.0}), "changes its flow over time"),
        ("force", lambda c: keyed(c, "field.falloff_power", {11: 0.0, 19: 2.0}), "changes its falloff over time"),
        ("pin", lambda c: keyed(c, '["perpetua_reach"]', {11: 0.1, 19: 0.2}), "changes its reach over time"),
        ("force", lambda c: setattr(c.field, "noise", 1.0), "has noise"),
        ("force", lambda c: setattr(c.field, "shape", "LINE"), "acts from a line"),
        ("force", lambda c: setattr(c.field, "type", "MAGNET"), "carries no force any more"),
        ("wind", lambda c: setattr(c.field, "strength", float("inf")), "has the strength inf"),
    ],
)  # fmt: skip
def test_what_a_take_cannot_say_is_named(
    scene: bpy.types.Scene, kind: str, change: object, sentence: str
) -> None:
    bpy.ops.perpetua.add_force(kind=kind, name="Odd")
    change(scene.perpetua.forces[0].object)
    with pytest.raises(AddonError, match=f"'Odd' {sentence}"):
        take_builder.build_take(scene, 1)


def test_meshes_that_cannot_collide_are_named(scene: bpy.types.Scene) -> None:
    with pytest.raises(RuntimeError, match="No object is active"):
        bpy.ops.perpetua.add_force(kind="collider")
    bpy.ops.object.empty_add()
    with pytest.raises(RuntimeError, match="is not a mesh"):
        bpy.ops.perpetua.add_force(kind="collider")
    bpy.ops.mesh.primitive_plane_add()
    bpy.ops.perpetua.add_force(kind="collider")
    plane = bpy.context.object
    with pytest.raises(AddonError, match="no solid shape"):
        take_builder.build_take(scene, 1)
    bpy.ops.mesh.primitive_cube_add()
    parent, child = plane, bpy.context.object
    parent.scale, child.rotation_euler = (1, 3, 1), (0, 0, 0.5)
    child.parent = parent
    scene.perpetua.forces[0].object = child
    child["perpetua_kind"], child["perpetua_friction"] = "collider", 0.5
    with pytest.raises(AddonError, match="is sheared"):
        take_builder.build_take(scene, 1)
    child.parent = None
    keyed_scale = {11: (1, 1, 1), 19: (2, 2, 2)}
    for frame, scale in keyed_scale.items():
        child.scale = scale
        child.keyframe_insert("scale", frame=frame)
    with pytest.raises(AddonError, match="changes its mesh over time"):
        take_builder.build_take(scene, 1)


def test_the_viewport_shows_where_and_when_a_force_acts(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_push(
        name="Thumb", location=(0.1, 0, 0.2), direction=(0, 0, -1), force=20, reach=0.05, start=13, end=18
    )
    bpy.context.view_layer.update()
    (shown,) = overlay.shown_forces(scene)
    assert shown.text == "Thumb  20 N  13-18"
    assert not shown.acting
    span = scene.frame_end - scene.frame_start
    assert shown.part == pytest.approx((2 / span, 7 / span))
    points = shown.lines.reshape(-1, 3) - (0.1, 0, 0.2)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(0.05, rel=1e-5), "no farther than its reach"
    tip = points[np.linalg.norm(points, axis=1).argmax()]
    assert any(np.allclose(point, (0, 0, -0.05), atol=1e-6) for point in points), tip
    scene.frame_set(14)
    assert next(overlay.shown_forces(scene)).acting
    scene.perpetua.forces[0].enabled = False
    assert list(overlay.shown_forces(scene)) == []


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_kind_has_a_shape(scene: bpy.types.Scene, kind: str) -> None:
    bpy.ops.perpetua.add_force(kind=kind)
    (shown,) = overlay.shown_forces(scene)
    assert shown.lines.shape[1:] == (2, 3)
    assert np.isfinite(shown.lines).all()
    assert len(shown.lines) >= 3


def test_overlay_shapes() -> None:
    centre, axis = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.6, 0.8])
    ring = overlay_shapes.circle(centre, axis, 0.5).reshape(-1, 3) - centre
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 0.5)
    np.testing.assert_allclose(ring @ axis, 0, atol=1e-12)
    edges = overlay_shapes.box(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    lengths = sorted(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1))
    assert lengths == [1.0] * 4 + [2.0] * 4 + [3.0] * 4
    side, other = overlay_shapes.across(axis)
    np.testing.assert_allclose(np.cross(side, other), axis, atol=1e-12)
    grid = overlay_shapes.grid(centre, 0.5)
    assert (grid[..., 2] == 0).all()


def test_bounds_are_those_of_the_round_that_plays(tmp_path: Path) -> None:
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache", rounds=(4, 3))))
    scene = bpy.context.scene
    scene.perpetua.show_table = False
    scene.perpetua.show_bounds = True
    tops = []
    for frame in (0, 2, 6):
        scene.frame_set(scene.frame_start + frame)
        tops.append(overlay.place_lines(scene)[..., 2].max())
    np.testing.assert_allclose(tops, (0.5, 1.6, 2.6), err_msg="the picture's, then the rounds' own")


def test_labels_do_not_cover_each_other() -> None:
    wanted = [
        (10.0, 10.0, 80.0, 26.0),
        (60.0, 20.0, 80.0, 26.0),
        (12.0, 30.0, 20.0, 26.0),
        (200.0, 12.0, 80.0, 26.0),
    ]
    taken: list[overlay.Rectangle] = []
    for place in wanted:
        taken.append(overlay.free_place(place, taken))
    assert taken[0] == wanted[0]
    assert taken[3] == wanted[3], "nothing is in its way"
    for index, (x, y, width, height) in enumerate(taken):
        for left, low, wide, high in taken[:index]:
            assert x >= left + wide or left >= x + width or y >= low + high or low >= y + height


def test_a_force_that_is_deleted_in_the_viewport_does_not_act(scene: bpy.types.Scene) -> None:
    for kind in ("push", "wind"):
        bpy.ops.perpetua.add_force(kind=kind)
    bpy.ops.ed.undo_push(message="forces")
    bpy.ops.object.select_all(action="DESELECT")
    scene.perpetua.forces[0].object.select_set(True)
    bpy.ops.object.delete()
    bpy.ops.ed.undo_push(message="deleted")
    assert [entry.there for entry in scene.perpetua.forces] == [False, True]
    assert [a.name for a in take_builder.build_take(scene, 1).rounds[0].actions] == ["Wind"]
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert [a.name for a in take_builder.build_take(scene, 1).rounds[0].actions] == ["Push", "Wind"]


@pytest.mark.parametrize("how", ["disabled", "excluded", "collection disabled", "hidden"])
def test_a_force_that_is_not_shown_acts_as_its_keys_say(scene: bpy.types.Scene, how: str) -> None:
    bpy.ops.mesh.primitive_ico_sphere_add(radius=0.05)
    bpy.ops.perpetua.add_force(kind="collider")
    bpy.ops.perpetua.add_force(kind="push")
    home = bpy.data.collections.new("home")
    scene.collection.children.link(home)
    for entry in scene.perpetua.forces:
        moved = entry.object
        moved.users_collection[0].objects.unlink(moved)
        home.objects.link(moved)
        keyed(moved, "location", {11: (0.5, 0, 0), 19: (0.9, 0, 0)})
        moved.hide_viewport = how == "disabled"
        if how == "hidden":
            moved.hide_set(True)
    home.hide_viewport = how == "collection disabled"
    bpy.context.view_layer.layer_collection.children["home"].exclude = how == "excluded"
    collections = set(bpy.data.collections)
    for action in take_builder.build_take(scene, 1).rounds[0].actions:
        assert isinstance(action.location, VectorTrack), action.name
        assert [round(place[0], 5) for place in action.location.values] == [0.5, 0.9]
    assert set(bpy.data.collections) == collections
    assert all(e.object.hide_viewport == (how == "disabled") for e in scene.perpetua.forces)


@pytest.mark.parametrize("kind", ["push", "wind", "pin", "emitter"])
def test_a_copy_of_a_force_is_named_and_can_be_taken_over(scene: bpy.types.Scene, kind: str) -> None:
    bpy.ops.perpetua.add_force(kind=kind, start=11, end=13)
    bpy.ops.object.duplicate()
    copied = bpy.context.object
    log: list[str] = []
    panel = type("Panel", (), {"layout": Recorder(log)})()
    forces_panel.PERPETUA_PT_forces.draw(panel, bpy.context)
    assert f"'{copied.name}'" in " ".join(log)
    bpy.ops.perpetua.use_force()
    assert scene.perpetua.forces[1].object == copied
    assert copied["perpetua_end"] == 13
    actions = take_builder.build_take(scene, 1).rounds[0].actions
    assert [action.name for action in actions] == [scene.perpetua.forces[0].object.name, copied.name]
    log.clear()
    forces_panel.PERPETUA_PT_forces.draw(panel, bpy.context)
    assert "does not act" not in " ".join(log)


def test_a_copy_of_an_emitter_pours_the_same(scene: bpy.types.Scene) -> None:
    bpy.ops.perpetua.add_force(kind="emitter")
    bpy.ops.perpetua.add_force(kind="drag")
    scene.perpetua.forces[0].material, scene.perpetua.forces[0].use_colour = "honey", True
    scene.perpetua.forces[1].targets = "cup"
    for index in (0, 1):
        scene.perpetua.force_index = index
        bpy.ops.object.duplicate()
        bpy.ops.perpetua.use_force()
    poured, slowed = scene.perpetua.forces[2:4]
    assert (poured.material, poured.use_colour, poured.targets) == ("honey", True, "")
    assert slowed.targets == "cup"
