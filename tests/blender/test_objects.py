"""The picture's objects: points, boxes, parts, materials and what is changed of them, as the take has them."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import materials, picture_marks, take_builder

from perpetua_protocol.take import Click, MaterialSpec, RegionSpec

Scene = bpy.types.Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(tmp_path / "dumpling.png")
    image.file_format = "PNG"
    image.save()
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "dumpling.png"))
    return bpy.context.scene


def test_an_object_may_be_boxed_instead_of_clicked(scene: Scene) -> None:
    bpy.ops.perpetua.set_box(name="ball", box=(50, 30, 10, 5))  # dragged from the lower right
    (thing,) = take_builder.build_take(scene, 0).objects
    assert (thing.box, thing.clicks) == ((10, 5, 50, 30), ())
    bpy.ops.perpetua.add_click(name="ball", x=12, y=7, inside=False)
    (thing,) = take_builder.build_take(scene, 0).objects
    assert thing.clicks == (Click(12, 7, False),)
    bpy.ops.perpetua.clear_marks(name="ball")
    with pytest.raises(Exception, match="neither a click inside it nor a box"):
        take_builder.build_take(scene, 0)
    with pytest.raises(RuntimeError, match="too small or outside"):
        bpy.ops.perpetua.set_box(name="ball", box=(70, 1, 90, 30))


def test_several_objects_each_with_its_material(scene: Scene) -> None:
    for name, material in (("dough", "dough"), ("pin", "wood"), ("cloth", "silk")):
        bpy.ops.perpetua.add_object(name=name, x=5, y=5, material=material)
    scene.perpetua.things["cloth"].held = False
    scene.perpetua.things["pin"].resting = False
    things = take_builder.build_take(scene, 0).objects
    assert [(t.name, t.material.preset, t.resting, t.held) for t in things] == [
        ("dough", "dough", True, True),
        ("pin", "wood", False, True),
        ("cloth", "silk", True, False),
    ]


def test_clicks_may_be_an_outline(scene: Scene) -> None:
    bpy.ops.perpetua.add_object(name="glass", x=5, y=5, material="glass")
    for x, y in ((30, 5), (30, 25)):
        bpy.ops.perpetua.add_click(name="glass", x=x, y=y)
    scene.perpetua.things["glass"].outline = True
    (thing,) = take_builder.build_take(scene, 0).objects
    assert (thing.outline, thing.clicks) == (True, (Click(5, 5), Click(30, 5), Click(30, 25)))


def test_parts_made_of_something_else(scene: Scene) -> None:
    bpy.ops.perpetua.add_object(name="dumpling", x=30, y=18, material="dough")
    bpy.ops.perpetua.add_region(name="dumpling", region="filling", material="jam")
    bpy.ops.perpetua.add_region(name="dumpling", region="filling", material="jelly")
    bpy.ops.perpetua.add_click(name="dumpling", region="filling", x=31, y=19)
    bpy.ops.perpetua.set_box(name="dumpling", region="filling 2", box=(1, 2, 20, 30))
    (thing,) = take_builder.build_take(scene, 0).objects
    assert thing.regions == (
        RegionSpec("filling", (Click(31, 19),), None, MaterialSpec("jam")),
        RegionSpec("filling 2", (), (1, 2, 20, 30), MaterialSpec("jelly")),
    )
    bpy.ops.perpetua.remove_region(name="dumpling", region="filling 2")
    (thing,) = take_builder.build_take(scene, 0).objects
    assert [part.name for part in thing.regions] == ["filling"]
    with pytest.raises(RuntimeError, match="has no part 'stone'"):
        bpy.ops.perpetua.add_click(name="dumpling", region="stone", x=1, y=1)


def test_numbers_of_a_material_can_be_changed(scene: Scene) -> None:
    bpy.ops.perpetua.add_object(name="ball", x=30, y=18, material="rubber")
    bpy.ops.perpetua.change_material(name="ball", parameter="density", value=900.0)
    bpy.ops.perpetua.change_material(name="ball", parameter="youngs_modulus", value=50_000.0)
    bpy.ops.perpetua.change_material(name="ball", parameter="density", value=950.0)
    (thing,) = take_builder.build_take(scene, 0).objects
    assert thing.material == MaterialSpec("rubber", density=950.0, youngs_modulus=50_000.0)
    bpy.ops.perpetua.keep_material(name="ball", index=0)
    (thing,) = take_builder.build_take(scene, 0).objects
    assert thing.material == MaterialSpec("rubber", youngs_modulus=50_000.0)


def test_every_number_of_a_material_is_offered() -> None:
    assert {name for name, _, _ in materials.PARAMETERS} == set(MaterialSpec.__struct_fields__) - {"preset"}


def test_every_preset_can_be_chosen(scene: Scene) -> None:
    bpy.ops.perpetua.add_object(name="ball", x=30, y=18)
    names = [name for name, _, _ in materials.MATERIALS if name]
    for name in names:
        scene.perpetua.things[0].material = name
        assert take_builder.build_take(scene, 0).objects[0].material.preset == name
    assert len(names) == len(set(names))


class HalfSize:
    """A view that shows a picture of 64 x 36 at half its size."""

    @staticmethod
    def view_to_region(u: float, v: float, clip: bool) -> tuple[float, float]:
        return 32 * u, 18 * v


def test_marks_are_drawn_where_they_lie_in_the_picture(scene: Scene) -> None:
    bpy.ops.perpetua.add_object(name="ball", x=10, y=6)
    bpy.ops.perpetua.add_click(name="ball", x=50, y=30, inside=False)
    bpy.ops.perpetua.set_box(name="cup", box=(20, 4, 40, 24))
    inside, outside, box = picture_marks.marks(scene.perpetua)
    assert [mark.inside for mark in (inside, outside, box)] == [True, False, True]
    assert [mark.chosen for mark in (inside, outside, box)] == [False, False, True], "the cup is the newest"
    ring = picture_marks.outline(inside, HalfSize, (64, 36)).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(ring - [5, 15, 0], axis=1), picture_marks.POINT_PX, rtol=1e-9)
    corners = picture_marks.outline(box, HalfSize, (64, 36)).reshape(-1, 3)
    assert {tuple(corner) for corner in corners.round(9)} == {
        (10, 16, 0),
        (20, 16, 0),
        (20, 6, 0),
        (10, 6, 0),
    }
