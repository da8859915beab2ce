"""Which checkpoints can be trained, and the command line on one that can."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from perpetua.cli.main import run
from perpetua.errors import TrainingError
from perpetua.phys4d.train.backbones.loading import family_of, trainable
from perpetua.phys4d.train.backbones.wan import Wan


def test_a_checkpoint_that_cannot_be_trained_is_named_with_what_can(models, checkpoint):
    assert family_of(models / checkpoint("wan")) is Wan
    with pytest.raises(TrainingError, match=r"only TI2V.*These can be trained: .*CogVideoX-5b-I2V"):
        family_of(models / checkpoint("wan_text"))
    with pytest.raises(TrainingError, match="is a LTXImageToVideoPipeline, which cannot be trained"):
        family_of(models / checkpoint("ltx"))
    with pytest.raises(TrainingError, match=r"There are no weights at .*nowhere"):
        family_of(models / "nowhere")
    assert models / "wan" in trainable(models)
    assert models / "ltx" not in trainable(models)


def test_the_command_trains_and_says_what_is_wrong_in_one_sentence(checkpoint, settings, tmp_path, capsys):
    path = tmp_path / "heads.yaml"
    config = settings | {"model": checkpoint("wan"), "steps": 1}
    path.write_text(yaml.safe_dump(msgspec.to_builtins(config)))
    out = tmp_path / "run"
    assert run(["train", "heads", "--config", str(path), "--out", str(out)]) == 0
    assert f"The weights are in {out / 'weights.safetensors'}" in capsys.readouterr().err
    assert run(["train", "rl", "--config", str(path), "--out", str(out)]) == 1
    assert "missing required field `start`" in capsys.readouterr().err
