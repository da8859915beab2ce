"""Physics-IQ against the benchmark's protocol, written down here once more from its definition, without what the product uses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import correlate, maximum_filter, minimum_filter

from perpetua.evaluate.video.physics_iq import agreement, as_filed, at_rate, motion_masks, score

FPS = 8.0
BLUR = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])


@pytest.fixture(scope="module")
def videos():
    """Three plays of two discs before a noisy wall: a prediction and two takes."""
    y, x = np.mgrid[:96, :128]
    wall = np.random.default_rng(0).integers(60, 90, (96, 128, 3)).astype(np.uint8)

    def play(speed: float, drop: float) -> np.ndarray:
        out = np.repeat(wall[None], 45, 0)
        for t in range(45):
            out[t][np.hypot(x - 20 - speed * t, y - 30) < 11] = (220, 180, 90)
            out[t][np.hypot(x - 90, y - 20 - drop * t**1.5) < 9] = (10, 40, 160)
        return out

    return play(1.5, 0.25), play(1.9, 0.2), play(2.0, 0.21)


def masks_by_definition(video: np.ndarray) -> np.ndarray:
    mean, out = None, []
    for frame in video.astype(np.int64):
        grey = (4899 * frame[..., 0] + 9617 * frame[..., 1] + 1868 * frame[..., 2] + (1 << 13)) >> 14
        grey = (correlate(grey, BLUR, mode="mirror") + 128) >> 8
        if mean is None:
            mean = grey.astype(float)
            out.append(np.zeros(grey.shape, bool))
            continue
        mean = 0.7 * mean + 0.3 * grey
        moved = np.abs(grey - np.rint(mean)) > 10

        def shrunk(mask):
            return minimum_filter(mask, 5, mode="constant", cval=True)

        def grown(mask):
            return maximum_filter(mask, 5, mode="constant", cval=False)

        out.append(shrunk(grown(grown(shrunk(moved)))))
    return np.stack(out)


def quarter(frames: np.ndarray) -> np.ndarray:
    """The mean of the four pixels around each place that a quarter of the size looks at, rounded."""
    four = [frames[:, i::4, j::4].astype(np.int64) for i in (1, 2) for j in (1, 2)]
    return (sum(four) + 2) >> 2


def through_a_file(masks: np.ndarray, path) -> np.ndarray:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (128, 96), False)
    for mask in masks:
        writer.write(255 * mask.astype(np.uint8))
    writer.release()
    reader = cv2.VideoCapture(str(path))
    frames = [reader.read()[1][..., 0] for _ in masks]
    reader.release()
    return np.stack(frames)


def by_definition(video, truth, path) -> tuple[list[float], float, float, list[float]]:
    count = int(5 * FPS)
    a, b = (quarter(through_a_file(masks_by_definition(v), path))[:count] > 127 for v in (video, truth))

    def iou(one, other):
        return (one & other).sum() / (one | other).sum() if (one | other).any() else 1.0

    heavy, other = a.mean(0), b.mean(0)
    pictures = [quarter(v)[:count] / 255 for v in (video, truth)]
    return (
        [iou(*pair) for pair in zip(a, b)],
        iou(a.max(0), b.max(0)),
        np.minimum(heavy, other).sum() / np.maximum(heavy, other).sum(),
        [float(((p - q) ** 2).mean()) for p, q in zip(*pictures)],
    )


def test_every_part_agrees_with_the_definition(videos, tmp_path):
    video, truth, _ = videos
    found = agreement(video, truth, FPS)
    frames, spatial, weighted, mse = by_definition(video, truth, tmp_path / "m.mp4")
    assert found.spatiotemporal == pytest.approx(frames, abs=1e-4)
    assert found.spatial == pytest.approx(spatial, abs=1e-4)
    assert found.weighted == pytest.approx(weighted, abs=1e-4)
    assert found.mse == pytest.approx(mse, abs=1e-4)
    assert len(found.mse) == 40  # five seconds
    assert 0.05 < found.spatiotemporal[5:].mean() < 0.95
    assert 0.05 < found.weighted < 0.95


def test_the_score_agrees_with_the_definition(videos, tmp_path):
    video, truth, second = videos
    parts = [by_definition(v, truth, tmp_path / "m.mp4") for v in (video, second)]
    (st, s, ws, mse), (st2, s2, ws2, mse2) = ([np.mean(p) for p in part] for part in parts)
    expected = 100 * np.clip((st / st2 + s / s2 + ws / ws2) / 3 - (mse - mse2), 0, 1)
    found = score([agreement(video, truth, FPS)], [agreement(second, truth, FPS)])
    assert found / 100 == pytest.approx(
        expected / 100, abs=3e-4
    )  # it rounds on the way, as the benchmark does
    assert 5 < found < 95


def test_a_second_take_scores_full_marks_and_stillness_none(videos):
    _, truth, second = videos
    chance = agreement(second, truth, FPS)
    assert score([chance], [chance]) == pytest.approx(100, abs=0.05)
    still = np.repeat(truth[:1], len(truth), 0)
    found = agreement(still, truth, FPS)
    assert (found.spatial, found.weighted) == (0, 0)
    assert score([found], [chance]) < 5
    assert score([chance], [found]) is None


def test_nothing_moves_in_both(videos):
    still = np.repeat(videos[0][:1], 5, 0)
    found = agreement(still, still, FPS)
    assert found.spatiotemporal.tolist() == [1] * 5
    assert (found.spatial, found.weighted, found.mse.max()) == (1, 1, 0)


def test_masks_show_what_moves_and_not_the_first_frame(videos):
    masks = motion_masks(videos[0])
    assert not masks[0].any()
    assert masks[10].any()
    assert not masks[:, 60:, :70].any()  # below the first disc, left of the second
    filed = as_filed(masks, FPS)
    assert filed.shape == masks.shape
    assert ((filed > 127) == (masks > 127)).mean() > 0.99


def test_frame_rates_are_changed_by_blending():
    ramp = np.arange(0, 240, 8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    half = at_rate(ramp, 10.0, 5.0)
    assert len(half) == 15
    assert half[0, 0, 0, 0] == 0
    assert half[-1, 0, 0, 0] == 232
    places = np.arange(15) * 29 / 14
    assert half[:, 0, 0, 0].tolist() == (8 * places).astype(np.uint8).tolist()
    assert len(at_rate(ramp, 10.0, 20.0)) == 60
