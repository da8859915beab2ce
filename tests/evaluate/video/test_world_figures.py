"""Warps, Chamfer, worldlines and novel time on a ball whose path is known."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.clips.chamfer import chamfer_4d, reward_points, table_points
from perpetua.clips.motion import lift
from perpetua.evaluate.video.clip_figures import ground_of
from perpetua.evaluate.video.novel_time import novel_time
from perpetua.evaluate.video.warp_errors import depth_warp, rgb_warp, warp_errors
from perpetua.evaluate.video.warping import backward, forward_depth, inside, visible
from perpetua.evaluate.video.worldlines import FAIL_CURVE_M, follow, lifted, worldline_errors

STEP = np.array([0.11, -0.03, -0.06])


def test_a_ramp_is_carried_exactly():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    flow = np.stack([0.5 + 0.1 * x, 0.25 * np.ones_like(y)], -1)
    within = inside(flow)
    assert np.abs(backward(3 * x + 5 * y, flow) - (3 * (1.1 * x + 0.5) + 5 * (y + 0.25)))[within].max() < 1e-3
    assert not within[:, -1].any()
    assert within[0, 0]


def test_the_nearest_matter_wins_where_two_land():
    depth = np.array([[2.0, 1.0, 3.0, 0.0]])
    flow = np.zeros((1, 4, 2))
    flow[0, 0, 0] = flow[0, 2, 0] = 1.0  # onto pixel 1 and onto pixel 3
    assert forward_depth(depth, flow).tolist() == [[0, 1, 0, 3]]
    assert forward_depth(depth, flow, depth + 0.5).tolist() == [[0, 1.5, 0, 3.5]]


def test_what_the_ball_hides_is_found_by_depth(world):
    for t, flow in enumerate(world.flow.forward):
        rise = world.scene_flow[t, ..., 2]
        found = visible(flow, world.depth[t], world.depth[t + 1], rise)
        truth = inside(flow) & ~world.flow.occluded[t]
        assert (found == truth).mean() > 0.98
        hidden_wall = world.flow.occluded[t] & (world.masks[t] == 0)
        assert hidden_wall.sum() > 5
        assert (~found[hidden_wall]).mean() > 0.8


def test_true_depth_warps_onto_itself_only_with_its_rise(world):
    seen = ground_of(world).seen
    flow, rise = world.flow.forward[2], world.scene_flow[2, ..., 2]
    # away from the outline, where bilinear weights mix ball and wall
    core = seen[2] & (
        np.linalg.norm(np.indices(flow.shape[:2]).T.swapaxes(0, 1) - centre_of(world, 2), axis=-1) < 5
    )
    with_rise = warp_errors(depth_warp(world.depth[3], flow, world.depth[2], rise), core)
    without = warp_errors(depth_warp(world.depth[3], flow, world.depth[2]), core)
    assert with_rise.l1 < 0.002
    assert without.l1 == pytest.approx(0.06, abs=0.002)
    assert without.charbonnier >= without.l1
    assert warp_errors(np.zeros((2, 2)), np.zeros((2, 2), bool)) is None
    assert warp_errors(np.zeros((2, 2)), np.ones((2, 2), bool)).charbonnier == pytest.approx(1e-3)


def centre_of(world, t):
    return np.argwhere(world.masks[t] > 0).mean(0)


def test_the_picture_follows_true_flow_and_no_other(world):
    seen = ground_of(world).seen[2] & (world.masks[2] > 0)
    flow = world.flow.forward[2]
    right = warp_errors(rgb_warp(world.rgb[2], world.rgb[3], flow), seen)
    wrong = warp_errors(rgb_warp(world.rgb[2], world.rgb[3], -flow), seen)
    assert right.l1 < 0.25 * wrong.l1


def test_chamfer_is_that_of_all_pairs_and_knows_no_order():
    rng = np.random.default_rng(0)
    a, b = rng.random((60, 4)), rng.random((80, 4))
    apart = np.linalg.norm(a[:, None] - b[None], axis=-1)
    expected = apart.min(1).mean() + apart.min(0).mean()
    assert chamfer_4d(a, b) == pytest.approx(expected)
    assert chamfer_4d(rng.permutation(a), rng.permutation(b)) == pytest.approx(expected)
    assert chamfer_4d(b, a) == pytest.approx(expected)
    assert chamfer_4d(a, a) == 0


def test_a_small_shift_of_a_sparse_cloud_is_its_chamfer_twice():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 4), -1).reshape(-1, 4)
    assert chamfer_4d(grid + np.array([0.1, 0, 0, 0]), grid) == pytest.approx(0.2)
    assert chamfer_4d(grid + np.array([0, 0, 0, 0.2]), grid) == pytest.approx(0.4)


def test_points_carry_their_time(world):
    K, pose = world.cameras.K, world.cameras.world_to_camera
    table = table_points(world.depth, K, pose, 4)
    assert len(table) == 7 * 12 * 16
    assert set(np.round(np.unique(table[:, 3]), 9)) == {round(t / 6, 9) for t in range(7)}
    reward = reward_points(world.depth, world.flow.forward, K, pose, 1)
    assert np.allclose(np.unique(reward[:, 3]), 0.05 * np.arange(6))
    # moving points lie on the ball where it is at their time
    centres = np.array([-0.5, 0.1, 3.0]) + reward[:, 3:] / 0.05 * STEP
    assert np.abs(np.linalg.norm(reward[:, :3] - centres, axis=1) - 0.5).max() < 1e-5


def test_a_turned_and_moved_camera_lifts_to_the_same_world():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (20, 3)) + np.array([0, 0, 4])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, [0.3, -0.2, 0.5]
    K = np.array([[50.0, 0, 20], [0, 55, 15], [0, 0, 1]])
    seen = (points @ turn.T + pose[:3, 3]) @ K.T
    assert np.abs(lift(seen[:, :2] / seen[:, 2:], seen[:, 2], K, pose) - points).max() < 1e-9


def lines(world, *depths):
    ground = ground_of(world)
    paths = follow(world.masks[0] > 0, world.flow.forward, ground.seen)
    K, pose = world.cameras.K, world.cameras.world_to_camera
    return [lifted(paths, d, K, pose) for d in depths]


def test_worldlines_follow_the_ball(world):
    (truth,) = lines(world, world.depth)
    known = np.isfinite(truth).all(-1)
    expected = truth[0] + np.arange(7)[:, None, None] * STEP
    off = np.linalg.norm(truth - expected, axis=-1)[known]
    assert known.all(1).any() or known.mean() > 0.6
    assert np.median(off) < 0.02
    assert worldline_errors(truth, truth).l2 == 0


def test_worldlines_of_depth_too_far(world, scaled):
    far, truth = lines(world, scaled.depth, world.depth)
    found = worldline_errors(far, truth)
    known = np.isfinite(truth).all(-1)
    assert found.l2 == pytest.approx(0.1 * np.linalg.norm(truth, axis=-1)[known].mean(), rel=1e-5)
    drift = [0.1 * np.linalg.norm(truth[t] - truth[0], axis=-1)[known[t]].mean() for t in range(7)]
    assert found.drift == pytest.approx(drift, rel=1e-4, abs=1e-6)
    assert found.mean_drift == pytest.approx(np.mean(drift[1:]), rel=1e-4)
    assert found.final_drift == pytest.approx(drift[-1], rel=1e-4)
    assert found.fail_rate == 0
    assert found.fail_curve[0] == 100  # all are off by 0.25 m or more
    assert found.fail_curve[-1] == 0


def test_when_worldlines_fail():
    truth = np.zeros((5, 4, 3))
    points = truth.copy()
    points[:, 1, 0] = [0, 0.2, 0.6, 0.1, 0]  # fails in frame 2
    points[3:, 2] = np.nan  # not seen to the end, never fails
    points[:, 3] = np.nan  # never seen: no worldline
    found = worldline_errors(points, truth)
    assert found.tracks == 3
    assert found.fail_rate == pytest.approx(100 / 3)
    assert found.length == pytest.approx((5 + 2 + 3) / 3)
    assert found.length_percent == pytest.approx(100 * (1 + 0.4 + 1) / 3)
    assert found.fail_curve[FAIL_CURVE_M.tolist().index(pytest.approx(0.6))] == 0
    assert worldline_errors(points[:, 3:], truth[:, 3:]) is None


def test_novel_time_of_the_truth_is_its_pixel_grid(world):
    ground = ground_of(world)
    flow = world.flow.forward
    found = novel_time(world.depth, flow, world.depth, flow, ground.rise, ground.rise, ground.seen)
    assert found.warp == 0
    assert found.depth < 0.03
    still = novel_time(world.depth, 0 * flow, world.depth, flow, None, ground.rise, ground.seen)
    assert still.depth > 2 * found.depth
    assert still.warp > 0.01
    assert novel_time(0 * world.depth, flow, world.depth, flow) is None
