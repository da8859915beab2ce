"""What cannot be drawn is refused with a sentence that names it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import rasterization
from perpetua.render.rasterize import renderer_for


def arguments(**changes: Any) -> dict[str, Any]:
    """A valid call with some arguments changed."""
    valid = {
        "means": torch.tensor([[0.0, 0, 3], [0.1, 0, 4]]),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1),
        "scales": torch.full((2, 3), 0.1),
        "opacities": torch.full((2,), 0.5),
        "colors": torch.rand(2, 3),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[30.0, 0, 8], [0, 30.0, 8], [0, 0, 1]]]),
        "width": 16,
        "height": 16,
    }
    return {**valid, **changes}


def test_the_valid_call_is_valid() -> None:
    rasterization(**arguments())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": None}, "means must be a tensor of torch's, not NoneType"),
        ({"opacities": [0.5, 0.5]}, "opacities must be a tensor of torch's, not list"),
        ({"colors": torch.zeros(2, 4, 3), "sh_degree": 1.5}, "sh_degree must be 0 to 4, not 1.5"),
        ({"backgrounds": torch.full((1, 3), torch.nan)}, "backgrounds has entries that are NaN"),
        ({"width": 600_000}, "600000 x 16 pixels is not supported on the CPU"),
        ({"height": 600_000}, "16 x 600000 pixels is not supported on the CPU"),
        ({"means": torch.zeros(2, 2)}, r"means must have shape \[any, 3\], not \[2, 2\]"),
        ({"quats": torch.zeros(3, 4)}, r"quats must have shape \[2, 4\]"),
        ({"quats": None}, "no shape; give quats and scales, or covars"),
        ({"quats": None, "scales": None}, "no shape; give quats and scales, or covars"),
        ({"colors": torch.tensor([[1.0, 2, 3], [4, torch.nan, 6]])}, "colors has entries that are NaN"),
        ({"colors": torch.tensor([[1.0, 2, 3], [4, torch.inf, 6]])}, "colors has entries that are NaN"),
        ({"scales": torch.zeros(2)}, "scales must have shape"),
        ({"opacities": torch.zeros(2, 1)}, r"opacities must have shape \[2\]"),
        ({"colors": torch.zeros(3, 3)}, r"colors must have shape \[2, any\] or \[1, 2, any\]"),
        ({"colors": torch.zeros(2, 0)}, "no channels"),
        ({"colors": torch.zeros(2, 3, 3), "sh_degree": 1}, "needs 4 coefficients"),
        (
            {"colors": torch.zeros(2, 25, 3), "sh_degree": 4},
            "sh_degree=4 is not supported on the CPU; use 0 to 3",
        ),
        ({"covars": torch.zeros(2, 6)}, r"covars must have shape \[2, 3, 3\]"),
        ({"viewmats": torch.eye(4)}, "viewmats must have shape"),
        ({"viewmats": torch.zeros(0, 4, 4), "Ks": torch.zeros(0, 3, 3)}, "no cameras"),
        ({"Ks": torch.eye(3).repeat(2, 1, 1)}, r"Ks must have shape \[1, 3, 3\]"),
        ({"Ks": -torch.eye(3)[None]}, "focal lengths"),
        ({"Ks": torch.tensor([[[30.0, 1, 8], [0, 30.0, 8], [0, 0, 1]]])}, "skew"),
        ({"backgrounds": torch.zeros(3)}, r"backgrounds must have shape \[1, 3\]"),
        ({"means": torch.zeros(2, 3, dtype=torch.float64)}, r"means is torch.float64.*call .float\(\)"),
        ({"width": 0}, "at least one pixel"),
        ({"near_plane": 0.0}, "0 < near < far"),
        ({"eps2d": -1.0}, "eps2d"),
        ({"eps2d": float("nan")}, "eps2d"),
        ({"radius_clip": -1.0}, "radius_clip"),
        ({"radius_clip": float("nan")}, "radius_clip"),
        ({"channel_chunk": 0}, "channel_chunk"),
        ({"render_mode": "RGBD"}, "render_mode must be one of RGB, D, ED"),
        ({"means": torch.zeros(3)}, r"means must have shape \[any, 3\], not \[3\]"),
        ({"means": torch.zeros(4, 2, 3)}, r"quats must have shape \[4, 2, 4\], not \[2, 4\]"),
        ({"sh_degree": 5, "colors": torch.zeros(2, 36, 3)}, "sh_degree must be 0 to 4"),
        ({"Ks": torch.eye(3)[None].requires_grad_(True)}, "Ks gets no gradient"),
        ({"viewmats": torch.full((1, 4, 4), torch.nan)}, "viewmats has entries that are NaN"),
        ({"Ks": torch.full((1, 3, 3), torch.inf)}, "Ks has entries that are NaN or infinite"),
        (
            {"viewmats": torch.zeros(1, 4, 4), "colors": torch.zeros(2, 1, 3), "sh_degree": 0},
            "viewmats cannot be inverted",
        ),
        ({"camera_model": "panorama"}, "camera_model must be one of pinhole, ortho, fisheye, ftheta"),
        ({"rasterize_mode": "sharp"}, "rasterize_mode must be one of classic, antialiased"),
    ],
)
def test_refusal(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError, match=message):
        rasterization(**arguments(**changes))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["means", "scales", "opacities", "quats"])
def test_gaussians_that_are_not_finite_are_named(name: str, value: float) -> None:
    broken = arguments()
    broken[name] = broken[name].clone()
    broken[name][1] = value
    with pytest.raises(RenderError, match="1 Gaussians cannot be projected, the first is number 1"):
        rasterization(**broken)


def test_zero_quaternion_is_named() -> None:
    with pytest.raises(RenderError, match="quaternion is zero"):
        rasterization(**arguments(quats=torch.zeros(2, 4)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("camera_model", "fisheye"),
        ("camera_model", "ftheta"),
        ("tile_size", 8),
        ("sparse_grad", True),
        ("distributed", True),
        ("segmented", True),
        ("with_ut", True),
        ("with_eval3d", True),
        ("radial_coeffs", torch.zeros(1, 6)),
        ("tangential_coeffs", torch.zeros(1, 2)),
        ("thin_prism_coeffs", torch.zeros(1, 4)),
        ("ftheta_coeffs", object()),
        ("rolling_shutter", "ROLLING_TOP_TO_BOTTOM"),
        ("viewmats_rs", torch.eye(4)[None]),
    ],
)
def test_what_only_gsplat_draws_is_named(name: str, value: Any) -> None:
    with pytest.raises(RenderError, match=f"^{name}.*not supported on the CPU"):
        rasterization(**arguments(**{name: value}))


def test_a_global_shutter_is_none() -> None:
    from gsplat.cuda._wrapper import RollingShutterType

    plain, _, _ = rasterization(**arguments(colors=torch.ones(2, 3)))
    same, _, _ = rasterization(
        **arguments(colors=torch.ones(2, 3)), rolling_shutter=RollingShutterType.GLOBAL
    )
    assert torch.equal(plain, same)


def test_unknown_device_is_named() -> None:
    with pytest.raises(RenderError, match="no renderer for tensors on 'meta'"):
        renderer_for("meta")


def test_colours_whose_sum_overflows_are_drawn() -> None:
    image, _, _ = rasterization(**arguments(colors=torch.full((2, 3), 2e38)))
    assert torch.isfinite(image).all()


def test_a_colour_image_may_be_changed_in_place_before_backward() -> None:
    scene = arguments(colors=torch.rand(2, 3, requires_grad=True))
    image, _, _ = rasterization(**scene)
    image.clamp_(0, 1).sum().backward()
    assert scene["colors"].grad.abs().sum() > 0
