"""Estimators of depth: metres, lenses and names of tensors; and scenes from depth that was estimated."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_providers
import torch
from drawn_captures import Ball, Box, looking, seen_by

from perpetua.errors import CaptureError, ReconstructionError
from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.api import DepthEstimate, Picture
from perpetua.reconstruct.estimated import sharpened
from perpetua.reconstruct.from_depth import DepthReconstructor
from perpetua.reconstruct.learned.depth_anything import DepthAnythingV2
from perpetua.reconstruct.learned.depth_anything_3 import METRES_FOCAL, DepthAnything3, loaded
from perpetua.reconstruct.learned.depth_pro import DepthPro
from perpetua.reconstruct.source import open_source
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Provider, Quality, SceneSettings, Take

HEIGHT, WIDTH = 72, 128
DEPTH = (1.449023, 1.455002, 1.454962, 1.460473)
SKY = (0.3405241, 0.3364936, 0.3363781, 0.3310639)
"""What the package `depth-anything-3` 0.1.1 makes of the toy's tensors, at four pixels."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    for maker in (
        tiny_providers.depth_anything_v2,
        tiny_providers.depth_anything_3,
        tiny_providers.depth_pro,
    ):
        maker(home / maker.__name__)
    return home


@pytest.fixture(autouse=True)
def models(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(home))


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def squeezed(rgb: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.interpolate(image, size, mode="bilinear", antialias=True)


def test_depth_anything_v2_sees_the_picture_in_patches(rgb: np.ndarray) -> None:
    from transformers import DepthAnythingForDepthEstimation

    made = DepthAnythingV2().estimate(rgb, None)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model = DepthAnythingForDepthEstimation.from_pretrained(DepthAnythingV2().folder).eval()
    with torch.no_grad():
        seen = model((squeezed(rgb, (31 * 14, 55 * 14)) - mean) / deviation).predicted_depth
    wanted = torch.nn.functional.interpolate(seen[None], (HEIGHT, WIDTH), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(made.depth, wanted, atol=1e-4)
    assert np.ptp(wanted) > 1e-4
    assert made.focal is None


def test_depth_pro_finds_the_lens_and_takes_one_that_is_known(rgb: np.ndarray) -> None:
    model = DepthPro()
    made = model.estimate(rgb, None)
    assert made.focal == pytest.approx(
        0.5 * WIDTH / np.tan(np.radians(20)), rel=0.01
    )  # the toy says 40 degrees
    known = model.estimate(rgb, 2 * made.focal)
    assert known.focal == 2 * made.focal
    near = (made.depth < 1e3) & (known.depth < 1e3)
    assert near.any()
    np.testing.assert_allclose(known.depth[near], 2 * made.depth[near], rtol=1e-5)


def test_depth_anything_3_is_the_network_of_its_package() -> None:
    v, u = np.mgrid[:56, :56]
    image = np.stack([np.sin(u / 5), np.cos(v / 4), np.sin((u + v) / 7)]).astype(np.float32)
    with torch.no_grad():
        depth, sky = loaded(DepthAnything3().folder)(torch.from_numpy(image)[None])
    place = ([0, 7, 30, 55], [0, 20, 41, 55])
    np.testing.assert_allclose(depth[place], DEPTH, rtol=2e-5)
    np.testing.assert_allclose(sky[place], SKY, rtol=2e-4)


def test_metres_of_depth_anything_3_go_with_the_lens(rgb: np.ndarray) -> None:
    model = DepthAnything3()
    usual = model.estimate(rgb, None).depth
    seen = np.isfinite(usual)
    lens = 0.5 * WIDTH / np.tan(np.radians(20))
    np.testing.assert_allclose(model.estimate(rgb, 3 * lens).depth[seen], 3 * usual[seen], rtol=1e-5)
    assert METRES_FOCAL == 300


@pytest.mark.parametrize(
    ("provider", "config", "said"),
    [
        (DepthAnythingV2, {"model_type": "depth_anything"}, "in no unit"),
        (DepthAnythingV2, {"model_type": "zoedepth"}, "it is a 'zoedepth'"),
        (DepthAnything3, {"model_name": "da3-large"}, "'da3-large' gives depth in no unit"),
        (DepthAnything3, {"model_type": "dinov2"}, "no Depth Anything 3"),
        (DepthPro, {"model_type": "dpt"}, "it is a 'dpt'"),
    ],
)
def test_weights_of_other_networks_are_refused(provider, config, said, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ReconstructionError, match=said):
        provider("other")


def test_tensors_of_another_network_are_refused(home: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(home / "depth_anything_3" / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "norm1" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(ReconstructionError, match="are not those of Depth Anything 3 metric"):
        loaded(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("moge") is not None, reason="the package moge is installed")
def test_moge_says_what_it_needs() -> None:
    take = Take("t", "p.png", (), scene=SceneSettings(depth_estimator=Provider("moge")))
    with pytest.raises(ReconstructionError, match=r"needs the package moge.*pip install"):
        providers.depth_estimator(take)


def test_edges_of_depth_are_sharpened_and_planes_kept() -> None:
    rows, columns = np.mgrid[:90, :160].astype(np.float32)
    plane = 1 / (0.1 + 0.004 * rows + 0.001 * columns)
    thing = np.hypot(columns - 80, rows - 45) < 20
    pole = np.abs(columns - 140) < 2
    blur = np.clip((22 - np.hypot(columns - 80, rows - 45)) / 4, 0, 1)  # four pixels from one to the other
    depth = 1 / (blur / 2.0 + (1 - blur) / plane)
    depth[pole] = 1.0
    found = sharpened(depth.astype(np.float32))
    from_either = np.minimum(np.abs(found - 2.0), np.abs(found / plane - 1))
    inner = np.zeros_like(pole)
    inner[4:-4, 4:-4] = True
    assert from_either[inner & ~pole].max() < 0.08
    assert np.isclose(found[pole], 1.0).all(), "thin things stay"
    assert np.isclose(found[thing], 2.0, rtol=0.02).mean() > 0.98
    away = np.hypot(columns - 80, rows - 45) > 30
    away &= np.abs(columns - 140) > 8
    away &= inner
    np.testing.assert_array_equal(found[away], (1 / np.float32(1 / depth.astype(np.float32)))[away])


def test_depth_that_is_no_surface_is_refused() -> None:
    noise = np.random.default_rng(0).uniform(1, 5, (60, 80)).astype(np.float32)
    with pytest.raises(ReconstructionError, match="noise"):
        sharpened(noise)
    with pytest.raises(ReconstructionError, match="no depth"):
        sharpened(np.full((60, 80), np.inf, np.float32))


SOLIDS: dict = {"ball": [Ball((-0.06, 0.0, 0.05), 0.05)], "box": [Box((0.05, -0.03, 0), (0.13, 0.04, 0.05))]}
AT = np.array([0.02, 0.0, 0.04])
FRONT = looking(np.array([0.02, -0.55, 0.22]), AT, 160, 120)


def take_with(name: str, depth: str = "") -> Take:
    pixel = FRONT.project(np.array([[-0.06, -0.04, 0.05]]))[0][0]
    ball = ObjectSpec("ball", (Click(*(float(v) for v in pixel)),), material=MaterialSpec("clay"))
    scene = SceneSettings(depth_estimator=Provider(name), depth=depth)
    return Take("t", "p.png", (ball,), scene=scene, quality=Quality(particles=400, splat_width=120))


def test_a_scene_from_estimated_depth_is_measured_like_one_from_a_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """True depth as a network gives it: 1 % off, with soft edges, and with a lens."""
    view = seen_by(FRONT, "p.png", SOLIDS)

    class Rough:
        def estimate(self, rgb, focal):
            assert focal is None, "nothing is known of the lens"
            inverse = np.where(np.isfinite(view.depth), 1 / view.depth, 0.0)
            soft = cv2.blur(inverse, (3, 3))
            wave = 1 + 0.01 * np.sin(np.arange(160) / 9)
            with np.errstate(divide="ignore"):
                return DepthEstimate((1 / soft * wave).astype(np.float32), float(FRONT.K[0, 0]))

    monkeypatch.setattr(providers, "depth_estimator", lambda take: Rough())
    picture = Picture(view.rgb, 1.0, None, Path("p.png"))
    scene = DepthReconstructor().reconstruct(picture, take_with("rough"), Progress())
    assert scene.camera.K[0, 0] == pytest.approx(FRONT.K[0, 0])
    assert scene.camera.position[2] == pytest.approx(0.22, rel=0.04)
    assert scene.camera.world_to_camera[2, 2] == pytest.approx(FRONT.world_to_camera[2, 2], abs=0.02)
    ball = scene.bodies[0].vertices
    assert ball[:, 2].max() == pytest.approx(0.1, rel=0.1)
    assert np.ptp(ball[:, 0]) == pytest.approx(0.1, rel=0.1)


def test_an_estimator_is_chosen_by_name(rgb: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(rgb).save(tmp_path / "p.png")
    take = take_with("depth_anything_3")
    source = open_source(tmp_path / "p.png", take)
    assert (source.reconstructor, source.given.depth) == ("depth", None)
    assert isinstance(providers.depth_estimator(take), DepthAnything3)
    assert list(providers.identities(take)) == ["depth_estimator"]
    with pytest.raises(CaptureError, match="both a depth map"):
        open_source(tmp_path / "p.png", take_with("depth_pro", "far.exr"))
