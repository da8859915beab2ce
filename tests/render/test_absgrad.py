"""`meta["means2d"].absgrad`: over pixels, the sum of what each asks of a mean, whichever way it pulls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from perpetua.render import rasterization
from perpetua.render.reference import rasterize_reference


def expected_absgrad(scene: dict[str, Any], pull: Any, **options: Any) -> list[Tensor]:
    """[N, 2] of each image: torch's gradients to a mean of its own at each pixel, made absolute and summed."""
    image, alpha, meta = rasterize_reference(**scene, **options)
    for means2d in meta["means2d"]:
        means2d.retain_grad()
    pull(image, alpha)
    sums = []
    for seen, means2d in zip(meta["seen"], meta["means2d"], strict=True):
        sums.append(torch.zeros(scene["means"].shape[0], 2, dtype=torch.float64))
        sums[-1][seen] = means2d.grad.abs().sum((1, 2))
    return sums


@pytest.mark.parametrize("render_mode", ["RGB", "RGB+ED"])
def test_absgrad_is_the_sum_of_absolute_gradients_of_pixels(
    make_scene: Any, both: Any, pull: Any, relative: Any, render_mode: Any
) -> None:
    double, single = both(make_scene(60, 40, 30, cameras=2))
    expected = expected_absgrad(double, pull, render_mode=render_mode)
    image, alpha, meta = rasterization(**single, render_mode=render_mode, packed=False, absgrad=True)
    meta["means2d"].retain_grad()
    pull(image, alpha)
    found = meta["means2d"].absgrad
    assert found.shape == (2, 60, 2)
    assert relative(found, torch.stack(expected)) < 1e-3
    assert (found >= meta["means2d"].grad.abs() * (1 - 1e-5)).all()
    assert (found[meta["radii"][..., 0] == 0] == 0).all()


def test_absgrad_of_packed_rows_is_that_of_dense_ones(make_scene: Any, both: Any, pull: Any) -> None:
    scene = make_scene(60, 40, 30, cameras=2)
    found = {}
    for packed in (False, True):
        _, single = both(scene)
        image, alpha, meta = rasterization(**single, packed=packed, absgrad=True)
        pull(image, alpha)
        found[packed] = meta
    rows = found[True]["camera_ids"], found[True]["gaussian_ids"]
    assert torch.equal(found[True]["means2d"].absgrad, found[False]["means2d"].absgrad[rows])


def test_absgrad_looks_at_all_channels_together(make_scene: Any, both: Any, pull: Any) -> None:
    """Chunks of channels bound memory; what they pull on a mean must be added before it is made absolute."""
    scene = make_scene(40, 40, 30, channels=7)
    found = []
    for chunk in (32, 2):
        _, single = both(scene)
        image, alpha, meta = rasterization(**single, channel_chunk=chunk, absgrad=True)
        pull(image, alpha)
        found.append(meta["means2d"].absgrad)
    assert torch.equal(found[0], found[1])
    assert found[0].abs().sum() > 0


def test_gradients_are_the_same_bytes_with_and_without_absgrad(make_scene: Any, both: Any, pull: Any) -> None:
    scene = make_scene(60, 40, 30)
    gradients = []
    for absgrad in (False, True):
        _, single = both(scene)
        image, alpha, meta = rasterization(**single, absgrad=absgrad)
        pull(image, alpha)
        assert hasattr(meta["means2d"], "absgrad") == absgrad
        gradients.append(single["means"].grad)
    assert torch.equal(*gradients)
