"""Optical flow against closed forms: what a pixel sees is found by its ray, moved, and projected again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render import Layers, Motion, render_layers
from perpetua.render.motion import _inverse_where_wide, axes_of, flow_features
from perpetua.scene import Binding, Camera, Gaussians, deform
from perpetua.scene.rotations import quaternion_from_matrix

WIDTH, HEIGHT = 96, 72


def camera_at(yaw: float = 0.0, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Camera:
    """A camera near the origin that looks along +z, turned about the vertical and moved; its centre is off the image's."""
    c, s = math.cos(yaw), math.sin(yaw)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
    matrix[:3, 3] = -matrix[:3, :3] @ np.array(shift)
    K = np.array([[90.0, 0, WIDTH / 2 + 3], [0, 95.0, HEIGHT / 2 - 2], [0, 0, 1]])
    return Camera(K, matrix, WIDTH, HEIGHT)


def turn(axis: tuple[float, float, float], angle: float) -> Tensor:
    """[3, 3] rotation by `angle` rad about `axis`."""
    x, y, z = (np.array(axis) / np.linalg.norm(axis)).tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.matrix_exp(angle * cross)


def sheet(distance: float, half: float, step: float, tilt: Tensor | None = None) -> Gaussians:
    """A square of flat discs `step` m apart across the optical axis at `distance` m, tilted about its centre."""
    line = torch.arange(-half, half + step / 2, step)
    x, y = (v.flatten() for v in torch.meshgrid(line, line, indexing="ij"))
    tilt = torch.eye(3) if tilt is None else tilt
    means = torch.stack([x, y, torch.zeros_like(x)], -1) @ tilt.T + torch.tensor([0, 0, distance])
    quats = quaternion_from_matrix(tilt).expand(len(means), 4)
    scales = torch.tensor([0.8 * step, 0.8 * step, 1e-4]).expand(len(means), 3)
    colors = 0.5 + 0.3 * torch.stack([torch.sin(7 * x), torch.cos(9 * y), torch.sin(5 * (x + y))], -1)
    return Gaussians.from_colors(means, quats, scales, torch.full((len(means),), 0.95), colors)


def ball(centre: Tensor, radius: float, count: int) -> Gaussians:
    """A sphere of flat discs on a Fibonacci lattice."""
    k = torch.arange(count, dtype=torch.float64) + 0.5
    polar, around = torch.acos(1 - 2 * k / count), math.pi * (1 + 5**0.5) * k
    n = torch.stack([polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos()], -1).float()
    helper = torch.where(n[:, :1].abs() < 0.9, torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]))
    a = torch.nn.functional.normalize(torch.linalg.cross(n, helper), dim=-1)
    quats = quaternion_from_matrix(torch.stack([a, torch.linalg.cross(n, a), n], -1))
    size = 0.7 * radius * math.sqrt(4 * math.pi / count)
    scales = torch.tensor([size, size, 1e-4]).expand(count, 3)
    return Gaussians.from_colors(
        centre + radius * n, quats, scales, torch.full((count,), 0.95), 0.5 + 0.4 * n
    )


def moved(gaussians: Gaussians, R: Tensor, shift: Tensor, about: Tensor) -> Gaussians:
    """Turned by R [3, 3] about a point and shifted, rigidly."""
    axes = R @ axes_of(gaussians.quats, torch.ones(len(gaussians), 3))
    means = (gaussians.means - about) @ R.T + about + shift
    return replace(gaussians, means=means, quats=quaternion_from_matrix(axes))


def pixel_centres() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.stack([x, y], -1).reshape(-1, 2)


def on_plane(camera: Camera, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """[H W, 3] m: where the pixels' rays meet a plane."""
    rays = camera.rays(pixel_centres())
    distance = ((point - camera.position) @ normal) / (rays @ normal)
    return camera.position + distance[:, None] * rays


def flow_of(points: np.ndarray, after: np.ndarray, camera: Camera, camera_after: Camera) -> Tensor:
    """[H, W, 2]: closed form, of matter at `points` in one frame and at `after` in the other."""
    flow = camera_after.project(after)[0] - camera.project(points)[0]
    return torch.from_numpy(flow.reshape(HEIGHT, WIDTH, 2)).float()


def inside(layers: Layers, border: int = 0) -> Tensor:
    """Pixels that are covered, away from outlines."""
    covered = (layers.alpha > 0.98).float()[None, None]
    kernel = 2 * border + 1
    eroded = -torch.nn.functional.max_pool2d(-covered, kernel, 1, border)
    return eroded[0, 0] > 0.5


PLANE_MOTIONS = {
    "about the optical axis": (turn((0, 0, 1), 0.15), (0.02, -0.03, 0.0)),
    "about an axis across it": (turn((1, 0.5, 0), 0.2), (0.0, 0.0, 0.0)),
    "towards the camera": (torch.eye(3), (0.0, 0.0, -0.5)),
    "all of these": (turn((0.3, -1, 0.6), 0.2), (0.05, 0.02, -0.3)),
}


@pytest.mark.parametrize("name", PLANE_MOTIONS)
def test_plane_that_moves_rigidly(name: str) -> None:
    R, shift = PLANE_MOTIONS[name][0], torch.tensor(PLANE_MOTIONS[name][1])
    centre, tilt = torch.tensor([0.0, 0, 2.0]), turn((1, 1, 0), 0.5)
    before = sheet(2.0, 1.0, 0.05, tilt)
    after = moved(before, R, shift, centre)
    camera = camera_at()
    layers = render_layers(before, camera, motion=Motion.between(before, after))
    assert layers.flow is not None
    point, normal = centre.double().numpy(), tilt[:, 2].double().numpy()
    seen = on_plane(camera, point, normal)
    then = (seen - point) @ R.double().numpy().T + point + shift.double().numpy()
    expected = flow_of(seen, then, camera, camera)
    within = inside(layers, 4)
    assert within.sum() > 1500
    error = (layers.flow - expected).norm(dim=-1)[within]
    assert expected.norm(dim=-1)[within].max() > 4  # pixels
    assert error.mean() < 0.01 * expected.norm(dim=-1)[within].mean()
    assert error.max() < 0.025 * expected.norm(dim=-1)[within].max()


def test_shear_needs_the_deformation() -> None:
    """Discs of a sheared sheet are ellipses whose axes are no material lines; F says how the matter moved."""
    F = torch.tensor([[1.0, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    rest, camera = sheet(2.0, 0.8, 0.1), camera_at()
    particles = rest.means.clone()
    binding = Binding.to_nearest(rest.means, particles, torch.arange(len(rest)))
    still = torch.eye(3).expand(len(rest), 3, 3)
    motion = Motion.of_matter(rest, binding, rest, still, particles @ F.T, F.expand(len(rest), 3, 3))
    layers = render_layers(rest, camera, motion=motion)
    seen = on_plane(camera, np.array([0, 0, 2.0]), np.array([0, 0, 1.0]))
    expected = flow_of(seen, seen @ F.double().numpy().T, camera, camera)
    within = inside(layers, 5)
    assert layers.flow is not None
    error = (layers.flow - expected).norm(dim=-1)[within]
    assert error.mean() < 0.02
    own = deform(rest, binding, particles @ F.T, F.expand(len(rest), 3, 3))
    by_axes = render_layers(rest, camera, motion=Motion.between(rest, own)).flow
    assert by_axes is not None
    assert (by_axes - expected).norm(dim=-1)[within].mean() > 3 * error.mean()


def test_between_two_deformed_frames() -> None:
    """From one frame of a trajectory to the next, neither of them at rest, with a shadow that stays on the ground."""
    rest = sheet(2.0, 0.6, 0.06)
    count = len(rest)
    particles = rest.means.clone()
    about = torch.tensor([0.0, 0, 2.0])
    F0 = turn((0, 1, 0), 0.3) @ torch.diag(torch.tensor([1.2, 0.9, 1.0]))
    F1 = turn((0.2, 1, 0.4), 0.45) @ torch.tensor([[1.3, 0.2, 0], [0, 0.9, 0], [0, 0, 1.0]])
    positions = [(particles - about) @ F.T + about for F in (F0, F1)]
    binding = Binding.to_nearest(rest.means, particles, torch.arange(count))
    shadow = sheet(4.0, 0.3, 0.1)
    ground = replace(
        binding,
        particle=torch.cat([binding.particle, torch.zeros(len(shadow), dtype=torch.int64)]),
        offsets=torch.cat([binding.offsets, torch.zeros(len(shadow), 3)]),
        ground=torch.zeros(len(shadow), dtype=torch.int64),
        fade=torch.full((len(shadow),), 9.0),
        body=torch.zeros(count, dtype=torch.int64),
        footings=torch.tensor([[0.0, 0, 0.1, 0, 0.1, 1.9, 1.0]]),
    )
    whole = Gaussians.cat([rest, shadow])
    drawn = deform(whole, ground, positions[0], F0.expand(count, 3, 3))
    motion = Motion.of_matter(
        whole, ground, drawn, F0.expand(count, 3, 3), positions[1], F1.expand(count, 3, 3)
    )
    camera = camera_at()
    layers = render_layers(drawn, camera, motion=motion)
    normal = np.linalg.inv(F0.double().numpy()).T @ np.array([0, 0, 1.0])
    seen = on_plane(camera, about.double().numpy(), normal)
    F = F1.double().numpy() @ np.linalg.inv(F0.double().numpy())
    expected = flow_of(seen, (seen - about.numpy()) @ F.T + about.numpy(), camera, camera)
    within = inside(layers, 4)
    assert layers.flow is not None
    error = (layers.flow - expected).norm(dim=-1)[within]
    assert within.sum() > 800
    assert error.mean() < 0.02 * expected.norm(dim=-1)[within].mean()
    assert torch.equal(motion.means_after[count:], drawn.means[count:])


def test_ball_that_turns_under_a_moving_camera() -> None:
    centre, radius = torch.tensor([0.05, 0.0, 2.0]), 0.6
    R, shift = turn((0.2, 1, 0.1), 0.12), torch.tensor([0.03, 0.01, -0.1])
    before = ball(centre, radius, 4000)
    after = moved(before, R, shift, centre)
    camera, camera_after = camera_at(), camera_at(0.06, (0.1, 0.0, 0.05))
    layers = render_layers(before, camera, motion=Motion.between(before, after), camera_after=camera_after)
    rays = camera.rays(pixel_centres())
    c, r2 = centre.double().numpy(), radius**2
    a, b = (rays * rays).sum(-1), rays @ c
    root = b * b - a * (c @ c - r2)
    seen = ((b - np.sqrt(root.clip(0))) / a)[:, None] * rays
    then = (seen - c) @ R.double().numpy().T + c + shift.double().numpy()
    expected = flow_of(seen, then, camera, camera_after)
    # Where the ball turns away the pixel sees a deep slope, and a splat there many radii: keep 0.85 of the outline.
    facing = torch.from_numpy((root > (1 - 0.85**2) * root.max()).reshape(HEIGHT, WIDTH))
    within = inside(layers, 1) & facing
    assert within.sum() > 1000
    assert layers.flow is not None
    error = (layers.flow - expected).norm(dim=-1)[within]
    assert expected.norm(dim=-1)[within].max() > 5
    assert error.mean() < 0.04
    assert error.max() < 0.25


def test_still_scene_under_a_moving_camera_has_parallax_and_occlusion() -> None:
    near, far = sheet(1.5, 0.3, 0.03), sheet(3.0, 2.5, 0.06)
    scene = Gaussians.cat([far, near])
    camera, camera_after = camera_at(), camera_at(-0.03, (0.08, -0.02, 0.1))
    layers = render_layers(scene, camera, motion=Motion.still(scene), camera_after=camera_after)
    assert layers.flow is not None
    for distance, chosen in ((1.5, layers.depth < 1.55), (3.0, layers.depth > 2.95)):
        seen = on_plane(camera, np.array([0, 0, distance]), np.array([0, 0, 1.0]))
        expected = flow_of(seen, seen, camera, camera_after)
        within = chosen & inside(layers)
        assert within.sum() > 500
        assert (layers.flow - expected).norm(dim=-1)[within].mean() < 0.02


def test_what_is_hidden_does_not_count() -> None:
    front, behind = sheet(1.5, 0.3, 0.03), sheet(3.0, 2.5, 0.06)
    motion = Motion.cat(
        [
            Motion.still(front),
            Motion.between(behind, moved(behind, torch.eye(3), torch.tensor([0.3, 0, 0]), torch.zeros(3))),
        ]
    )
    layers = render_layers(Gaussians.cat([front, behind]), camera_at(), motion=motion)
    assert layers.flow is not None
    covered = (layers.depth < 1.52) & inside(layers)
    assert layers.flow[covered].norm(dim=-1).max() < 0.2
    open_ = (layers.depth > 2.99) & inside(layers)
    assert (layers.flow[open_] - torch.tensor([9.0, 0.0])).norm(dim=-1).mean() < 0.01


def test_one_splat_turns_as_a_whole() -> None:
    """One wide splat: every pixel of it moves as the disc turns, not as its centre (which does not move) does."""
    R, camera = turn((0, 0, 1), 0.3), camera_at()
    one = Gaussians.from_colors(
        torch.tensor([[0.0, 0, 2]]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([[0.4, 0.2, 1e-3]]),
        torch.tensor([0.9]),
        torch.ones(1, 3),
    )
    after = moved(one, R, torch.zeros(3), torch.zeros(3))
    layers = render_layers(one, camera, motion=Motion.between(one, after))
    assert layers.flow is not None
    seen = on_plane(camera, np.array([0, 0, 2.0]), np.array([0, 0, 1.0]))
    expected = flow_of(seen, seen @ R.double().numpy().T, camera, camera)
    visible = layers.alpha > 0
    assert expected[visible].norm(dim=-1).max() > 8
    # The blur of 0.3 pixels^2 takes its share of a splat of 18 x 9.5 pixels: 0.3 / 9.5^2 of what the splat turns.
    assert (layers.flow - expected).norm(dim=-1)[visible].max() < 0.4 * 0.3 / 9.5**2 * 48
    assert (layers.flow[~visible] == 0).all()


def test_dots_move_as_their_centres() -> None:
    """Below a pixel a splat has no inside: it moves as its centre, however it turns or grows."""
    camera = camera_at()
    axes = 1e-5 * torch.eye(3)[None]
    motion = Motion(axes, torch.tensor([[0.1, 0.0, 2.0]]), 3 * turn((0, 0, 1), 1.0) @ axes)
    means = torch.tensor([[0.0, 0.1, 2.0]])
    features = flow_features(means, motion, camera, camera, 0.3, 0.01)
    assert features[0, 2:].abs().max() < 1e-5
    assert features[0, 0].item() == pytest.approx(4.5, abs=1e-3)
    assert features[0, 1].item() == pytest.approx(-4.75, abs=1e-3)


def test_matter_that_comes_behind_the_camera_stays_finite() -> None:
    before = sheet(2.0, 0.5, 0.1)
    after = replace(before, means=before.means - torch.tensor([0.0, 0, 3.0]))
    layers = render_layers(before, camera_at(), motion=Motion.between(before, after))
    assert layers.flow is not None
    assert layers.flow.isfinite().all()


def test_flow_carries_one_frame_onto_the_other() -> None:
    """The next frame, read where the flow points, is this frame."""
    before = sheet(2.0, 1.4, 0.03, turn((1, 0, 0), 0.4))
    after = moved(
        before, turn((0.2, 0.1, 1), 0.08), torch.tensor([0.03, 0.02, -0.1]), torch.tensor([0.0, 0, 2])
    )
    camera = camera_at()
    first = render_layers(before, camera, motion=Motion.between(before, after))
    second = render_layers(after, camera)
    assert first.flow is not None
    target = torch.from_numpy(pixel_centres()).float().reshape(HEIGHT, WIDTH, 2) + first.flow
    grid = 2 * target / torch.tensor([WIDTH, HEIGHT]) - 1
    read = torch.nn.functional.grid_sample(
        second.rgb.permute(2, 0, 1)[None], grid[None], align_corners=False
    )[0].permute(1, 2, 0)
    within = inside(first, 3) & (grid.abs() < 0.93).all(-1)
    assert within.sum() > 2000
    assert (read - first.rgb)[
        within
    ].abs().mean() < 0.02  # what is left is the splats' order: exact flow does no better
    assert (second.rgb - first.rgb)[within].abs().mean() > 0.05


def test_the_inverse_keeps_its_digits() -> None:
    """From dots of 1e-3 pixels to needles of 1e4, in float32, against singular values s in float64: s^3 / (s^4 + e^2)."""
    random = torch.Generator().manual_seed(0)
    U, V = (
        torch.linalg.qr(torch.randn(300, 3, 3, generator=random, dtype=torch.float64))[0] for _ in range(2)
    )
    U = torch.linalg.qr(U[:, :2, :2])[0]
    s = 10 ** (7 * torch.rand(300, 2, generator=random, dtype=torch.float64) - 3)
    P = U * s[:, None] @ V[:, :, :2].mT
    exact = V[:, :, :2] * (s**3 / (s**4 + 0.3**2))[:, None] @ U.mT
    columns = _inverse_where_wide(P.float().permute(1, 2, 0), 0.3)
    found = torch.stack(columns).permute(2, 1, 0).double()
    # What counts is the product with P, of a size up to one: how much of the matter's motion is seen.
    assert (found @ P - exact @ P).abs().max() < 2e-3
    torch.testing.assert_close(found[s.amin(1) > 1], exact[s.amin(1) > 1], atol=1e-4, rtol=1e-3)


def test_gradients_of_the_features() -> None:
    random = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    means = normal(4, 3) * 0.3 + torch.tensor([0, 0, 3.0], dtype=torch.float64)
    inputs = [means, 0.1 * normal(4, 3, 3), means + 0.1 * normal(4, 3), 0.1 * normal(4, 3, 3)]
    for tensor in inputs:
        tensor.requires_grad_(True)

    def features(means: Tensor, axes: Tensor, means_after: Tensor, axes_after: Tensor) -> Tensor:
        motion = Motion(axes, means_after, axes_after)
        return flow_features(means, motion, camera_at(), camera_at(0.1), 0.3, 0.01)

    assert torch.autograd.gradcheck(features, inputs)


def test_gradient_reaches_the_motion_through_the_image() -> None:
    """Pull the flow of the right half to the right: the matter there is asked to go to the right."""
    before = sheet(2.0, 0.8, 0.1)
    means_after = before.means.clone().requires_grad_(True)
    motion = replace(Motion.still(before), means_after=means_after)
    layers = render_layers(before, camera_at(), motion=motion)
    assert layers.flow is not None
    layers.flow[:, WIDTH // 2 :, 0].sum().backward()
    assert means_after.grad is not None
    assert means_after.grad[:, 0].sum() > 1000
    assert means_after.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"axes": torch.zeros(3, 3, 3)}, "motion.axes"),
        ({"means_after": torch.zeros(2, 3)}, "motion.means_after"),
    ],
)
def test_a_motion_of_other_gaussians_is_refused(change: dict[str, Any], named: str) -> None:
    before = sheet(2.0, 0.1, 0.1)
    with pytest.raises(RenderError, match=named):
        render_layers(before, camera_at(), motion=replace(Motion.still(before), **change))


def test_a_second_camera_without_motion_is_refused() -> None:
    before = sheet(2.0, 0.1, 0.1)
    with pytest.raises(RenderError, match="camera_after"):
        render_layers(before, camera_at(), camera_after=camera_at(0.1))
