"""Splats of another program: read as they were written, stood upright, taken apart and filled; or refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_captures import Ball, Box, capture_of, looking
from drawn_splats import moved, rows_of, splats_of, write

from perpetua.cache.export_ply import PROPERTIES, ply_rows, write_ply
from perpetua.errors import SegmentationError, SplatError
from perpetua.progress import Progress
from perpetua.reconstruct.existing.file import read_splats
from perpetua.reconstruct.existing.reconstructor import SplatFile, SplatsReconstructor, front_view
from perpetua.reconstruct.existing.standpoint import support_of
from perpetua.reconstruct.source import front_picture
from perpetua.scene import Gaussians, Scene
from perpetua.scene.cameras import Camera
from perpetua.scene.harmonics import turned
from perpetua_protocol.inputs import kind_of
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, SplatView, Take

SOLIDS: dict = {
    "ball": [Ball((-0.07, 0.02, 0.05), 0.05)],
    "box": [Box((0.03, -0.04, 0), (0.12, 0.05, 0.06))],
}
# the axes of a scene from COLMAP: y down, and a little turned
TURN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ np.array(
    [[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]]
)
SHIFT = np.array([0.7, -0.2, 1.1])
UNITS = 3.0
LIGHTER_FROM_ABOVE = -0.15
"""Coefficient of z: what is seen from above is seen along a direction that goes down."""
QUALITY = Quality(particles=900, splat_width=160)


def view_of(turn: np.ndarray, shift: np.ndarray, scale: float) -> SplatView:
    """A camera in front of the objects, in the file's axes."""
    here = looking(np.array([0, -0.5, 0.25]), np.array([0, 0, 0.03]), 160, 120).matrix_world
    there = np.eye(4)
    there[:3, :3] = turn @ here[:3, :3]
    there[:3, 3] = scale * turn @ here[:3, 3] + shift
    return SplatView(tuple(there.ravel().tolist()), 40.0, 160, 120)


VIEW = view_of(TURN, SHIFT, UNITS)


@pytest.fixture(scope="module")
def splats() -> Gaussians:
    """On a table, level, in metres."""
    return splats_of(capture_of(SOLIDS, 10, (120, 90)))


@pytest.fixture(scope="module")
def file(splats: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of degree 1: everything is a little lighter from above."""
    sheen = torch.zeros(len(splats), 3, 3)
    sheen[:, 1] = LIGHTER_FROM_ABOVE
    sh = turned(torch.cat([splats.sh, sheen], 1), torch.from_numpy(TURN))
    path = tmp_path_factory.mktemp("scan") / "scan.ply"
    write_ply(path, ply_rows(replace(moved(splats, TURN, SHIFT, UNITS), sh=sh)))
    return path


def take_of(*things: ObjectSpec, **scene: object) -> Take:
    settings = SceneSettings(**{"view": VIEW, "metres_per_unit": 1 / UNITS, **scene})
    return Take("t", "scan.ply", things, quality=QUALITY, scene=settings)


def clicked(name: str, at: tuple[float, float, float], material: str = "clay") -> ObjectSpec:
    """Where a point of the level world is seen by VIEW."""
    matrix = np.array(VIEW.matrix_world).reshape(4, 4)
    camera = Camera.from_blender(matrix, VIEW.horizontal_fov_degrees, VIEW.width, VIEW.height)
    pixel, _ = camera.project((UNITS * TURN @ np.array(at) + SHIFT)[None])
    return ObjectSpec(name, (Click(*pixel[0].tolist()),), material=MaterialSpec(material))


@pytest.fixture(scope="module")
def scene(file: Path) -> Scene:
    take = take_of(clicked("box", (0.07, 0, 0.04)), clicked("ball", (-0.07, 0.02, 0.06)))
    return SplatsReconstructor(40).reconstruct(SplatFile(file), take, Progress())


def test_a_ply_file_is_read_as_it_was_written(splats: Gaussians, tmp_path: Path) -> None:
    found = read_splats(write(tmp_path / "a.ply", splats))
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
        torch.testing.assert_close(getattr(found, name), getattr(splats, name))


def test_a_splat_file_is_read_to_its_precision(splats: Gaussians, tmp_path: Path) -> None:
    found = read_splats(write(tmp_path / "a.splat", moved(splats, TURN, SHIFT, 1.0)))
    torch.testing.assert_close(found.means, moved(splats, TURN, SHIFT, 1.0).means)
    torch.testing.assert_close(found.scales, splats.scales)
    torch.testing.assert_close(found.colors, splats.colors, atol=0.003, rtol=0)
    torch.testing.assert_close(found.opacities, splats.opacities, atol=0.003, rtol=0)


def test_harmonics_lie_colour_by_colour_in_a_ply_file(splats: Gaussians, tmp_path: Path) -> None:
    few = splats[:200]
    rest = torch.randn(200, 3, 3)  # [splat, coefficient, colour]
    rows = np.concatenate([rows_of(few), rest.permute(0, 2, 1).reshape(200, 9).numpy()], 1)
    names = [*PROPERTIES, *(f"f_rest_{i}" for i in range(9))]
    head = "\n".join(
        ["ply", "format binary_big_endian 1.0", "comment ours", "element vertex 200"]
        + [f"property float {name}" for name in names]
        + ["element face 0", "property list uchar int vertex_indices", "end_header", ""]
    )
    (tmp_path / "a.ply").write_bytes(head.encode() + rows.astype(">f4").tobytes())
    found = read_splats(tmp_path / "a.ply")
    torch.testing.assert_close(found.sh[:, 1:], rest)
    torch.testing.assert_close(found.sh[:, :1], few.sh)


def test_the_world_is_level_and_metric(scene: Scene) -> None:
    box, ball = scene.bodies
    assert np.ptp(ball.vertices, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.1)
    assert np.ptp(box.vertices, axis=0)[2] == pytest.approx(0.06, rel=0.1)
    assert ball.vertices[:, 2].min() == pytest.approx(0.0, abs=0.004)
    gap = ball.vertices.mean(0) - box.vertices.mean(0)
    # the world is turned so that the view looks along +Y, which it did before the file was
    assert gap[:2] == pytest.approx([-0.145, 0.015], abs=0.006)


def test_objects_are_filled_and_come_apart(scene: Scene) -> None:
    volumes = np.bincount(scene.particles.body) * scene.spacing**3
    assert volumes == pytest.approx([0.09 * 0.09 * 0.06, 4 / 3 * np.pi * 0.05**3], rel=0.15)
    red, table = (0.75, 0.3, 0.2), (0.35, 0.25, 0.2)
    whose = scene.particles.body[scene.binding.particle.numpy()]
    assert scene.foreground.colors.numpy()[whose == 1].mean(0) == pytest.approx(red, abs=0.06)
    assert scene.background.colors.numpy().mean(0) == pytest.approx(table, abs=0.06)


def test_the_view_is_chosen_if_none_is_given(file: Path) -> None:
    take = Take("t", str(file), ())
    view = front_view(file, take)
    rgb, camera = front_picture(file, take)
    assert (rgb == view.rgb).all()
    assert camera is not None
    up = TURN @ np.array([0, 0, 1.0])
    assert -up @ camera.world_to_camera[1, :3] == pytest.approx(np.cos(np.radians(25)), abs=0.01)
    for at in ((0.07, 0, 0.03), (-0.07, 0.02, 0.05)):
        pixel, depth = camera.project((UNITS * TURN @ np.array(at) + SHIFT)[None])
        assert depth[0] > 0
        assert (np.abs(pixel[0] / [camera.width, camera.height] - 0.5) < 0.4).all()


def test_without_a_table_up_must_be_given(splats: Gaussians, tmp_path: Path) -> None:
    means = splats.means
    ball = splats[torch.linalg.norm(means - torch.tensor([-0.07, 0.02, 0.05]), dim=1) < 0.0505]
    path = write(tmp_path / "ball.ply", moved(ball, TURN, SHIFT, UNITS))
    with pytest.raises(SplatError, match=r"not known which way is up; set `scene\.up`"):
        support_of(read_splats(path), None, 0)
    up = tuple((TURN @ np.array([0, 0, 1.0])).tolist())
    take = take_of(clicked("ball", (-0.07, 0.02, 0.06)), up=up)
    made = SplatsReconstructor(24).reconstruct(SplatFile(path), take, Progress())
    assert np.ptp(made.bodies[0].vertices, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.12)


def test_colours_that_depend_on_the_view_turn_with_the_world(scene: Scene) -> None:
    for part in (scene.background, scene.foreground[: scene.binding.carried]):
        sheen = part.sh[:, 1:]
        own = (
            sheen.abs().sum((1, 2)) > 0
        )  # what fills a body, or the table below it, has one colour from everywhere
        assert own.float().mean() > 0.2
        wanted = torch.tensor([0.0, LIGHTER_FROM_ABOVE, 0.0])[:, None].expand(int(own.sum()), 3, 3)
        torch.testing.assert_close(sheen[own], wanted, atol=0.01, rtol=0)


def test_a_click_on_the_table_is_refused(file: Path) -> None:
    take = take_of(clicked("ball", (0.0, -0.12, 0.0)))
    with pytest.raises(SegmentationError, match="Nothing stands on the table where 'ball' is clicked"):
        SplatsReconstructor(32).reconstruct(SplatFile(file), take, Progress())


def test_a_view_of_nothing_is_refused(file: Path) -> None:
    away = view_of(TURN, SHIFT + 100.0, UNITS)
    take = take_of(ObjectSpec("ball", (Click(9, 9),)), view=away)
    with pytest.raises(SplatError, match="shows nothing in its middle"):
        SplatsReconstructor().reconstruct(SplatFile(file), take, Progress())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data[:-40], "ends before its"),
        (lambda data: data.replace(b"ply", b"obj", 1), "is no PLY file"),
        (lambda data: data.replace(b"binary_little_endian", b"ascii"), "PLY file in text"),
        (
            lambda data: data.replace(b"float opacity", b"float opaque0"),
            "has no opacity: it is a mesh or a cloud",
        ),
        (lambda data: data.replace(b"float nx", b"float packed_position"), "is compressed"),
        (
            lambda data: data.replace(b"element vertex", b"element chunk 1\nelement vertex"),
            "begins with 'chunk'",
        ),
        (lambda data: data.replace(b"float ny", b"float f_rest_0"), "1 coefficients f_rest"),
        (lambda data: data.replace(b"float ny", b"float nx"), "header of a.ply is damaged"),
        (lambda data: data.replace(b"element vertex ", b"element vertex 99999"), "reduce it to"),
    ],
)
def test_damaged_ply_files(splats: Gaussians, tmp_path: Path, spoil, sentence: str) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.ply", splats)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SplatError, match=sentence):
        read_splats(path)


def test_values_that_are_no_numbers(splats: Gaussians, tmp_path: Path) -> None:
    rows = rows_of(splats)
    rows[3, 0] = np.nan
    rows[5, 9] = np.inf  # an opacity of 1
    write_ply(tmp_path / "a.ply", rows)
    found = read_splats(tmp_path / "a.ply")
    assert len(found) == len(splats) - 1
    rows[: len(rows) // 20, 10] = np.nan
    write_ply(tmp_path / "a.ply", rows)
    with pytest.raises(SplatError, match="hold values that are no finite numbers"):
        read_splats(tmp_path / "a.ply")


def test_other_files_that_are_refused(splats: Gaussians, tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="There is no file at"):
        read_splats(tmp_path / "gone.ply")
    path = write(tmp_path / "a.splat", splats)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SplatError, match=r"no multiple of 32: it is no \.splat file"):
        read_splats(path)
    with pytest.raises(SplatError, match="too few for a scene"):
        read_splats(write(tmp_path / "few.ply", splats[:10]))
    (tmp_path / "a.spz").write_bytes(b"packed")
    with pytest.raises(SplatError, match=r"a\.spz is compressed; export it as an uncompressed"):
        read_splats(tmp_path / "a.spz")
    assert kind_of("a.spz") == "splats"
