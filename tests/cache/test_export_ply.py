"""PLY sequences: read back with a plain parser, they are the cache's splats."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from gsplat.exporter import export_splats

from perpetua.cache.arrays import gaussians_of
from perpetua.cache.export_ply import export_ply, file_stem
from perpetua.errors import CacheError
from perpetua_protocol.cache import Cache


def read_ply(path: Path) -> dict[str, np.ndarray]:
    """A binary little-endian PLY of float vertex properties, by the format's own rules."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    element, kind, count = lines[2].split()
    assert (element, kind) == ("element", "vertex")
    properties = [line.split() for line in lines[3:]]
    assert all(words[:2] == ["property", "float"] for words in properties)
    rows = np.frombuffer(body, "<f4").reshape(int(count), len(properties))
    return {words[2]: rows[:, i] for i, words in enumerate(properties)}


def columns(ply: dict[str, np.ndarray], *names: str) -> np.ndarray:
    return np.stack([ply[name] for name in names], 1)


def assert_same(ply: dict[str, np.ndarray], splats: dict[str, np.ndarray]) -> None:
    base = splats["radiance_base"]
    np.testing.assert_array_equal(columns(ply, "x", "y", "z"), splats["position"])
    np.testing.assert_array_equal(columns(ply, "rot_0", "rot_1", "rot_2", "rot_3"), splats["rotation"])
    np.testing.assert_array_equal(columns(ply, "f_dc_0", "f_dc_1", "f_dc_2"), base[:, :3])
    np.testing.assert_array_equal(columns(ply, "nx", "ny", "nz"), 0)
    opacity = 1 / (1 + np.exp(-ply["opacity"].astype(np.float64)))
    np.testing.assert_allclose(opacity, base[:, 3], rtol=1e-6)
    scale = np.exp(columns(ply, "scale_0", "scale_1", "scale_2").astype(np.float64))
    np.testing.assert_allclose(scale, splats["scale"], rtol=1e-6)


def test_every_frame_and_the_background_are_the_caches(make_cache, tmp_path):
    folder = make_cache(colours_move=True)
    paths = export_ply(folder, tmp_path / "ply")
    assert [p.name for p in paths] == [f"toy_{n:04d}.ply" for n in range(6)] + ["background.ply"]
    assert sorted(p.name for p in (tmp_path / "ply").iterdir()) == sorted(p.name for p in paths)
    cache = Cache(folder)
    for frame, path in enumerate(paths[:-1]):
        assert_same(read_ply(path), cache.frame(frame))
    assert_same(read_ply(paths[-1]), cache.background())


def test_properties_stand_in_the_order_that_readers_of_fixed_layouts_expect(make_cache, tmp_path):
    path = export_ply(make_cache(), tmp_path / "ply")[0]
    assert list(read_ply(path)) == (
        [
            "x",
            "y",
            "z",
            "nx",
            "ny",
            "nz",
            "f_dc_0",
            "f_dc_1",
            "f_dc_2",
            "opacity",
            "scale_0",
            "scale_1",
            "scale_2",
            "rot_0",
            "rot_1",
            "rot_2",
            "rot_3",
        ]
    )


def test_a_ply_file_holds_what_gsplats_own_does(make_cache, tmp_path) -> None:
    folder = make_cache(sheen=8)
    splats = gaussians_of(Cache(folder).frame(4))
    shapes = (splats.means, splats.log_scales, splats.quats, splats.opacity_logits)
    export_splats(*shapes, splats.sh[:, :1], splats.sh[:, 1:], save_to=str(tmp_path / "gsplat.ply"))
    theirs, ours = read_ply(tmp_path / "gsplat.ply"), read_ply(export_ply(folder, tmp_path / "ply")[4])
    assert [name for name in ours if name not in ("nx", "ny", "nz")] == list(theirs)
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, name)


def test_with_the_background_every_file_holds_the_whole_scene(make_cache, tmp_path):
    folder, out = make_cache(), tmp_path / "ply"
    export_ply(folder, out)
    paths = export_ply(folder, out, with_background=True)
    assert len(paths) == 6
    assert not (out / "background.ply").exists(), "its splats would be drawn twice"
    cache = Cache(folder)
    both = {k: np.concatenate([v, cache.background()[k]]) for k, v in cache.frame(4).items()}
    assert_same(read_ply(paths[4]), both)


def test_a_shorter_take_leaves_no_frame_of_a_longer_one(make_cache, tmp_path):
    out = tmp_path / "ply"
    longer = make_cache()
    export_ply(longer, out)
    shutil.rmtree(longer)
    for other in ("toy_notes.ply", "other_0007.ply"):
        (out / other).write_bytes(b"mine")
    names = {p.name for p in export_ply(make_cache(rounds=(1, 2)), out)}
    assert names == {"toy_0000.ply", "toy_0001.ply", "toy_0002.ply", "background.ply"}
    assert {p.name for p in out.iterdir()} == names | {"toy_notes.ply", "other_0007.ply"}


def test_opaque_and_empty_splats_stay_finite(make_cache, tmp_path):
    folder = make_cache()
    background = next(folder.glob("background-*"))
    base, scale = np.load(background / "radiance_base.npy"), np.load(background / "scale.npy")
    base[:2, 3], scale[0] = (0.0, 1.0), 0.0
    np.save(background / "radiance_base.npy", base)
    np.save(background / "scale.npy", scale)
    ply = read_ply(export_ply(folder, tmp_path / "ply")[-1])
    assert all(np.isfinite(values).all() for values in ply.values())
    assert ply["opacity"][0] < -13
    assert ply["opacity"][1] > 13


def test_a_folder_that_cannot_be_made_is_named(make_cache, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match=r"file.*could not be written"):
        export_ply(make_cache(), tmp_path / "file" / "ply")


@pytest.mark.parametrize(
    ("name", "stem"), [("clay ball", "clay_ball"), ("a/b:c", "a_b_c"), ("Ton-Kugel.2", "Ton-Kugel.2"), ("..", "splats")]
)  # fmt: skip
def test_a_takes_name_becomes_a_file_name(name, stem):
    assert file_stem(name) == stem
