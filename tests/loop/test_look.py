"""The picture that objects are clicked in, of every kind of input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpetua.cache.export_ply import PROPERTIES, write_ply
from perpetua.cache.writer import verify
from perpetua.errors import PictureError
from perpetua.loop.bake import bake
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.capture.folder import write_capture
from perpetua.scene.cameras import Camera
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import SceneSettings, SplatView, Take


def looked_at(take: Take, path: Path, out: Path) -> tuple[np.ndarray, dict]:
    """The picture as it lies in the cache, and what the bake says of itself."""
    summary = bake(take, path, out / "store", out / "cache", None, Progress())
    meta = verify(out / "cache")
    assert meta.rounds == []
    assert list(meta.files) == ["front.png"]
    rgb = np.asarray(Image.open(out / "cache/front.png"))
    assert (summary["height"], summary["width"]) == rgb.shape[:2]
    assert not (out / "store").exists()
    return rgb, {"meta": meta, **summary}


def test_a_picture_is_its_own(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    found, said = looked_at(Take("t", "a.png", ()), tmp_path / "a.png", tmp_path)
    assert (found == rgb).all()
    assert said["meta"].cameras == []


def test_a_capture_shows_its_front_picture(tmp_path: Path) -> None:
    def view(name: str, x: float) -> CapturedView:
        pose = np.eye(4)
        pose[:3, 3] = x, -1.0, 0.5
        camera = Camera.from_blender(pose, 40.0, 48, 36)
        return CapturedView(name, camera, np.full((36, 48, 3), 40 + int(100 * x), np.uint8))

    capture = Capture(tuple(view(f"{i}.png", 0.3 * i) for i in range(3)), front=1)
    write_capture(tmp_path / "ring", capture)
    path = tmp_path / "ring/transforms.json"
    found, said = looked_at(Take("t", "ring/transforms.json", ()), path, tmp_path)
    assert (found == 70).all()
    record = said["meta"].cameras[0]
    np.testing.assert_allclose(record.matrix_world, capture.views[1].camera.matrix_world.ravel(), atol=1e-9)


def test_splats_are_seen_from_the_take_s_view(tmp_path: Path) -> None:
    """A red wall of splats at y = 0, seen from -Y."""
    x, z = np.meshgrid(np.linspace(-0.5, 0.5, 20), np.linspace(-0.5, 0.5, 20))
    rows = np.zeros((400, len(PROPERTIES)), np.float32)
    rows[:, 0], rows[:, 2] = x.ravel(), z.ravel()
    rows[:, 6:9] = (1.5, -1.5, -1.5)
    rows[:, 9], rows[:, 10:13], rows[:, 13] = 5.0, np.log(0.04), 1.0
    write_ply(tmp_path / "wall.ply", rows)
    matrix = (1.0, 0, 0, 0, 0, 0, -1.0, -1.0, 0, 1.0, 0, 0, 0, 0, 0, 1.0)
    scene = SceneSettings(view=SplatView(matrix, 40.0, 96, 72), up=(0.0, 0.0, 1.0))
    found, said = looked_at(Take("t", "wall.ply", (), scene=scene), tmp_path / "wall.ply", tmp_path)
    assert found.shape == (72, 96, 3)
    assert found[30:42, 42:54, 0].min() > 200
    assert found[30:42, 42:54, 1:].max() < 60
    np.testing.assert_allclose(said["meta"].cameras[0].matrix_world, matrix, atol=1e-9)


def test_a_bake_needs_objects_and_a_look_its_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidTake, match="no object"):
        bake(Take("t", "a.png", ()), tmp_path / "a.png", tmp_path, tmp_path / "cache", 0, Progress())
    with pytest.raises(PictureError, match="no picture at"):
        bake(Take("t", "a.png", ()), tmp_path / "a.png", tmp_path, tmp_path / "cache", None, Progress())
