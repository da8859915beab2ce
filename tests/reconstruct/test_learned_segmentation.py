"""SAM 2.1 as a segmenter and as a tracker: marks reach the model where they are in the picture, videos stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_providers
import torch

from perpetua.errors import ReconstructionError, SegmentationError, UnknownNameError
from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.learned.sam2 import Sam2Segmenter
from perpetua.reconstruct.segment import GrabCutSegmenter
from perpetua_protocol.take import Click, ObjectSpec, Provider, SceneSettings, Take

BALL = ObjectSpec("ball", (Click(60, 40),))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    tiny_providers.sam2(home / "sam2.1-tiny")
    return home


@pytest.fixture(autouse=True)
def models(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(home))


@pytest.fixture(scope="module")
def picture() -> Picture:
    rows, columns = np.mgrid[:72, :128]
    noise = np.random.default_rng(0).integers(0, 60, (72, 128, 3))
    disc = np.hypot(columns - 60, rows - 40) < 15
    rgb = np.where(disc[..., None], [200, 40, 40], [60, 120, 90]) + noise - 30
    return Picture(np.clip(rgb, 0, 255).astype(np.uint8), 1.0, None, Path("p.png"))


def take_of(name: str = "", model: str = "") -> Take:
    return Take("t", "p.png", (BALL,), scene=SceneSettings(segmenter=Provider(name, model)))


def logits(picture: Picture, *clicks: Click, box: tuple[float, float, float, float] | None = None):
    return Sam2Segmenter()._logits(picture, ObjectSpec("ball", clicks, box))


def reference(picture: Picture, **marks: torch.Tensor) -> np.ndarray:
    """The model itself, asked with marks on its own square of pixels."""
    from transformers import Sam2Model

    model = Sam2Model.from_pretrained(Sam2Segmenter().folder).eval()
    image = torch.from_numpy(picture.rgb).permute(2, 0, 1)[None].float() / 255
    side = tiny_providers.SAM_SIDE
    image = torch.nn.functional.interpolate(image, (side, side), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        seen = model(pixel_values=(image - mean) / deviation, multimask_output=False, **marks)
    best = seen.iou_scores[0, 0].argmax()
    size = picture.rgb.shape[:2]
    return torch.nn.functional.interpolate(seen.pred_masks[:, 0, best][None], size, mode="bilinear")[
        0, 0
    ].numpy()


def test_clicks_inside_and_outside_and_boxes_are_where_the_picture_has_them(picture: Picture) -> None:
    inside, outside = Click(60, 40), Click(16, 54, inside=False)
    found = logits(picture, inside, outside)
    points = torch.tensor([[[[30.0, 40 / 72 * 64], [8.0, 48.0]]]])
    wanted = reference(picture, input_points=points, input_labels=torch.tensor([[[1, 0]]]))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    boxed = logits(picture, box=(44, 24, 76, 56))
    box = torch.tensor([[[22.0, 24 / 72 * 64, 38.0, 56 / 72 * 64]]])
    np.testing.assert_allclose(boxed, reference(picture, input_boxes=box), atol=1e-4)
    both = logits(picture, inside, outside, Click(70, 50))
    assert np.abs(both - found).max() > 1e-3, "each further click counts"


def test_clicks_are_in_pixels_of_the_file(picture: Picture) -> None:
    """A file of twice the size that was reduced, with the click at twice the place."""
    halved = replace(picture, scale=0.5)
    np.testing.assert_array_equal(logits(halved, Click(120, 80)), logits(picture, Click(60, 40)))


def test_a_matte_has_the_pictures_size_and_a_soft_edge(picture: Picture) -> None:
    class Half(Sam2Segmenter):
        def _logits(self, picture, thing):
            rows, columns = np.mgrid[:72, :128]
            return (15 - np.hypot(columns - 60, rows - 40)).astype(np.float32)

    matte = Half().segment(picture, BALL)
    assert matte.shape == (72, 128)
    assert matte[40, 60] == 1
    assert matte[5, 5] == 0
    assert ((matte > 0.05) & (matte < 0.95)).any()


@pytest.mark.parametrize(("value", "said"), [(-1.0, "finds nothing"), (1.0, "fill most of the picture")])
def test_masks_that_are_no_object_are_refused(picture: Picture, value: float, said: str) -> None:
    class Flat(Sam2Segmenter):
        def _logits(self, picture, thing):
            return np.full(picture.rgb.shape[:2], value, np.float32)

    with pytest.raises(SegmentationError, match=f"{said}.*click"):
        Flat().segment(picture, BALL)


def test_a_click_outside_the_picture_is_refused(picture: Picture) -> None:
    with pytest.raises(SegmentationError, match="outside the picture"):
        Sam2Segmenter().segment(picture, ObjectSpec("ball", (Click(500, 40),)))


def test_a_video_streams_as_it_is_tracked_whole(picture: Picture) -> None:
    from transformers import Sam2VideoModel
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    from perpetua.reconstruct.learned.pixels import prepared

    tracker = providers.tracker(take_of("sam2"))
    frames = [np.roll(picture.rgb, 4 * shift, 1) for shift in range(4)]
    first = np.full((72, 128), -1, np.int32)
    first[26:54, 46:74], first[5:20, 100:120] = 2, 0  # object 1 is not seen in the first frame
    found = tracker.track(frames, first, Progress())
    assert len(found) == 4
    np.testing.assert_array_equal(found[0], first)

    model = Sam2VideoModel.from_pretrained(tracker.folder).eval()
    whole = torch.cat([prepared(f, (64, 64)) for f in frames])
    session = Sam2VideoInferenceSession(whole, 72, 128, dtype=torch.float32)
    for number in (0, 2):
        mask = torch.from_numpy((first == number).astype(np.float32))[None, None]
        mask = torch.nn.functional.interpolate(mask, (64, 64), mode="bilinear", antialias=True) >= 0.5
        session.add_mask_inputs(session.obj_id_to_idx(number), 0, mask.float())
    session.obj_with_new_inputs = [0, 2]
    with torch.no_grad():
        model(session, frame_idx=0)
        seen = [out.pred_masks[:, 0] for out in model.propagate_in_video_iterator(session)]
    claimed = 0
    for ours, masks in zip(found[1:], seen[1:], strict=True):
        whole = torch.nn.functional.interpolate(masks[None], (72, 128), mode="bilinear")[0].numpy()
        for index, number in enumerate((0, 2)):
            own = (whole[index] > 0) & (whole[index] > whole[1 - index])
            assert ((ours == number) != own).mean() < 1e-3
            claimed += own.sum()
    assert claimed > 100, "the toy model says something"


def test_a_first_frame_without_objects_is_refused(picture: Picture) -> None:
    with pytest.raises(SegmentationError, match="mark each object"):
        providers.tracker(take_of("sam2")).track([picture.rgb], np.full((72, 128), -1, np.int32), Progress())


def test_who_finds_objects_is_chosen_by_name() -> None:
    assert isinstance(providers.segmenter(take_of()), GrabCutSegmenter)
    assert providers.tracker(take_of()) is None
    assert providers.identities(take_of()) == providers.identities(take_of("grabcut")) == {}
    assert providers.segmenter(take_of("sam2")).folder.name == "sam2.1-tiny"
    assert "model.safetensors" in providers.identities(take_of("sam2"))["segmenter"]
    with pytest.raises(UnknownNameError, match="grabcut, sam2"):
        providers.segmenter(take_of("sam9"))
    with pytest.raises(ReconstructionError, match="has no weights"):
        providers.segmenter(take_of("grabcut", "sam2.1-tiny"))


def test_weights_that_cannot_be_used_are_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))

    def refused(model: str, said: str) -> None:
        with pytest.raises(ReconstructionError, match=said):
            Sam2Segmenter(model)

    refused("", "no weights of SAM 2.1 in .*facebook/sam2.1")
    refused("none", "no weights at .*none")
    refused("../elsewhere", "not a path to elsewhere")
    kinds = {"a": {"model_type": "sam2_video"}, "b": {"model_type": "sam2"}, "dino": {"model_type": "dinov2"}}
    for name, config in kinds.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    refused("dino", "it is a 'dinov2', not a 'sam2'")
    (tmp_path / "a" / "pytorch_model.bin").write_bytes(b"")
    refused("a", "only pickled weights")
    for name in kinds:
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    refused("", "several models of SAM 2.1; name one in `model`: a, b")
    (tmp_path / "a" / "config.json").write_text("{")
    refused("a", "cannot be read")
