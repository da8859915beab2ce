"""The coarse video as a control input sees it."""

from __future__ import annotations

import numpy as np

from perpetua.refine.api import RenderedVideo
from perpetua.refine.diffusion.control import control_video
from perpetua.refine.diffusion.windows import Window


def test_near_is_white_and_far_is_black_on_one_scale(video: RenderedVideo) -> None:
    seen = control_video("depth", video, Window(2, 5))
    assert seen is not None
    assert seen.shape == (3, *video.rgb.shape[1:])
    np.testing.assert_allclose(
        seen[..., 0], video.alpha[2:5], atol=1e-6
    )  # the block is 2 m away, the rest 3 m


def test_the_other_kinds(video: RenderedVideo) -> None:
    window = Window(0, 2)
    assert control_video("none", video, window) is None
    np.testing.assert_array_equal(control_video("colour", video, window), video.rgb[:2])
    grey = control_video("grey", video, window)
    assert grey is not None
    assert np.ptp(grey, axis=-1).max() == 0
