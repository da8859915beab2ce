"""Prices against closed forms: of flow that is not the video's, of matter that changes its volume, and of sheets that stretch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.transform import Rotation

from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.correct import nothing, optimise
from perpetua.optimize.flow import flow_difference, flow_of
from perpetua.optimize.lengths import LENGTH
from perpetua.optimize.motion import Motion
from perpetua.optimize.obstacles import Obstacles
from perpetua.optimize.plausibility import Plausibility
from perpetua.optimize.volume import VOLUME, determinant
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
        return float(price.volume(c))

    wide = cost((1.02 ** (1 / 3) - 1) * np.eye(3))
    assert abs(wide - VOLUME["elastic"] * 0.02**2) < 0.01 * VOLUME["elastic"] * 0.02**2
    assert cost(np.diag([0.5**-0.5 - 1, 0.5**-0.5 - 1, -0.5])) < 1e-3 * wide  # squashed to half its height
    assert cost(np.array([[0, 0.5, 0], [0, 0, 0], [0.2, 0, 0]])) < 1e-3 * wide  # sheared
    shrunk = cost(np.diag([0.25, 0.25, -0.5]))  # of which the trace is zero
    assert abs(shrunk - VOLUME["elastic"] * (1 - 1.25**2 * 0.5) ** 2) < 0.01 * shrunk


def test_determinants_are_those_of_linear_algebra() -> None:
    matrices = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 7, 3, 3)))
    torch.testing.assert_close(determinant(matrices), torch.linalg.det(matrices))


def test_a_sheet_pays_for_stretch_and_not_for_a_turn(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    """Its ball is a cloth of loose corners here: that it turns by 60 degrees costs nothing."""
    scene = make_scene("cotton")
    simulated = slide(scene, FRAMES)
    motion = Motion(scene, simulated, nothing(scene, simulated, Settings()))
    (price,) = Plausibility(scene, simulated, motion, 0.0, Obstacles()).soft
    points = simulated.positions[0] - simulated.positions[0].mean(0)
    scale = np.abs(points).max()

    def cost(gradient: np.ndarray) -> float:
        c = torch.zeros_like(motion.soft[0].coefficients)
        c[:, 1:4] = torch.from_numpy(gradient.T * scale).float()
        return float(price.lengths(c))

    turn = Rotation.from_rotvec([0.0, np.pi / 3, 0.0]).as_matrix() - np.eye(3)
    stretched = LENGTH["cloth"] * (0.5 * (1.02**2 - 1)) ** 2
    assert abs(cost(0.02 * np.eye(3)) - stretched) < 0.01 * stretched
    assert cost(turn) < 1e-3 * stretched
