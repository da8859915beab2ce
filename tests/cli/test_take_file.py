"""take.yaml: read, written, and refused with a sentence."""

from __future__ import annotations

import msgspec
import pytest

from perpetua.take_file import load_take, save_take
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import (
    CameraSpec,
    Click,
    MaterialSpec,
    ObjectSpec,
    Push,
    Quality,
    RegionSpec,
    Round,
    ScalarTrack,
    SceneSettings,
    Take,
    VectorTrack,
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
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, sentence):
    (tmp_path / "take.yaml").write_text(text)
    with pytest.raises(InvalidTake, match=sentence):
        load_take(tmp_path / "take.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidTake, match=r"no take at .*nowhere\.yaml"):
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


def test_a_good_take_passes():
    validate(TAKE)
