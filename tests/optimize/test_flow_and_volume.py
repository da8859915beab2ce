"""Two prices against closed forms: of flow that is not the video's, and of matter that changes its volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, shift

from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.correct import nothing, optimise
from perpetua.optimize.flow import flow_difference, flow_of
from perpetua.optimize.motion import Motion
from perpetua.optimize.obstacles import Obstacles
from perpetua.optimize.plausibility import VOLUME, Plausibility
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory

FRAMES = 4


def test_flow_is_found_and_doubted_where_it_does_not_return() -> None:
    texture = gaussian_filter(np.random.default_rng(0).random((96, 160)), 2)
    texture = (texture - texture.min()) / np.ptp(texture)
    video = np.stack(
        [np.repeat(shift(texture, (0, 1.5 * t), mode="wrap")[..., None], 3, 2) for t in range(2)]
    )
    video[1, :40, :40] = 0.5  # something comes before it
    flow, believed = flow_of(video.astype(np.float32))
    seen = (0, slice(50, 90), slice(20, 140))
    assert np.abs(flow[seen] - [1.5, 0.0]).mean() < 0.1
    assert believed[seen].mean() > 0.9
    assert believed[0, 10:30, 10:30].mean() < 0.7


def test_equal_flow_costs_nothing_and_a_pixel_about_a_pixel() -> None:
    flow, weight = torch.zeros(40, 160, 2), torch.ones(40, 160)
    assert float(flow_difference(flow, flow, weight, 6400.0)) == 0
    off = flow + torch.tensor([3.0, 4.0])
    assert abs(float(flow_difference(off, flow, weight, 6400.0)) - 4.5) < 0.1


def test_the_flow_of_a_video_pulls(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    cameras: list[Camera],
    film: Callable[..., np.ndarray],
) -> None:
    scene = make_scene("jelly")
    simulated = slide(scene, FRAMES)
    rise = np.linspace(0, 1, FRAMES + 1, dtype=np.float32)[:, None, None] ** 2 * np.float32([0.0, 0.0, 0.012])
    truth = Trajectory(simulated.positions + rise, simulated.F, simulated.times)
    targets = [ViewTarget(camera, film(scene, truth, camera)) for camera in cameras[:2]]

    def missed(settings: Settings) -> float:
        """m, mean distance to the truth of the last frame, after so few renders that colours alone have not led there."""
        found = optimise(scene, simulated, targets, None, 20, 0, Progress(), settings).displacement[-1]
        return float(np.linalg.norm(found - [0, 0, 0.012], axis=1).mean())

    assert missed(Settings(flow=True)) < 0.92 * missed(Settings(flow=False))


def test_only_a_change_of_volume_costs_volume(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    """A motion that widens matter by 2 % costs VOLUME * 0.02^2 more than one that shears it as much."""
    scene = make_scene("jelly")
    simulated = slide(scene, FRAMES)
    turn = np.float32(
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    )  # in the middle of the round the ball lies on its side
    simulated = Trajectory(simulated.positions @ turn.T, simulated.F @ turn, simulated.times)
    motion = Motion(scene, simulated, nothing(scene, simulated, Settings()))
    priced = Plausibility(scene, simulated, motion, 0.0, Obstacles())
    soft, (price,) = motion.soft[0], priced.soft
    points = simulated.positions[0] - simulated.positions[0].mean(0)
    scale = np.abs(points).max()

    def cost(gradient: np.ndarray) -> float:
        c = torch.zeros_like(soft.coefficients)
        c[:, 1:4] = torch.from_numpy(gradient.T * scale).float()  # columns x, y, z of the basis
        axes = c.mT.flatten(1)
        return float((axes * (price.V @ axes[..., None])[..., 0]).sum() / len(c))

    wide = 0.02 / 3 * np.eye(3)
    assert abs(cost(wide) - VOLUME["elastic"] * 0.02**2) < 0.01 * VOLUME["elastic"] * 0.02**2
    assert cost(np.array([[0.02, 0, 0], [0, -0.02, 0], [0, 0, 0.0]])) < 1e-3 * cost(wide)
    assert cost(np.array([[0, 0.02, 0], [-0.02, 0, 0], [0.01, 0, 0]])) < 1e-3 * cost(wide)
