"""Coarse videos with true shapes, and the changes that clips are given, on a textured square that moves over a plain floor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.refiner.carried import can_carry, carry, origins
from perpetua.phys4d.refiner.config import Disguise
from perpetua.phys4d.refiner.disguise import between, recoloured, shimmering
from perpetua.phys4d.refiner.pairs import Cut, disguised, pair_of

T, H, W, SIDE = 4, 32, 48, 12
TOP, LEFT = 4, 6
STEP = np.array([3, 2])
FLOOR = 90
SHADOW = slice(17, 21), slice(8, 16)
"""Rows and columns below the square, dark in the first frame only."""


@pytest.fixture(scope="module")
def clip() -> ClipArrays:
    texture = np.random.default_rng(0).integers(120, 250, (SIDE, SIDE, 3)).astype(np.uint8)
    rgb = np.full((T, H, W, 3), FLOOR, np.uint8)
    rgb[0][SHADOW] = 20
    masks, flow = np.zeros((T, H, W), np.uint8), np.zeros((T - 1, H, W, 2), np.float16)
    for t in range(T):
        place = where(t)
        rgb[t][place], masks[t][place] = texture, 1
        if t < T - 1:
            flow[t][place] = STEP
    depth = np.where(masks > 0, 0.5, 0.8)
    counts, per_count = counts_of(depth)
    return ClipArrays(
        rgb, counts, flow, np.zeros((T - 1, H, W, 3), np.float16), np.zeros((T - 1, H, W), bool), masks,
        np.zeros((T, 2, 3), np.float32), np.ones((T, 2), bool), np.tile(np.eye(3), (T, 1, 1)), np.tile(np.eye(4), (T, 1, 1)),
        np.zeros_like(rgb), counts, flow, np.full((T, H, W), 255, np.uint8), np.array([per_count, per_count], np.float32),
    )  # fmt: skip


def where(t: int, inner: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the square in frame ``t``, ``inner`` pixels within its outline."""
    top, left = TOP + STEP[1] * t + inner, LEFT + STEP[0] * t + inner
    return slice(top, top + SIDE - 2 * inner), slice(left, left + SIDE - 2 * inner)


def test_a_thing_keeps_the_colours_of_the_first_frame_and_shadows_stay(clip: ClipArrays) -> None:
    found = carry(clip)
    assert np.array_equal(found[0], clip.rgb[0])
    for t in range(1, T):
        inside = where(t, inner=2)
        assert np.array_equal(found[t][inside], clip.rgb[t][inside])
    uncovered = np.s_[-1, TOP + 1 : TOP + 4, LEFT + 1 : LEFT + 4]
    assert np.abs(found[uncovered].astype(int) - FLOOR).max() <= 2
    left_behind = np.s_[1:3, 18:20, 8:9]
    assert (found[left_behind] == 20).all()
    assert (clip.rgb[left_behind] == FLOOR).all()


def test_origins_follow_the_motion_and_never_leave_their_thing(clip: ClipArrays) -> None:
    found = origins(clip)
    rows, columns = where(3)
    assert np.allclose(found[3, rows, columns, 0], np.arange(LEFT, LEFT + SIDE)[None])
    assert np.allclose(found[3, rows, columns, 1], np.arange(TOP, TOP + SIDE)[:, None])


def test_matter_that_was_hidden_takes_the_colours_of_its_own_thing(clip: ClipArrays) -> None:
    masks = clip.masks.copy()
    wide = where(3)[0], slice(where(3)[1].start, where(3)[1].stop + 6)
    masks[3][wide] = 1  # the square's right side comes into sight
    grown = carry(type(clip)(**{**vars(clip), "masks": masks}))[3]
    new = grown[where(3, 2)[0], where(3)[1].stop + 1 : where(3)[1].stop + 4]
    assert new.min() >= 100  # colours of the square, none of the floor


def test_moving_cameras_and_gas_are_not_carried(clip: ClipArrays) -> None:
    assert can_carry(clip, "soft")
    assert not can_carry(clip, "gas")
    moving = clip.world_to_camera.copy()
    moving[2, 0, 3] = 0.1
    assert not can_carry(type(clip)(**{**vars(clip), "world_to_camera": moving}), "soft")


def test_a_carried_pair_has_the_true_motion(clip: ClipArrays) -> None:
    whole = slice(0, T), slice(0, H), slice(0, W)
    pair = pair_of(Cut.of(clip, *whole, carried=carry(clip)))
    assert np.array_equal(pair.coarse[:, 3:], pair.fine[:, 3:])
    assert not np.array_equal(pair.coarse[:, :3], pair.fine[:, :3])
    again = disguised(Cut.of(clip, *whole), Disguise(), np.random.default_rng(0))
    assert np.array_equal(again.coarse_rgb, Cut.of(clip, *whole).coarse_rgb)


def some_video(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.2, 0.7, (T, H, W, 3)).astype(np.float32)


def test_both_videos_are_recoloured_alike() -> None:
    one, other = some_video(0), some_video(1)
    plan = Disguise(colour=0.2)
    same = recoloured(np.random.default_rng(5), plan, [one, one.copy()])
    assert np.array_equal(*same)
    assert np.abs(same[0] - one).max() > 0.02
    halves = recoloured(np.random.default_rng(5), plan, [one, other])
    assert np.array_equal(halves[0], same[0])
    assert np.argsort(one[0, 0, :, 0]).tolist() in [
        np.argsort(same[0][0, 0, :, c]).tolist() for c in range(3)
    ]


def test_a_carried_video_lies_anywhere_up_to_the_fine_one() -> None:
    coarse, fine = some_video(2), some_video(3)
    shares = []
    for seed in range(60):
        found = between(np.random.default_rng(seed), coarse, fine)
        share = float(np.median((found - coarse) / (fine - coarse)))
        assert np.allclose(found, coarse + share * (fine - coarse), atol=1e-4)
        shares.append(share)
    assert min(shares) == pytest.approx(0, abs=1e-4)
    assert max(shares) == pytest.approx(1, abs=1e-4)
    assert sum(0.05 < share < 0.95 for share in shares) > 10


def test_only_things_flicker_and_not_in_the_first_frame() -> None:
    video, cover = some_video(4), np.zeros((T, H, W), np.float32)
    cover[:, :, :10] = 1
    found = shimmering(np.random.default_rng(0), Disguise(shimmer=0.3), video, cover)
    assert np.array_equal(found[0], video[0])
    assert np.array_equal(found[:, :, 10:], video[:, :, 10:])
    assert np.abs(found[1:, :, :10] - video[1:, :, :10]).max() > 0.01
