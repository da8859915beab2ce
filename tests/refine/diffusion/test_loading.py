"""What a checkpoint must be, and every sentence that says it is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perpetua import registry
from perpetua.errors import RefinerError

Checkpoint = Callable[[str], str]


def refusal(refiner: str, **options: Any) -> str:
    with pytest.raises(RefinerError) as refused:
        registry.load("refiner", refiner)(**options)
    return str(refused.value)


@pytest.fixture
def copy(checkpoint: Checkpoint, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of LTX that may be damaged."""
    shutil.copytree(models / checkpoint("ltx"), tmp_path / "ltx")
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    return tmp_path / "ltx"


def test_no_weights(checkpoint: Checkpoint, models: Path) -> None:
    said = refusal("wan", model="Wan2.2-TI2V-5B-Diffusers")
    assert f"no weights at {models / 'Wan2.2-TI2V-5B-Diffusers'}" in said
    assert "Wan-AI/Wan2.2-TI2V-5B-Diffusers" in said
    assert "needs the option `model`" in refusal("wan")


def test_weights_of_another_family(checkpoint: Checkpoint) -> None:
    said = refusal("wan", model=checkpoint("cogvideox"))
    assert (
        "it is a CogVideoXImageToVideoPipeline, and Wan 2.2 TI2V 5B needs a WanImageToVideoPipeline" in said
    )


def test_text_to_video(checkpoint: Checkpoint) -> None:
    assert "text-to-video checkpoint, which cannot begin with a picture" in refusal(
        "wan", model=checkpoint("wan_text")
    )


@pytest.mark.parametrize(
    ("refiner", "kind", "why"),
    [("ltx", "LTX2Pipeline", "LTX-2 makes sound"), ("cogvideox", "CogVideoXPipeline", "video from text")],
)
def test_neighbours_that_do_not_fit_are_refused_by_name(
    copy: Path, refiner: str, kind: str, why: str
) -> None:
    change_index(copy, _class_name=kind)
    assert why in refusal(refiner, model="ltx")


def test_the_form_that_wan_ti2v_is_published_in(
    checkpoint: Checkpoint, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index names the text-to-video pipeline and says that the first latent may be a picture."""
    shutil.copytree(models / checkpoint("wan"), tmp_path / "wan")
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    index = json.loads((tmp_path / "wan" / "model_index.json").read_text())
    kept = {name: value for name, value in index.items() if not name.startswith("image_")}
    (tmp_path / "wan" / "model_index.json").write_text(json.dumps({**kept, "_class_name": "WanPipeline"}))
    from perpetua.refine.diffusion import loading

    refiner = registry.load("refiner", "wan")(model="wan")
    assert loading.held(refiner.load).pipeline.config.expand_timesteps


def change_index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_pickled_weights_are_not_read(copy: Path) -> None:
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(copy / "vae" / "diffusion_pytorch_model.bin")
    assert "only pickled weights, which are not read" in refusal("ltx", model="ltx")


def test_a_missing_part_and_a_missing_shard(copy: Path) -> None:
    index = copy / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part-1-of-2.safetensors"}}))
    assert "transformer lacks part-1-of-2.safetensors" in refusal("ltx", model="ltx")
    index.unlink()
    shutil.rmtree(copy / "text_encoder")
    assert "text_encoder holds no .safetensors; copy the checkpoint again" in refusal("ltx", model="ltx")


def test_code_in_a_checkpoint_is_not_run(copy: Path) -> None:
    (copy / "vae" / "evil.py").write_text("raise SystemExit")
    change_index(copy, vae=["evil", "AutoencoderKLLTXVideo"])
    assert "code of its own (evil), which is not run" in refusal("ltx", model="ltx")


def test_a_damaged_index(copy: Path) -> None:
    (copy / "model_index.json").write_text("{")
    assert "model_index.json cannot be read" in refusal("ltx", model="ltx")
    (copy / "model_index.json").write_text("[]")
    assert "is no JSON object" in refusal("ltx", model="ltx")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 1.5}, "strength is 1.5; it must be a number from 0 to 1"),
        ({"strength": True}, "strength is True"),
        ({"steps": 0}, "steps is 0; it must be a whole number of 1 or more"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"guide": "magic"}, "guide is 'magic'; it must be one of time_to_move, warped_noise"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"tiled": 1}, "tiled is 1; it must be true or false"),
        ({"prompt": 3}, "prompt is 3; it must be a text"),
        ({"model": "../elsewhere"}, "a name inside the models folder"),
        ({"model": "/etc"}, "a name inside the models folder"),
        ({"lora": "C:/x"}, "a name inside the models folder"),
        ({"lora": "nothing"}, "is not one .safetensors file"),
        ({"window": 9, "overlap": 9}, "windows of 9 frames cannot share 9"),
        ({"control": "depth"}, "has no option 'control'"),
        ({"strenght": 0.5}, "has no option 'strenght'"),
        ({"offload": "model", "device": "cpu"}, "offload 'model' is for a GPU"),
    ],
)
def test_bad_options(checkpoint: Checkpoint, options: dict[str, Any], said: str) -> None:
    assert said in refusal("ltx", **{"model": checkpoint("ltx"), **options})


def test_a_gpu_that_is_not_there(checkpoint: Checkpoint) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "there is no CUDA GPU here" in refusal("ltx", model=checkpoint("ltx"), device="cuda")


def test_controls_are_for_models_that_see_them(checkpoint: Checkpoint) -> None:
    model = checkpoint("wan_vace")
    assert registry.load("refiner", "wan_vace")(model=model, control="grey").options.control == "grey"
    assert "control is 'sketch'; it must be one of depth, grey" in refusal(
        "wan_vace", model=model, control="sketch"
    )
