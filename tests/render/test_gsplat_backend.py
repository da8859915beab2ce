"""The CUDA renderer: that what it sends is what gsplat takes, and, where CUDA is, that it draws what the CPU draws."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from perpetua.render import rasterization
from perpetua.render.api import RENDER_MODES
from perpetua.render.gsplat_backend import rasterize_on_cuda
from perpetua.render.numba_backend.meta import TILE_LISTS

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


def on_cuda(scene: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.detach().cuda().requires_grad_(value.requires_grad) if torch.is_tensor(value) else value
        for name, value in scene.items()
    }


@pytest.fixture
def agree(both: Any, pull: Any, relative: Any) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
    """Check image, alpha and all gradients of one scene on both devices; returns both metas.

    gsplat on CUDA also computes in float32, and adds with atomics: it is held less tightly than float64 code.
    """

    def check(scene: dict[str, Any], **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        cpu, other = both(scene)[1], both(scene)[1]
        for made in (cpu, other):
            made["viewmats"].requires_grad_(True)
        cuda = on_cuda(other)
        image, alpha, meta = rasterization(**cpu, **options)
        cuda_image, cuda_alpha, cuda_meta = rasterization(**cuda, **options)
        assert (image - cuda_image.cpu()).abs().mean() < 1e-4
        assert (alpha - cuda_alpha.cpu()).abs().mean() < 1e-5
        for drawn, covered, found in ((image, alpha, meta), (cuda_image.cpu(), cuda_alpha.cpu(), cuda_meta)):
            found["means2d"].retain_grad()
            pull(drawn, covered)
        for name, tensor in cpu.items():
            if torch.is_tensor(tensor) and tensor.requires_grad and tensor.grad is not None:
                assert relative(cuda[name].grad.cpu(), tensor.grad.double()) < 1e-2, name
        return meta, cuda_meta

    return check


@needs_cuda
@pytest.mark.parametrize("render_mode", RENDER_MODES)
def test_cuda_and_cpu_agree(render_mode: Any, make_scene: Any, agree: Any) -> None:
    agree(make_scene(400, cameras=2), render_mode=render_mode)


@needs_cuda
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
def test_cuda_and_cpu_agree_on_meta(packed: bool, rasterize_mode: Any, make_scene: Any, agree: Any) -> None:
    ours, theirs = agree(
        make_scene(400, cameras=2), packed=packed, rasterize_mode=rasterize_mode, absgrad=True
    )
    assert set(theirs) <= set(ours) | set(TILE_LISTS)
    for name in ("batch_ids", "camera_ids", "gaussian_ids"):
        assert (ours[name] is None) == (theirs[name] is None)
    if packed:
        for name in ("camera_ids", "gaussian_ids"):
            assert torch.equal(ours[name], theirs[name].cpu().long())
    seen = (ours["radii"] > 0).all(-1)
    assert torch.equal(seen, (theirs["radii"].cpu() > 0).all(-1))
    for name in ("radii", "means2d", "depths", "conics", "opacities", "tiles_per_gauss", "isect_offsets"):
        assert ours[name].shape == theirs[name].shape, name
    # A radius is rounded up: float32 may decide by one.
    assert (ours["radii"] - theirs["radii"].cpu()).abs()[seen].max() <= 1
    for name in ("means2d", "depths", "conics", "opacities"):
        torch.testing.assert_close(ours[name][seen], theirs[name].cpu()[seen], rtol=1e-3, atol=1e-3)
    for kind in ("grad", "absgrad"):
        found, expected = (getattr(meta["means2d"], kind).cpu() for meta in (ours, theirs))
        assert (found - expected).norm() < 1e-2 * expected.norm(), kind


@needs_cuda
@pytest.mark.parametrize(
    "options", [{"camera_model": "ortho"}, {"sh_degree": 3}, {"radius_clip": 5.0}], ids=str
)
def test_cuda_and_cpu_agree_on_options(options: dict[str, Any], make_scene: Any, agree: Any) -> None:
    scene = make_scene(300)
    if "sh_degree" in options:
        random = torch.Generator().manual_seed(0)
        scene["colors"] = 0.4 * torch.randn(300, 16, 3, generator=random)
    if "camera_model" in options:
        scene["Ks"][:, 0, 0] = scene["Ks"][:, 1, 1] = 16.0
    agree(scene, **options)
