"""Flow turned around: where matter came from, and what has come to light."""

from __future__ import annotations

import numpy as np

from perpetua.clips.motion import turned

H, W, SIDE, STEP = 24, 40, 8, 3


def test_flow_turned_around_leads_back_and_knows_what_was_hidden() -> None:
    before, after = np.zeros((H, W), bool), np.zeros((H, W), bool)
    before[8 : 8 + SIDE, 6 : 6 + SIDE] = after[8 : 8 + SIDE, 6 + STEP : 6 + STEP + SIDE] = True
    flow = np.where(before[..., None], np.float32([STEP, 0]), np.float32(0))
    back, known = turned(flow, np.where(before, 1.0, 2.0))
    assert np.array_equal(known, ~(before & ~after))
    assert (back[after] == (-STEP, 0)).all()
    assert not back[~after].any()
    # behind a room that stands before it, the square is not seen
    back, known = turned(flow, np.where(before, 2.0, 1.0))
    assert not back[after & ~before].any()


def test_a_surface_that_grows_has_no_cracks() -> None:
    y, x = np.mgrid[:H, :W].astype(np.float32)
    grows = 0.3 * np.stack([x - W / 2, y - H / 2], -1)
    back, known = turned(grows, np.ones((H, W), np.float32))
    assert known.all()
    met = np.stack([x, y], -1) + back
    assert np.abs(met + 0.3 * (met - [W / 2, H / 2]) - np.stack([x, y], -1)).max() < 1.3
