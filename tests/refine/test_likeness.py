"""The same scene is known again whatever a refiner did to its looks; another scene is not taken for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perpetua.refine.likeness import SAME_SCENE, cut, likeness

WIDTH, HEIGHT, FRAMES = 160, 96, 3
BALL = Path(__file__).parents[2] / "examples" / "clay_ball.png"


def video(name: str) -> np.ndarray:
    """[T, H, W, 3] of a still picture: the project's clay ball, or one that scikit-image brings along."""
    from skimage import data

    picture = cv2.imread(str(BALL))[..., ::-1] if name == "clay_ball" else getattr(data, name)()
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, -1)
    small = cv2.resize(
        picture[..., :3].astype(np.float32) / 255, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
    )
    return np.repeat(small[None], FRAMES, 0)


def warped(frame: np.ndarray, pixels: float) -> np.ndarray:
    push = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(HEIGHT, WIDTH, 2)), (0, 0), 12)
    push *= pixels / np.abs(push).max()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    at = np.float32(x + push[..., 0]), np.float32(y + push[..., 1])
    return cv2.remap(frame, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


REFINEMENTS = {
    "darker": lambda v: v**2,
    "other colours": lambda v: v[..., ::-1] * np.float32([0.5, 0.8, 1.0]),
    "noise": lambda v: np.clip(v + np.random.default_rng(0).normal(size=v.shape) * 0.2, 0, 1),
    "blurred": lambda v: np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in v]),
    "warped": lambda v: np.stack([warped(f, 2) for f in v]),
    "moved by three pixels": lambda v: np.roll(v, 3, 2),
    "good at the beginning": lambda v: np.concatenate([v[:1], np.random.default_rng(0).random(v[1:].shape)]),
}
SCENES = ["clay_ball", "astronaut", "coffee", "rocket", "camera", "moon"]


@pytest.mark.parametrize("scene", ["clay_ball", "coffee"])
@pytest.mark.parametrize("name", REFINEMENTS)
def test_a_refined_video_is_known_again(scene: str, name: str) -> None:
    coarse = video(scene)
    assert likeness(REFINEMENTS[name](coarse).astype(np.float32), coarse) > 0.5


def test_no_scene_is_taken_for_another() -> None:
    videos = {name: video(name) for name in SCENES}
    worst = max(likeness(videos[a], videos[b]) for a in SCENES for b in SCENES if a != b)
    assert worst < SAME_SCENE - 0.05


def test_a_cut_to_another_scene_is_found_and_none_is_where_there_is_none() -> None:
    ball, coffee = np.repeat(video("clay_ball"), 3, 0), np.repeat(video("coffee"), 3, 0)
    assert cut(np.concatenate([ball[:4], coffee[4:]]), ball) == 4
    for refinement in REFINEMENTS.values():
        assert cut(refinement(ball).astype(np.float32), ball) is None
    assert cut(np.concatenate([ball[:4], coffee[4:]]), np.concatenate([ball[:4], coffee[4:]])) is None


@pytest.mark.parametrize("spoil", [lambda v: 1 - v, lambda v: np.full_like(v, 0.5), lambda v: v[:, ::-1]])
def test_negatives_nothing_and_pictures_upside_down_are_no_refinements(spoil) -> None:
    assert likeness(spoil(video("clay_ball")), video("clay_ball")) < SAME_SCENE


def test_where_there_is_nothing_to_compare_nothing_is_refused() -> None:
    fog = np.full((2, 96, 160, 3), 0.4, np.float32)
    assert likeness(video("coffee")[:2], fog) == 1
    assert likeness(np.ones((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 3), np.float32)) == 1
