"""Every family of models, from a checkpoint on disk to a refined video: real classes of diffusers with random weights."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from perpetua import registry
from perpetua.errors import Cancelled, RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import LAST_REFINED, RenderedVideo, RoundContext
from perpetua.refine.diffusion import loading
from perpetua.refine.diffusion.guide_time_to_move import object_latents
from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.refiner import DiffusionRefiner, first_picture, seed_of

FAMILIES = ("wan", "wan_vace", "cogvideox", "ltx", "sana_wm")
QUICK: dict[str, Any] = {"steps": 4, "width": 64, "strength": 0.75, "guidance": 1.0, "prompt": "a clay ball"}
Checkpoint = Callable[[str], str]
slow = pytest.mark.slow


def refiner_of(name: str, checkpoint: Checkpoint, **options: Any) -> DiffusionRefiner:
    return registry.load("refiner", name)(**{"model": checkpoint(name), **QUICK, **options})


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint on disk is all that is needed."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a refiner opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("family", "guide"),
    [
        *((family, "time_to_move") for family in FAMILIES),
        ("cogvideox", "warped_noise"),
        *(pytest.param(family, "warped_noise", marks=slow) for family in ("wan", "wan_vace", "ltx")),
    ],
)
def test_a_video_goes_in_and_comes_out(
    family: str, guide: str, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    said: list[str] = []
    progress = Progress(lambda _, __, text: said.append(text))
    refined = refiner_of(family, checkpoint, guide=guide).refine(video, context, {}, progress)
    assert refined.shape == video.rgb.shape
    assert np.isfinite(refined).all()
    assert refined.std() > 0.01
    assert [text for text in said if "step" in text] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]


@pytest.mark.parametrize(
    "family",
    ["cogvideox", *(pytest.param(family, marks=slow) for family in ("wan", "wan_vace", "ltx", "sana_wm"))],
)
def test_strength_zero_is_the_coarse_video_through_the_autoencoder(
    family: str, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    refiner = refiner_of(family, checkpoint, strength=0.0)
    latents: list[torch.Tensor] = []
    model = loading.held(refiner.load)
    decode = model.decode
    model.decode = lambda z: (latents.append(z), decode(z))[1]  # type: ignore[method-assign]
    refiner.refine(video, context, {}, Progress())
    seen = latents[0]
    del model.decode  # type: ignore[method-assign]
    fitted = np.stack([f for f in _fitted(model, video)])
    torch.testing.assert_close(seen, model.encode(fitted))


def _fitted(model: Any, video: RenderedVideo) -> np.ndarray:
    from perpetua.refine.diffusion.fit import fit_to

    fit = fit_to(video.rgb.shape[:3], 64, model.multiple, model.stride, model.exactly)
    return fit.images(video.rgb)


@pytest.mark.parametrize("family", ["cogvideox", pytest.param("wan", marks=slow)])
def test_the_seed_decides_and_nothing_else(
    family: str, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    first, again, other = (
        refiner_of(family, checkpoint, seed=seed).refine(video, context, {}, Progress()) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(
    "family",
    ["cogvideox", *(pytest.param(family, marks=slow) for family in ("wan", "wan_vace", "ltx", "sana_wm"))],
)
def test_time_to_move_holds_the_objects_longer(
    family: str, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    """With the second clock at the end the objects' latents are the coarse video's own; around them the model has changed much."""
    made = _latents(family, checkpoint, video, context, strength=1.0, object_strength=0.25)
    clean, final, inside = made
    error = (final - clean)[:, :, 1:].abs().mean((0, 1))  # the first latent is the picture for some models
    inside = inside[0, 0, 1:]
    assert inside.any()
    assert not inside.all()
    assert error[inside].mean() < 0.7 * error[~inside].mean()


def test_a_model_that_follows_the_camera_is_told_where_it_stands(
    checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    """The cameras are those of the film, in the model's pixels, and another way of the camera makes another film of the same coarse one."""
    K = np.array([[30.0, 0, 10], [0, 30.0, 6], [0, 0, 1]])
    front = replace(video.camera, K=K)
    away = [
        front.orbited(degrees, np.array([0, 0, 2.0]), "turn", "front") for degrees in np.linspace(4, 24, 6)
    ]
    standing, turning = (
        replace(video, camera=front, cameras=cameras) for cameras in ((front,) * 7, (front, *away))
    )
    refiner = refiner_of("sana_wm", checkpoint)
    told: list[dict[str, Any]] = []
    model = loading.held(refiner.load)
    seen = model._conditions
    model._conditions = lambda shot: told.append(seen(shot)) or told[-1]  # type: ignore[method-assign]
    first, again, other = (refiner.refine(v, context, {}, Progress()) for v in (standing, standing, turning))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    path, lenses = told[2]["c2w"], told[2]["intrinsics"]
    assert path.shape == (9, 4, 4)  # seven frames, and the last again for the model to count in eights
    np.testing.assert_allclose(path[6], away[-1].camera_to_world)
    np.testing.assert_allclose(path[8], path[6])
    np.testing.assert_allclose(
        lenses[0], [30 * 3.2, 30 * 38 / 12, 32, 32], rtol=1e-6
    )  # 20 x 12 in the middle of 64 x 64


def _latents(
    family: str, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext, **options: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(coarse, refined) latents and where the objects are, of a wider video, so that even strong compression leaves both."""
    wide = {
        name: np.repeat(np.repeat(getattr(video, name), 2, 1), 2, 2) for name in ("rgb", "alpha", "depth")
    }
    masks = wide["alpha"][..., None]
    camera = replace(video.camera, width=40, height=23)
    cut = {
        name: array[:, :23] for name, array in wide.items()
    }  # below what is compared with the coarse video
    large = replace(video, camera=camera, masks=masks[:, :23], flow=None, **cut)
    refiner = refiner_of(family, checkpoint, width=160, **options)
    model = loading.held(refiner.load)
    decoded: list[torch.Tensor] = []
    encode, encoded = model.encode, []
    model.decode = lambda z: (decoded.append(z), np.zeros((9, 1, 1, 3)))[1]  # type: ignore[method-assign]
    model.encode = lambda v: (encoded.append(encode(v)), encoded[-1])[1]  # type: ignore[method-assign]
    refiner.__dict__["_width"] = lambda _: 160
    from perpetua.refine.diffusion.fit import fit_to

    fit = fit_to(large.rgb.shape[:3], 160, model.multiple, model.stride, model.exactly)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perpetua.refine.diffusion.fit.Fit.back", lambda _, stack: large.rgb)
        refiner.refine(large, context, {}, Progress())
    shape = tuple(encoded[0].shape)[2:]
    return encoded[0], decoded[0], object_latents(fit.images(large.alpha), model.stride, shape)


def test_a_cancel_stops_within_a_step_and_the_model_goes_on_afterwards(
    checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    said: list[str] = []
    progress = Progress(lambda _, __, text: said.append(text), lambda: "step 1 of 3" in said)
    refiner = refiner_of("wan", checkpoint)
    with pytest.raises(Cancelled):
        refiner.refine(video, context, {}, progress)
    assert said[-1] == "step 1 of 3"
    before = loading.held(refiner.load).pipeline.scheduler
    assert type(before).__name__ == "UniPCMultistepScheduler", "the checkpoint's own scheduler is back"
    assert refiner.refine(video, context, {}, Progress()).shape == video.rgb.shape


def test_memory_is_given_back(checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext) -> None:
    refiner = refiner_of("cogvideox", checkpoint)
    refiner.refine(video, context, {}, Progress())
    held = weakref.ref(loading.held(refiner.load).pipeline.transformer)
    refiner_of("cogvideox", checkpoint, seed=3).refine(video, context, {}, Progress())
    assert held() is not None, "other options, same weights: loaded once"
    refiner.release()
    gc.collect()
    assert held() is None
    assert refiner.refine(video, context, {}, Progress()).shape == video.rgb.shape


def test_only_one_model_is_held(checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext) -> None:
    first = refiner_of("cogvideox", checkpoint)
    held = weakref.ref(loading.held(first.load).pipeline.transformer)
    loading.held(refiner_of("ltx", checkpoint).load)
    gc.collect()
    assert held() is None


def test_a_long_round_is_made_in_windows(
    checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    twice = {name: np.concatenate([getattr(video, name)] * 2) for name in ("rgb", "alpha", "depth", "masks")}
    long = replace(video, flow=None, **twice)
    said: list[tuple[float, str]] = []
    progress = Progress(lambda _, done, text: said.append((done, text)))
    refiner = refiner_of("cogvideox", checkpoint, window=10, overlap=1, steps=2)
    refined = refiner.refine(long, context, {}, progress)
    assert refined.shape == long.rgb.shape
    encodings = [text for _, text in said if "encoding" in text]
    assert encodings == [
        "window 1 of 2: encoding 9 frames at 64x48",
        "window 2 of 2: encoding 6 frames at 64x48",
    ]
    done = [fraction for fraction, _ in said]
    assert done == sorted(done)


def test_windows_shorter_than_a_latent_leave_no_frame_out(
    checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    said: list[str] = []
    progress = Progress(lambda _, __, text: said.append(text))
    refiner = refiner_of("cogvideox", checkpoint, window=2, overlap=1, steps=2, strength=0.0)
    refiner.refine(replace(video, flow=None), context, {}, progress)
    frames = [int(text.split("encoding ")[1].split()[0]) for text in said if "encoding" in text]
    assert sum(frames) >= len(video.rgb)
    assert max(frames) == 5, "a picture and one latent's frames"


def test_both_versions_of_cogvideox_and_its_lora(
    models: Any, checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    from diffusers import CogVideoXImageToVideoPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    plain = refiner_of("cogvideox", checkpoint).refine(video, context, {}, Progress())
    refined = refiner_of("cogvideox", checkpoint, model=checkpoint("cogvideox15")).refine(
        video, context, {}, Progress()
    )
    assert refined.shape == video.rgb.shape, "7 frames are 3 latents, which it takes as 4"

    torch.manual_seed(1)
    transformer = loading.held(refiner_of("cogvideox", checkpoint).load).pipeline.transformer
    transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    CogVideoXImageToVideoPipeline.save_lora_weights(
        models / "motion", transformer_lora_layers=get_peft_model_state_dict(transformer)
    )
    loading.let_go()
    with_lora = refiner_of("cogvideox", checkpoint, lora="motion").refine(video, context, {}, Progress())
    without = refiner_of("cogvideox", checkpoint, lora="motion", lora_scale=0.0)
    assert np.abs(with_lora - plain).max() > 1e-3
    np.testing.assert_allclose(without.refine(video, context, {}, Progress()), plain, atol=1e-5)


def test_what_the_model_begins_with(video: RenderedVideo, context: RoundContext) -> None:
    picture = np.full_like(video.rgb[0], 128 / 255)
    last = np.full_like(video.rgb[0], 0.25)
    side = replace(video, camera=replace(video.camera, name="left", role="side"))
    second = replace(context, round_index=2)
    turned = np.eye(4)
    turned[0, 3] = 0.1
    elsewhere = replace(video, camera=replace(video.camera, world_to_camera=turned))
    np.testing.assert_allclose(first_picture(video, context, {}), picture)
    np.testing.assert_allclose(first_picture(video, second, {LAST_REFINED: last}), last)
    for view, when, memory in (
        (side, context, {}),
        (side, second, {LAST_REFINED: last}),
        (elsewhere, context, {}),
        (video, second, {}),
    ):
        np.testing.assert_array_equal(first_picture(view, when, memory), view.rgb[0])


def test_every_window_of_a_take_has_its_own_seed() -> None:
    seeds = {seed_of(s, r, v, w) for s in (0, 1) for r in (1, 2) for v in ("front", "left") for w in (0, 1)}
    assert len(seeds) == 16
    drawn = {seed_of(0, 1, "front", 0, draw) for draw in range(4)}
    assert len(drawn) == 4
    assert seeds & drawn == {seed_of(0, 1, "front", 0)}, "the first draw is the round as it always was"


def test_layers_are_asked_for_only_by_who_reads_them(checkpoint: Checkpoint) -> None:
    assert refiner_of("ltx", checkpoint).needs == {"masks"}
    assert refiner_of("ltx", checkpoint, guide="warped_noise").needs == {"flow"}


def test_other_weights_in_the_folder_are_another_refiner(checkpoint: Checkpoint, models: Any) -> None:
    from perpetua.refine.api import VideoName

    name = VideoName("take", 1, "front", "key")
    refiner = refiner_of("ltx", checkpoint)
    before = refiner.inputs(name)
    assert before == refiner_of("ltx", checkpoint).inputs(name)
    weights = models / "ltx" / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert refiner.inputs(name) != before


def test_a_guide_that_needs_flow_says_so(
    checkpoint: Checkpoint, video: RenderedVideo, context: RoundContext
) -> None:
    with pytest.raises(RefinerError, match="needs the optical flow"):
        refiner_of("ltx", checkpoint, guide="warped_noise").refine(
            replace(video, flow=None), context, {}, Progress()
        )


def test_options_have_defaults_that_their_own_check_accepts() -> None:
    options = Options(model="x")
    assert 0 < options.object_strength < options.strength < 1
