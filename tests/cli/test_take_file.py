"""take.yaml: read, written, and refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trimesh
import yaml

from perpetua.physics.motion import check_targets
from perpetua.scene.materials import resolve
from perpetua.take_file import load_take, save_take
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import (
    CameraSpec,
    Click,
    Collider,
    Drag,
    Falloff,
    Force,
    MaterialSpec,
    Mesh,
    ObjectSpec,
    Pin,
    Poke,
    Push,
    Quality,
    RegionSpec,
    RotationTrack,
    Round,
    ScalarTrack,
    SceneSettings,
    Take,
    Turbulence,
    VectorTrack,
    Vortex,
    Wind,
    validate,
)

TAKE = Take(
    name="t",
    picture="pictures/p.png",
    objects=(ObjectSpec("ball", (Click(1, 2),)),),
    rounds=(
        Round(
            12,
            (
                Wind("breeze", speed=ScalarTrack((0, 12), (0.0, 3.0)), targets=("ball",)),
                Push("poke", (0, 0, 0.1), VectorTrack((0, 1), ((1, 0, 0), (0, 1, 0))), 2.0),
            ),
        ),
    ),
)


def test_a_take_survives_the_file(tmp_path):
    save_take(TAKE, tmp_path / "take.yaml")
    take, picture = load_take(tmp_path / "take.yaml")
    assert take == TAKE
    assert picture == (tmp_path / "pictures" / "p.png").resolve()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not readable YAML"),
        ("name: t", "missing required field `picture`"),
        ("name: t\npicture: p\nobjects: []\nwind: 3", "unknown field `wind`"),
        ("name: t\npicture: p\nobjects: []", "no object"),
        ("name: t\npicture: p\nobjects: [{name: a}]", "neither a click"),
        (
            "name: t\npicture: p\nobjects: [{name: a, outline: true, clicks: [{x: 1, y: 2}]}]",
            "no three corners",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, sentence):
    (tmp_path / "take.yaml").write_text(text)
    with pytest.raises(InvalidTake, match=sentence):
        load_take(tmp_path / "take.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidTake, match=r"no file .*nowhere\.yaml; check the path"):
        load_take(tmp_path / "nowhere.yaml")


def test_numbers_may_be_written_with_an_exponent(tmp_path):
    text = "name: t\npicture: p\nobjects: [{name: a, box: [0, 0, 9, 9], material: {youngs_modulus: 2e5}}]"
    (tmp_path / "take.yaml").write_text(text)
    assert load_take(tmp_path / "take.yaml")[0].objects[0].material.youngs_modulus == 2e5


def test_a_folder_is_no_take(tmp_path):
    with pytest.raises(InvalidTake, match="cannot be read"):
        load_take(tmp_path)


def changed(**changes: object) -> Take:
    return msgspec.structs.replace(TAKE, **changes)


@pytest.mark.parametrize(
    ("take", "sentence"),
    [
        (changed(rounds=(Round(4, (Push("p", (0, 0, 0), (1, 0, 0), 1.0, reach=0.0),)),)), "no reach"),
        (changed(rounds=(Round(4, (Wind("w", reach=float("nan")),)),)), r"reach is nan"),
        (changed(rounds=(Round(4, (Wind("w", start=3, end=3),)),)), "not after its start"),
        (changed(rounds=(Round(4, (Wind("w", targets=("cube",)),)),)), "'cube', which is no object"),
        (changed(rounds=(Round(4, (Wind("w", speed=ScalarTrack((0, 1), (1.0,))),)),)), "as many values"),
        (
            changed(rounds=(Round(4, (Wind("w", speed=ScalarTrack((2, 1), (1.0, 2.0))),)),)),
            "in order of time",
        ),
        (changed(rounds=(Round(0),)), "0 frames"),
        (changed(cameras=(CameraSpec("a"),)), "exactly one camera"),
        (changed(cameras=(CameraSpec("a", "front"), CameraSpec("a"))), "share a name"),
        (changed(fps=0), "frame rate"),
        (changed(gravity=(0, 0, float("nan"))), r"take\.gravity\[2\] is nan"),
        (changed(rounds=(Round(4, (Push("p", (0, 0, 0), (1, 0, 0), float("inf")),)),)), r"p\]\.force is inf"),
        (changed(rounds=(Round(4, (Push("p", (0, 0, 0), (0, 0, 0), 1.0),)),)), "no direction"),
        (
            changed(
                objects=(ObjectSpec("b", (Click(1, 2),), material=MaterialSpec(youngs_modulus=float("nan"))),)
            ),
            "youngs_modulus is nan",
        ),
        (changed(scene=SceneSettings(particle_spacing=0.0)), "particle spacing is 0"),
        (changed(quality=Quality(sub_gaussians=-1)), "cannot be negative"),
        (changed(quality=Quality(max_substeps=0)), "max_substeps is 0"),
        (changed(name="../evil"), "cannot be a file's name"),
        (changed(cameras=(CameraSpec("a/b", "front"),)), "cannot be a file's name"),
        (changed(version=2), "version 2"),
        (
            changed(objects=(ObjectSpec("b", (Click(1, 2),), regions=(RegionSpec("core"),)),)),
            "Region 'core' of 'b'",
        ),
        (changed(objects=(*TAKE.objects, *TAKE.objects)), "share a name"),
    ],
)
def test_what_cannot_be_baked_is_named(take, sentence):
    with pytest.raises(InvalidTake, match=sentence):
        validate(take)


SQUARE = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TETRAHEDRON = Mesh(SQUARE, ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)))


def acting(*actions) -> Take:
    return changed(rounds=(Round(8, actions),))


@pytest.mark.parametrize(
    ("take", "sentence"),
    [
        (acting(Force("f"), Drag("f")), "Two actions of round 1 are called 'f'"),
        (acting(Force("f", flow=-1.0)), "negative flow"),
        (acting(Force("f", axis=(0, 0, 0))), "no axis"),
        (acting(Force("f", falloff=Falloff(power=-1.0))), "negative falloff's power"),
        (acting(Force("f", falloff=Falloff(min_distance=2.0, max_distance=1.0))), "exchange them"),
        (acting(Force("f", strength=float("inf"))), "strength is inf"),
        (acting(Force("f", targets=("cube",))), "'cube', which is no object"),
        (acting(Wind("w", drag=-1.0)), "negative drag"),
        (acting(Drag("d", ScalarTrack((0, 1), (0.0, -1.0)))), "negative linear"),
        (acting(Turbulence("t", size=0.0)), "size 0 m"),
        (acting(Poke("p", (0, 0, 0), (1, 0, 0), 1.0, start=9.0)), "outside its round"),
        (acting(Poke("p", (0, 0, 0), (0, 0, 0), 1.0)), "no direction"),
        (acting(Pin("p", (0, 0, 0), (0, 0, 0, 0))), "four zeros"),
        (acting(Pin("p", (0, 0, 0), RotationTrack((0, 1), ((1, 0, 0, 0),)))), "as many values"),
        (acting(Pin("p", (0, 0, 0), reach=-1.0)), "no reach"),
        (acting(Collider("c", Mesh())), "no mesh that could be solid"),
        (acting(Collider("c", Mesh(SQUARE, ((0, 1, 9),) * 4))), "none of its 4 vertices"),
        (acting(Collider("c", Mesh(file="bowl.obj"))), "only a take.yaml may"),
        (acting(Collider("c", TETRAHEDRON, friction=-0.1)), "negative friction"),
    ],
)
def test_an_action_that_makes_no_sense_is_named(take, sentence):
    with pytest.raises(InvalidTake, match=sentence):
        validate(take)


def test_a_good_take_passes():
    validate(TAKE)
    validate(
        acting(
            Force("force"),
            Vortex("vortex"),
            Turbulence("turbulence"),
            Drag("drag"),
            Poke("poke", (0, 0, 0), (1, 0, 0), 1.0),
            Pin("pin", (0, 0, 0)),
            Collider("collider", TETRAHEDRON),
        )
    )


def test_a_collider_s_mesh_may_be_a_file_beside_the_take(tmp_path):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.ply")
    take = acting(Collider("box", Mesh(file="box.ply")))
    save_take(take, tmp_path / "take.yaml")
    mesh = load_take(tmp_path / "take.yaml")[0].rounds[0].actions[0].mesh
    assert (len(mesh.vertices), len(mesh.faces), mesh.file) == (8, 12, "")
    for name, sentence in (("none.ply", "is not there"), ("take.yaml", "of the kind .obj")):
        save_take(acting(Collider("box", Mesh(file=name))), tmp_path / "take.yaml")
        with pytest.raises(InvalidTake, match=sentence):
            load_take(tmp_path / "take.yaml")
    (tmp_path / "bad.ply").write_text("ply\nnonsense")
    save_take(acting(Collider("box", Mesh(file="bad.ply"))), tmp_path / "take.yaml")
    with pytest.raises(InvalidTake, match="no readable mesh"):
        load_take(tmp_path / "take.yaml")


def test_the_example_in_the_documentation_is_a_take_s():
    text = (Path(__file__).parents[2] / "docs" / "actions.md").read_text(encoding="utf-8")
    rounds = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["rounds"]
    assert len(msgspec.convert(rounds, tuple[Round, ...], strict=False)[0].actions) == 5


@pytest.mark.parametrize("name", ["17_play_doh", "18_dumpling", "19_jam"])
def test_takes_of_pictures_that_lie_elsewhere_are_whole(name: str) -> None:
    take, picture = load_take(Path(__file__).parents[2] / "examples" / f"{name}.yaml")
    check_targets(take.rounds, {thing.name: resolve(thing.material) for thing in take.objects})
    assert len(take.rounds) == 3
    assert picture.parts[-3:] == ("shared", "examples", f"{take.name}.png")
