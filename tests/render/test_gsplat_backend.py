"""The CUDA renderer: that what it sends is what gsplat takes, and, where CUDA is, that it draws what the CPU draws."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from perpetua.render import rasterization
from perpetua.render.api import RENDER_MODES
from perpetua.render.gsplat_backend import rasterize_on_cuda

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What gsplat's `rasterization` is called with, by the names of its own arguments."""
    import gsplat

    signature = inspect.signature(gsplat.rasterization)
    arguments: dict[str, Any] = {}

    def record(*positional: Any, **named: Any) -> Any:
        arguments.update(signature.bind(*positional, **named).arguments)
        return torch.zeros(1, 4, 5, 3), torch.zeros(1, 4, 5, 1), {}

    monkeypatch.setattr(gsplat, "rasterization", record)
    monkeypatch.setattr("perpetua.render.rasterize.renderer_for", lambda device: rasterize_on_cuda)
    return arguments


def test_every_argument_reaches_gsplat(sent: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "means": torch.zeros(2, 3),
        "quats": torch.zeros(2, 4),
        "scales": torch.zeros(2, 3),
        "opacities": torch.zeros(2),
        "colors": torch.zeros(2, 25, 3),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.eye(3)[None],
        "width": 5,
        "height": 4,
        "near_plane": 0.5,
        "far_plane": 9.0,
        "radius_clip": 2.0,
        "eps2d": 0.1,
        "sh_degree": 4,
        "packed": False,
        "tile_size": 8,
        "backgrounds": torch.zeros(1, 3),
        "render_mode": "RGB+ED",
        "sparse_grad": True,
        "absgrad": True,
        "rasterize_mode": "antialiased",
        "channel_chunk": 8,
        "distributed": True,
        "camera_model": "fisheye",
        "segmented": True,
        "covars": torch.zeros(2, 3, 3),
        "with_ut": True,
        "with_eval3d": True,
        "radial_coeffs": torch.zeros(1, 4),
        "tangential_coeffs": torch.zeros(1, 2),
        "thin_prism_coeffs": torch.zeros(1, 4),
        "ftheta_coeffs": object(),
        "rolling_shutter": object(),
        "viewmats_rs": torch.eye(4)[None],
    }
    assert list(given) == list(inspect.signature(rasterization).parameters)
    rasterization(**given)
    for name, value in given.items():
        assert sent[name] is value or sent[name] == value, name


def test_gsplats_own_defaults_apply_to_the_rest(sent: dict[str, Any]) -> None:
    scene = (torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3))
    rasterization(*scene, torch.eye(4)[None], torch.eye(3)[None], 5, 4)
    assert "rolling_shutter" not in sent
    assert sent["packed"] is True


def test_arguments_and_defaults_are_gsplats() -> None:
    import gsplat

    theirs = inspect.signature(gsplat.rasterization).parameters
    ours = inspect.signature(rasterization).parameters
    assert list(ours) == list(theirs)
    for name, parameter in ours.items():
        assert parameter.kind == theirs[name].kind, name
        if name == "rolling_shutter":  # an enumeration of gsplat, which is not loaded for CPU tensors
            assert theirs[name].default.name == "GLOBAL"
        else:
            assert parameter.default == theirs[name].default, name


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
