"""A small scene fitted from pictures on the CPU, from Gaussians strewn at random, with each strategy."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from perpetua.render import rasterization, render_layers
from perpetua.render.layers import camera_tensors
from perpetua.render.strategy import DefaultStrategy, MCMCStrategy
from perpetua.scene import Camera, Gaussians

RATES = {"means": 5e-3, "quats": 5e-3, "scales": 2e-2, "opacities": 5e-2, "colors": 2e-2}


def truth(count: int = 1500) -> Gaussians:
    """A ball with stripes on a chequered disc."""
    random = torch.Generator().manual_seed(0)
    out = torch.nn.functional.normalize(torch.randn(count, 3, generator=random))
    stripes = (torch.sin(9 * out[:, 2:]) > 0).float()
    ball = stripes * torch.tensor([0.9, 0.3, 0.1]) + (1 - stripes) * torch.tensor([0.95, 0.9, 0.8])
    angle, away = (
        2 * math.pi * torch.rand(count, generator=random),
        torch.rand(count, generator=random).sqrt(),
    )
    floor = torch.stack([1.4 * away * angle.cos(), 1.4 * away * angle.sin(), torch.full((count,), -0.6)], -1)
    squares = ((floor[:, :2] / 0.5).floor().sum(-1, keepdim=True) % 2) * 0.5 + 0.2
    return Gaussians.from_colors(
        torch.cat([0.6 * out, floor]),
        torch.tensor([[1.0, 0, 0, 0]]).expand(2 * count, 4),
        torch.full((2 * count, 3), 0.035),
        torch.full((2 * count,), 0.9),
        torch.cat([ball, squares * torch.tensor([0.6, 0.8, 1.0])]),
    )


def ring(count: int, width: int, height: int) -> list[Camera]:
    """Cameras around the scene, at two heights by turns."""
    made = []
    for index in range(count):
        turn = 2 * math.pi * index / count
        position = 4.0 * np.array([math.cos(turn), math.sin(turn), 0.35 + 0.3 * (index % 2)])
        back = position / np.linalg.norm(position)
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right)
        matrix = np.eye(4)
        matrix[:3] = np.stack([right, np.cross(back, right), back, position], 1)
        made.append(Camera.from_blender(matrix, 45.0, width, height))
    return made


def strewn(count: int) -> dict[str, Any]:
    random = torch.Generator().manual_seed(1)
    return {
        "means": torch.nn.Parameter(2 * torch.rand(count, 3, generator=random) - 1),
        "quats": torch.nn.Parameter(torch.randn(count, 4, generator=random)),
        "scales": torch.nn.Parameter(torch.full((count, 3), math.log(0.12))),
        "opacities": torch.nn.Parameter(torch.full((count,), -1.5)),
        "colors": torch.nn.Parameter(torch.full((count, 3), 0.5)),
    }


def draw(params: dict[str, Any], camera: Camera, **options: Any) -> tuple[Tensor, dict[str, Any]]:
    viewmats, Ks = camera_tensors(camera)
    image, _, info = rasterization(
        params["means"],
        params["quats"],
        params["scales"].exp(),
        torch.sigmoid(params["opacities"]),
        params["colors"],
        viewmats,
        Ks,
        camera.width,
        camera.height,
        **options,
    )
    return image[0], info


def fit(strategy: Any, steps: int, count: int, size: tuple[int, int], **options: Any) -> dict[str, Any]:
    """Fit the scene from seven of eight cameras. Returns PSNR in dB in them and in the eighth, before and after, and how many
    Gaussians there were after each refinement."""
    cameras = ring(8, *size)
    scene = truth()
    with torch.no_grad():
        pictures = [render_layers(scene, camera).rgb for camera in cameras]
    params = strewn(count)
    optimizers = {name: torch.optim.Adam([p], lr=RATES[name], eps=1e-12) for name, p in params.items()}
    strategy.check_sanity(params, optimizers)
    state = strategy.initialize_state()
    more: dict[str, Any] = {"packed": options.get("packed", True)}
    if isinstance(strategy, MCMCStrategy):
        more = {"lr": RATES["means"]}

    @torch.no_grad()
    def psnr(chosen: list[int]) -> float:
        error = torch.stack([(draw(params, cameras[i])[0] - pictures[i]).square().mean() for i in chosen])
        return float(-10 * torch.log10(error.mean()))

    report: dict[str, Any] = {"before": psnr(list(range(7))), "counts": [count]}
    torch.manual_seed(2)
    for step in range(1, steps + 1):
        index = step * 3 % 7
        image, info = draw(params, cameras[index], **options)
        strategy.step_pre_backward(params, optimizers, state, step, info)
        loss = (image - pictures[index]).abs().mean()
        if isinstance(strategy, MCMCStrategy):  # the paper's pull towards transparent and small, equation 10
            loss = (
                loss
                + 0.002 * torch.sigmoid(params["opacities"]).mean()
                + 0.002 * params["scales"].exp().mean()
            )
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        strategy.step_post_backward(params, optimizers, state, step, info, **more)
        if len(params["means"]) != report["counts"][-1]:
            report["counts"].append(len(params["means"]))
    return {**report, "seen": psnr(list(range(7))), "unseen": psnr([7]), "params": params}


def default_strategy(**changes: Any) -> DefaultStrategy:
    timing = {"refine_start_iter": 40, "refine_every": 40, "refine_stop_iter": 10_000, "reset_every": 100_000}
    return DefaultStrategy(
        **{**timing, "grow_grad2d": 6e-4, "grow_scale3d": 0.05, "prune_opa": 0.02, **changes}
    )


def mcmc_strategy(**changes: Any) -> MCMCStrategy:
    timing = {"refine_start_iter": 40, "refine_every": 40, "refine_stop_iter": 10_000}
    return MCMCStrategy(**{**timing, "cap_max": 500, "noise_lr": 20.0, "min_opacity": 0.02, **changes})


def events(printed: str) -> dict[str, int]:
    """Totals of what a verbose strategy says it did, such as {"grew": 120, "pruned": 7}."""
    totals: dict[str, int] = {}
    for number, verb in re.findall(r"(\d+) (?:Gaussians )?(grew|pruned|moved|added)", printed):
        totals[verb] = totals.get(verb, 0) + int(number)
    return totals


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"packed": False}),
        ({}, {"packed": True}),
        ({"absgrad": True, "grow_grad2d": 1.5e-3}, {"packed": True, "absgrad": True}),
    ],
)
def test_default_strategy_fits(
    changes: dict[str, Any], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    strategy = default_strategy(verbose=True, refine_stop_iter=190, prune_opa=0.05, **changes)
    result = fit(strategy, 230, 300, (64, 48), **options)
    did = events(capsys.readouterr().out)
    assert result["before"] < 13
    assert result["seen"] > 27  # dB
    assert result["unseen"] > 23
    assert result["counts"][-1] > 900
    assert did["grew"] > 600
    assert did["pruned"] > 5
    assert result["counts"][-1] == 300 + did["grew"] - did["pruned"]


def test_mcmc_strategy_fits(capsys: pytest.CaptureFixture[str]) -> None:
    result = fit(mcmc_strategy(verbose=True), 200, 300, (64, 48))
    did = events(capsys.readouterr().out)
    assert result["seen"] > 26
    assert result["unseen"] > 22.5
    assert did["moved"] > 0
    assert result["counts"][-1] == 300 + did["added"] == 363


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "seen", "unseen"),
    [
        (default_strategy(grow_grad2d=1.5e-3, reset_every=1000, refine_stop_iter=1500), 36.5, 26.5),
        (mcmc_strategy(cap_max=2000), 36.5, 26.0),
    ],
)
def test_a_long_fit(strategy: Any, seen: float, unseen: float) -> None:
    result = fit(strategy, 3000, 500, (128, 96))
    assert result["seen"] > seen  # dB
    assert result["unseen"] > unseen
