"""What one video alone says is its own: a warp is found where nothing moves, and a view that contradicts the others loses its say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.correct import optimise
from perpetua.optimize.trust import Trust
from perpetua.optimize.views import View
from perpetua.optimize.warps import unwarped, warp_of
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory

FRAMES = 6


def backdrop() -> torch.Tensor:
    y, x = np.mgrid[:96, :160]
    image = 0.5 + 0.2 * np.sin(x / 5)[..., None] * [1.0, 0.5, 0.3] + 0.2 * np.sin(y / 6 + x / 19)[..., None]
    return torch.from_numpy(image).float()


def bend(frames: int) -> torch.Tensor:
    """[T, 96, 160, 2] pixels, smooth, up to two."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 160), indexing="ij")
    still = torch.stack([2 * torch.sin(2 * y + x), 1.5 * torch.cos(2 * x - y)], -1)
    return still[None] * torch.linspace(0.8, 1.2, frames)[:, None, None, None]


def test_a_warp_is_found_and_taken_out() -> None:
    still = backdrop()
    noise = 0.02 * torch.randn(FRAMES, 96, 160, 3, generator=torch.Generator().manual_seed(0))
    video = unwarped(still.expand(FRAMES, -1, -1, -1), -bend(FRAMES)) + noise
    found = warp_of(video, still, np.ones((FRAMES, 96, 160), bool))
    inside = (slice(None), slice(8, -8), slice(8, -8))
    assert float((found - bend(FRAMES))[inside].abs().mean()) < 0.25  # of 1.3 pixels
    before, after = (float(((v - still)[inside] ** 2).mean()) for v in (video, unwarped(video, found)))
    assert after < 0.3 * before


def test_no_warp_in_a_still_video() -> None:
    still = backdrop()
    found = warp_of(still.expand(FRAMES, -1, -1, -1), still, np.ones((FRAMES, 96, 160), bool))
    assert float(found.abs().max()) < 1e-3


def test_motion_is_no_warp(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    cameras: list[Camera],
    film: Callable[..., np.ndarray],
) -> None:
    """A ball that is elsewhere than the simulator has it moves no pixel of the picture around it."""
    scene = make_scene("jelly")
    simulated = slide(scene, FRAMES)
    away = Trajectory(simulated.positions + np.float32([0.02, 0.0, 0.01]), simulated.F, simulated.times)
    video = film(scene, away, cameras[0])
    view = View.of(scene, simulated, ViewTarget(cameras[0], video))
    assert float((view.video - torch.from_numpy(video)).abs().mean()) < 2e-3


def test_a_view_that_the_others_contradict_loses_its_say() -> None:
    trust = Trust(np.ones((4, 20), bool))
    random = np.random.default_rng(0)
    for _ in range(400):
        view, frame = random.integers(4), random.integers(1, 20)
        late = view == 3 and frame > 10
        trust.hear(view, frame, random.uniform(0.9, 1.1) * (3.0 if late else 1.0))
    weights = trust.weights()
    assert (weights[:3] > 0.9).all()
    assert (weights[3, 16:] < 0.15).all()
    assert (weights[3, :4] > 0.9).all()


def test_two_views_cannot_tell_who_is_wrong() -> None:
    trust = Trust(np.ones((2, 5), bool))
    for frame in range(5):
        trust.hear(0, frame, 1.0)
        trust.hear(1, frame, 9.0)
    assert (trust.weights() == 1).all()


def test_settings_leave_videos_as_they_are(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    cameras: list[Camera],
    film: Callable[..., np.ndarray],
) -> None:
    scene = make_scene("jelly")
    simulated = slide(scene, FRAMES)
    video = film(scene, simulated, cameras[0]) * np.float32(0.9)
    settings = Settings(nuisance=False, smooth_knots=False)
    view = View.of(scene, simulated, ViewTarget(cameras[0], video), settings)
    assert torch.equal(view.video, torch.from_numpy(video))
    correction = optimise(scene, simulated, [view.target], None, 8, 0, Progress(), settings)
    assert len(correction.knots) == FRAMES + 1
    assert correction.trust.shape == (1, FRAMES + 1)
