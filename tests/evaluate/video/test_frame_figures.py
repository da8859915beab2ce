"""Depth, flow and picture errors against what a pencil gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from perpetua.clips.motion import moving
from perpetua.evaluate.video.depth import coverage, depth_errors, median_scale
from perpetua.evaluate.video.flow import flow_errors
from perpetua.evaluate.video.picture import PSNR_LIMIT_DB, psnr_by_frame, psnr_of_clip, ssim_by_frame


def test_depth_a_tenth_too_far_is_wrong_by_a_tenth(world, scaled):
    found = depth_errors(scaled.depth, world.depth)
    assert found.abs_rel == pytest.approx(0.1, abs=1e-6)
    assert found.rmse == pytest.approx(0.1 * np.sqrt((world.depth.astype(float) ** 2).mean()), rel=1e-5)
    assert (found.delta1, found.delta2, found.delta3) == (1, 1, 1)


@pytest.mark.parametrize("factor", [0.2, 1.0, 30.0])
def test_median_scaling_forgets_the_scale(world, factor):
    wrong = world.depth * (1 + 0.1 * np.sin(np.arange(world.depth.size))).reshape(world.depth.shape)
    apart = []
    for depth in (wrong, wrong * factor):
        apart.append(depth_errors(depth * median_scale(depth, world.depth), world.depth).abs_rel)
    assert apart[1] == pytest.approx(apart[0], rel=1e-5)
    assert apart[0] > 0.05


def test_deltas_count_both_ways():
    truth = np.full(4, 1.0)
    found = depth_errors(np.array([1.2, 1 / 1.3, 1.9, 3.0]), truth)
    assert (found.delta1, found.delta2, found.delta3) == (0.25, 0.5, 0.75)


def test_depth_is_measured_where_both_have_it():
    truth = np.array([0.05, 1.0, 1.0, 20.0, 0.0])
    depth = np.array([1.0, 0.0, 1.5, 1.0, 1.0])
    assert depth_errors(depth, truth).abs_rel == 0.5
    assert coverage(depth, truth) == 0.5
    assert depth_errors(depth[:1], truth[:1]) is None


def test_flow_errors_by_hand():
    truth = np.array([[0.0, 0.0], [3.0, 4.0], [80.0, 0.0], [80.0, 0.0]])
    found = flow_errors(truth + np.array([[0.5, 0], [0, 4.0], [3.9, 0], [0, -5.0]]), truth)
    assert found.epe == pytest.approx((0.5 + 4 + 3.9 + 5) / 4)
    assert found.fl_all == 50  # 4 of 5 px, 5 of 80 px; 3.9 of 80 px is under 5%
    assert found.over_1px == 75


def test_moving_pixels_are_the_balls(world):
    flow = world.flow.forward
    assert (moving(flow) == (world.masks[:-1] > 0)).mean() > 0.99
    wrong = np.where(moving(flow)[..., None], flow + 2, flow)
    assert flow_errors(wrong, flow, moving(flow)).epe == pytest.approx(np.sqrt(8), rel=1e-5)
    assert flow_errors(wrong, flow).epe == pytest.approx(np.sqrt(8) * moving(flow).mean(), rel=1e-4)
    assert flow_errors(flow, flow, np.zeros(flow.shape[:-1], bool)) is None


def test_psnr_by_hand():
    truth = np.zeros((3, 4, 4, 3), np.uint8)
    video = np.stack([truth[0], truth[1] + 51, truth[2] + 255])
    assert psnr_by_frame(video, truth) == pytest.approx([PSNR_LIMIT_DB, 20 * np.log10(5), 0])
    where = np.zeros((3, 4, 4), bool)
    where[1, 0, 0] = True
    assert np.isnan(psnr_by_frame(video, truth, where)[[0, 2]]).all()
    # neither a first frame that was given nor one without objects counts
    assert psnr_of_clip(np.array([PSNR_LIMIT_DB, np.nan, 20, 30])) == 25
    assert psnr_of_clip(np.array([PSNR_LIMIT_DB, np.nan])) == PSNR_LIMIT_DB


def test_ssim_is_that_of_its_definition(world):
    a, b = (
        world.rgb[:1] / 255.0,
        np.clip(world.rgb[1:2] + np.arange(64)[:, None] % 7, 0, 255).astype(np.uint8) / 255.0,
    )

    def smooth(image):
        x = np.arange(-5, 6)
        weights = np.exp(-(x**2) / (2 * 1.5**2))
        for axis in (0, 1):
            image = correlate1d(image, weights / weights.sum(), axis, mode="reflect")
        return image

    mean, other = smooth(a[0]), smooth(b[0])
    var, var_other, both = (
        smooth(a[0] ** 2) - mean**2,
        smooth(b[0] ** 2) - other**2,
        smooth(a[0] * b[0]) - mean * other,
    )
    c1, c2 = 0.01**2, 0.03**2
    map_ = (2 * mean * other + c1) * (2 * both + c2) / ((mean**2 + other**2 + c1) * (var + var_other + c2))
    found = ssim_by_frame(*((255 * v + 0.5).astype(np.uint8) for v in (a, b)))
    assert found[0] == pytest.approx(map_[5:-5, 5:-5].mean(), abs=1e-4)
    assert ssim_by_frame(world.rgb[:1], world.rgb[:1])[0] == pytest.approx(1)
