"""`render_layers`: a camera of the engine, everything a frame needs in one pass."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import NOTHING_DEPTH, Motion, render_layers
from perpetua.render.bench.timing import threads
from perpetua.render.numba_backend.functions import composite
from perpetua.scene import Camera, Gaussians
from perpetua.scene.rotations import quaternion_from_matrix


@pytest.fixture
def camera() -> Camera:
    """A Blender camera 4 m in front of the origin, looking along +y."""
    matrix = np.array([[1, 0, 0, 0], [0, 0, -1, -4], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    return Camera.from_blender(matrix, 50.0, 64, 48)


@pytest.fixture
def gaussians() -> Gaussians:
    """A red Gaussian at the right and a green one at the left, a metre further from the camera."""
    return Gaussians.from_colors(
        torch.tensor([[0.8, 0.0, 0.0], [-0.8, 1.0, 0.0]]),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1),
        torch.full((2, 3), 0.15),
        torch.full((2,), 0.99),
        torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
    )


def test_colour_alpha_and_depth_are_where_the_gaussians_are(camera: Camera, gaussians: Gaussians) -> None:
    frame = render_layers(gaussians, camera)
    assert frame.rgb.shape == (48, 64, 3)
    assert frame.alpha.shape == frame.depth.shape == (48, 64)
    assert frame.extra is None
    pixels, depths = camera.project(gaussians.means.numpy().astype(np.float64))
    for index, (u, v) in enumerate(pixels.astype(int)):
        assert frame.alpha[v, u] > 0.9
        assert frame.rgb[v, u].argmax() == index
        assert frame.depth[v, u].item() == pytest.approx(depths[index], rel=1e-5)
    assert frame.alpha[0, 0] == 0
    assert frame.depth[0, 0] == NOTHING_DEPTH


def test_background_is_behind_the_colours_only(camera: Camera, gaussians: Gaussians) -> None:
    channels = torch.tensor([[1.0, 5.0], [2.0, 6.0]])
    frame = render_layers(gaussians, camera, background=(0.1, 0.2, 0.3), channels=channels)
    torch.testing.assert_close(frame.rgb[0, 0], torch.tensor([0.1, 0.2, 0.3]))
    assert frame.extra is not None
    assert frame.extra.shape == (48, 64, 2)
    assert (frame.extra[0, 0] == 0).all()
    pixels, _ = camera.project(gaussians.means.numpy().astype(np.float64))
    for index, (u, v) in enumerate(pixels.astype(int)):
        torch.testing.assert_close(
            frame.extra[v, u] / frame.alpha[v, u], channels[index], rtol=1e-4, atol=1e-4
        )


def test_channels_of_another_number_of_gaussians_are_refused(camera: Camera, gaussians: Gaussians) -> None:
    with pytest.raises(RenderError, match=r"channels must have shape \[2, c\].*not \[3, 6\]"):
        render_layers(gaussians, camera, channels=torch.rand(3, 6))


def test_extra_channels_do_not_change_the_rest(camera: Camera, gaussians: Gaussians) -> None:
    plain = render_layers(gaussians, camera)
    more = render_layers(gaussians, camera, channels=torch.rand(2, 6))
    torch.testing.assert_close(more.rgb, plain.rgb)
    torch.testing.assert_close(more.depth, plain.depth)
    torch.testing.assert_close(more.alpha, plain.alpha)


def test_gradient_moves_a_gaussian_towards_the_picture(camera: Camera, gaussians: Gaussians) -> None:
    goal = render_layers(gaussians, camera).rgb
    offset = torch.tensor([0.1, 0.0, -0.05], requires_grad=True)
    first = last = float("inf")
    optimizer = torch.optim.Adam([offset], lr=0.01)
    for step in range(30):
        moved = Gaussians(
            gaussians.means + offset,
            *(gaussians.quats, gaussians.log_scales),
            *(gaussians.opacity_logits, gaussians.sh),
        )
        loss = (render_layers(moved, camera).rgb - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item() if step == 0 else first), loss.item()
    assert last < 0.01 * first
    assert offset.detach().abs().max() < 0.02


def test_background_must_fit_the_colours(camera: Camera, gaussians: Gaussians) -> None:
    with pytest.raises(RenderError, match="background must be 3 numbers, not 2"):
        render_layers(gaussians, camera, background=(0.0, 1.0))


def test_normals_of_a_sphere() -> None:
    """Discs on a sphere, each turned over or not by chance: normals point out of it, in world axes, at unit length."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0.8, 0, 0.6], [0.6, 0, -0.8], [0, 1, 0]])  # right, up and back of the camera
    matrix[:3, 3] = position = 4.0 * matrix[:3, 2]
    camera = Camera.from_blender(matrix, 40.0, 64, 48)
    out = torch.nn.functional.normalize(torch.randn(20000, 3, generator=torch.Generator().manual_seed(1)))
    side = torch.nn.functional.normalize(torch.linalg.cross(out, torch.tensor([[0.3, -0.5, 0.8]])))
    over = torch.where(torch.arange(20000) % 2 == 0, 1.0, -1.0)[:, None]
    axes = torch.stack(
        [over * out, side, torch.linalg.cross(over * out, side)], -1
    )  # the shortest comes first
    discs = Gaussians.from_colors(
        out,
        quaternion_from_matrix(axes),
        torch.tensor([[1e-4, 0.025, 0.025]]).expand(20000, 3),
        torch.full((20000,), 0.95),
        torch.rand(20000, 3),
    )
    layers = render_layers(discs, camera, normals=True)
    assert layers.normals is not None
    y, x = np.mgrid[:48, :64] + 0.5
    rays = camera.rays(np.stack([x, y], -1).reshape(-1, 2))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    middle = -(rays @ position)
    root = np.sqrt((middle**2 - (position @ position - 1)).clip(0))
    exact = torch.from_numpy((position + (middle - root)[:, None] * rays).reshape(48, 64, 3)).float()
    facing = torch.from_numpy((root > 0.4).reshape(48, 64))
    assert facing.sum() > 400
    cosine = (layers.normals * exact).sum(-1)[facing]
    assert cosine.min() > math.cos(
        math.radians(7)
    )  # the sphere turns by 2.6 degrees a pixel, by more at its rim
    assert cosine.mean() > math.cos(math.radians(4))
    covered = layers.alpha > 0
    torch.testing.assert_close(layers.normals[covered].norm(dim=-1), torch.ones(int(covered.sum())))
    assert (layers.normals[~covered] == 0).all()


def test_masks_are_the_coverage_of_each_object(camera: Camera, gaussians: Gaussians) -> None:
    """Object 0 is half hidden behind object 1; what belongs to none is in no mask."""
    front = replace(gaussians, means=gaussians.means[:1] + torch.tensor([[-1.5, -0.5, 0.0]]))
    front = front[:1]
    three = Gaussians.cat([gaussians, front])
    objects = torch.tensor([-1, 0, 1])
    layers = render_layers(three, camera, objects=objects, object_count=3)
    assert layers.masks is not None
    assert layers.masks.shape == (48, 64, 3)
    assert (layers.masks[..., 2] == 0).all()
    everything = render_layers(three, camera, objects=objects + 1).masks
    assert everything is not None
    torch.testing.assert_close(everything.sum(-1), layers.alpha, atol=1e-6, rtol=0)
    torch.testing.assert_close(everything[..., 1:], layers.masks[..., :2])
    alone = render_layers(front, camera).alpha
    torch.testing.assert_close(layers.masks[..., 1], alone)
    behind = render_layers(gaussians[1:], camera).alpha
    seen_of_it = behind * (1 - alone)
    separate = render_layers(gaussians[:1], camera).alpha == 0
    torch.testing.assert_close(layers.masks[..., 0][separate], seen_of_it[separate], atol=1e-5, rtol=0)
    assert (behind - layers.masks[..., 0]).max() > 0.3


def test_many_masks_are_drawn_in_one_pass(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """More channels than are composited at once by default: still one sort, one list of tiles, one image."""
    count = 40
    row = Gaussians.from_colors(
        torch.stack([torch.linspace(-1, 1, count), torch.zeros(count), torch.zeros(count)], -1),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        torch.full((count, 3), 0.02),
        torch.full((count,), 0.9),
        torch.ones(count, 3),
    )
    passes = []
    monkeypatch.setattr(
        composite,
        "composite_forward",
        lambda *a, kernel=composite.composite_forward: passes.append(a) or kernel(*a),
    )
    with threads(1):
        layers = render_layers(row, camera, objects=torch.arange(count))
    assert len(passes) == 1
    assert layers.masks is not None
    torch.testing.assert_close(layers.masks.sum(-1), layers.alpha, atol=1e-6, rtol=0)


def test_everything_at_once_is_everything_alone(camera: Camera, gaussians: Gaussians) -> None:
    after = replace(gaussians, means=gaussians.means + torch.tensor([0.2, 0.0, 0.1]))
    motion, objects, channels = Motion.between(gaussians, after), torch.tensor([0, 1]), torch.rand(2, 2)
    whole = render_layers(
        gaussians,
        camera,
        background=(0.1, 0.2, 0.3),
        normals=True,
        motion=motion,
        objects=objects,
        channels=channels,
    )
    alone = {
        "rgb": render_layers(gaussians, camera, background=(0.1, 0.2, 0.3)).rgb,
        "normals": render_layers(gaussians, camera, normals=True).normals,
        "flow": render_layers(gaussians, camera, motion=motion).flow,
        "masks": render_layers(gaussians, camera, objects=objects).masks,
        "extra": render_layers(gaussians, camera, channels=channels).extra,
    }
    for name, image in alone.items():
        torch.testing.assert_close(getattr(whole, name), image, atol=1e-5, rtol=1e-5)


def test_every_layer_has_a_gradient(camera: Camera, gaussians: Gaussians) -> None:
    leaves = [
        getattr(gaussians, name).clone().requires_grad_(True) for name in ("means", "quats", "log_scales")
    ]
    moving = Gaussians(*leaves, gaussians.opacity_logits, gaussians.sh)
    motion = Motion.between(moving, replace(moving, means=1.3 * moving.means))
    layers = render_layers(
        moving, camera, normals=True, motion=motion, objects=torch.tensor([0, 1]), channels=torch.rand(2, 1)
    )
    for name in ("rgb", "alpha", "depth", "normals", "flow", "masks", "extra"):
        image = getattr(layers, name)
        image = torch.where(layers.alpha > 0, image, 0) if name == "depth" else image
        uneven = torch.linspace(0.5, 1.5, image.numel()).reshape(image.shape)
        gradients = torch.autograd.grad((image * uneven).sum(), leaves, retain_graph=True)
        for gradient in gradients:
            assert gradient.isfinite().all(), name
        assert gradients[1 if name == "normals" else 0].abs().max() > 1e-3, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_layers(camera: Camera, gaussians: Gaussians) -> None:
    there = Gaussians(*(getattr(gaussians, f.name).cuda() for f in fields(Gaussians)))
    images = []
    for splats in (gaussians, there):
        motion = Motion.between(splats, replace(splats, means=1.2 * splats.means))
        images.append(
            render_layers(splats, camera, normals=True, motion=motion, objects=torch.tensor([0, 1]))
        )
    for name in ("rgb", "alpha", "depth", "normals", "flow", "masks"):
        here, cuda = getattr(images[0], name), getattr(images[1], name).cpu()
        assert (here - cuda).abs().median() < 1e-4, name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objects": torch.tensor([0, 1, 2])}, "objects must be 2 integers"),
        ({"objects": torch.tensor([0.0, 1.0])}, "objects must be 2 integers"),
        (
            {"objects": torch.tensor([0, 2]), "object_count": 2},
            r"objects must be -1 \(none\) to 1, not 0 to 2",
        ),
        ({"objects": torch.tensor([-2, 0])}, r"objects must be -1 \(none\) to 0, not -2 to 0"),
        ({"object_count": 2}, "object_count needs objects"),
    ],
)
def test_objects_that_do_not_fit_are_refused(
    camera: Camera, gaussians: Gaussians, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError, match=message):
        render_layers(gaussians, camera, **given)
