"""The CUDA renderer: that what it sends is what gsplat takes, and, where CUDA is, that it draws what the CPU draws."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from perpetua.render import rasterization
from perpetua.render.api import RENDER_MODES, RasterizationInputs
from perpetua.render.gsplat_backend import rasterize_on_cuda

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_arguments_are_gsplats(monkeypatch: pytest.MonkeyPatch) -> None:
    import gsplat

    signature = inspect.signature(gsplat.rasterization)
    sent: dict[str, Any] = {}

    def record(*positional: Any, **named: Any) -> Any:
        sent.update(signature.bind(*positional, **named).arguments)
        return torch.zeros(1, 4, 5, 3), torch.zeros(1, 4, 5, 1), {}

    monkeypatch.setattr(gsplat, "rasterization", record)
    given = RasterizationInputs(
        means=torch.zeros(2, 3),
        quats=torch.zeros(2, 4),
        scales=torch.zeros(2, 3),
        opacities=torch.zeros(2),
        colors=torch.zeros(2, 16, 3),
        viewmats=torch.eye(4)[None],
        Ks=torch.eye(3)[None],
        width=5,
        height=4,
        near_plane=0.5,
        far_plane=9.0,
        radius_clip=2.0,
        eps2d=0.1,
        sh_degree=3,
        backgrounds=torch.zeros(1, 3),
        render_mode="RGB+ED",
        covars=None,
        channel_chunk=8,
    )
    rasterize_on_cuda(given)
    for name in RasterizationInputs.__dataclass_fields__:
        assert sent[name] is getattr(given, name) or sent[name] == getattr(given, name), name
    assert sent["packed"] is False


def test_defaults_are_gsplats() -> None:
    import gsplat

    theirs = inspect.signature(gsplat.rasterization).parameters
    for name, parameter in inspect.signature(rasterization).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert theirs[name].default == parameter.default, name


@needs_cuda
@pytest.mark.parametrize("render_mode", RENDER_MODES)
def test_cuda_and_cpu_agree(render_mode: Any, make_scene: Any, both: Any, pull: Any, relative: Any) -> None:
    scene = make_scene(400, cameras=2)
    _, cpu = both(scene)
    _, cuda = both(scene)
    cuda = {
        k: v.detach().cuda().requires_grad_(v.requires_grad) if torch.is_tensor(v) else v
        for k, v in cuda.items()
    }
    image, alpha, _ = rasterization(**cpu, render_mode=render_mode)
    cuda_image, cuda_alpha, _ = rasterization(**cuda, render_mode=render_mode)
    assert (image - cuda_image.cpu()).abs().mean() < 1e-4
    pull(image, alpha)
    pull(cuda_image.cpu(), cuda_alpha.cpu())
    for name in ("means", "quats", "scales", "opacities"):
        assert relative(cuda[name].grad.cpu(), cpu[name].grad.double()) < 1e-2, name
