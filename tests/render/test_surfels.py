"""2DGS: that what it sends is what gsplat takes, that a CPU is refused, and, where CUDA is, that discs look like flat Gaussians."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import rasterization, rasterization_2dgs

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_arguments_and_defaults_are_gsplats() -> None:
    import gsplat

    theirs = inspect.signature(gsplat.rasterization_2dgs).parameters
    ours = inspect.signature(rasterization_2dgs).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def test_every_argument_reaches_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    import gsplat

    signature = inspect.signature(gsplat.rasterization_2dgs)
    sent: dict[str, Any] = {}
    monkeypatch.setattr(
        gsplat, "rasterization_2dgs", lambda *p, **n: sent.update(signature.bind(*p, **n).arguments)
    )
    given: dict[str, Any] = {name: object() for name in signature.parameters}
    given["means"] = SimpleNamespace(device=SimpleNamespace(type="cuda"))  # all that is looked at
    rasterization_2dgs(**given)
    assert sent == given


def test_the_cpu_is_refused() -> None:
    scene = (torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3))
    with pytest.raises(
        RenderError, match="rasterization_2dgs draws CUDA tensors only, and means is on 'cpu'"
    ):
        rasterization_2dgs(*scene, torch.eye(4)[None], torch.eye(3)[None], 5, 4)


@needs_cuda
def test_discs_that_face_the_camera_are_flat_gaussians() -> None:
    """Seen from the front a disc is a flat Gaussian but for the blur of thin ones; its normal is the optical axis."""
    line = torch.linspace(-0.6, 0.6, 9)
    x, y = (v.flatten() for v in torch.meshgrid(line, line, indexing="ij"))
    count = len(x)
    scene = {
        "means": torch.stack([x, y, torch.full_like(x, 3.0)], -1),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        "scales": torch.tensor([[0.15, 0.15, 1e-4]]).repeat(count, 1),
        "opacities": torch.full((count,), 0.5),
        "colors": torch.rand(count, 3),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[160.0, 0, 48], [0, 160, 48], [0, 0, 1]]]),
    }
    cuda: dict[str, Any] = {name: tensor.cuda() for name, tensor in scene.items()}
    cuda["means"].requires_grad_(True)
    image, alpha, normals, surface, distortion, median, meta = rasterization_2dgs(
        **cuda, width=96, height=96, render_mode="RGB+ED", distloss=True
    )
    flat, flat_alpha, _ = rasterization(**scene, width=96, height=96, render_mode="RGB+ED")
    assert (image.detach().cpu() - flat).abs().mean() < 0.02
    assert (alpha.detach().cpu() - flat_alpha).abs().mean() < 0.02
    middle = normals.detach().cpu()[0, 48, 48] / alpha.detach().cpu()[0, 48, 48]
    assert middle[2].abs().item() == pytest.approx(1, abs=1e-3)
    assert median.shape == distortion.shape == alpha.shape
    image.sum().backward()
    assert cuda["means"].grad.isfinite().all()
    assert "gradient_2dgs" in meta
    assert surface is not None
