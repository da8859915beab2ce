"""The shade of poured matter on the support."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lit_scenes import ball_scene, block, painted

from perpetua.scene.ground_shade import DARKEST, NONE, Grid, GroundShade, shade
from perpetua.scene.light import GAMMA, Light
from perpetua.scene.mist import FROM_ABOVE, Puffs

S = 0.005
LIGHT = Light(np.array([0.6, 0.0, 0.8]), 0.5, 0.5)


def test_below_a_wide_plate_it_is_as_dark_as_it_gets_and_far_away_light():
    plate = block((0.3, 0.3, 0.01), (-0.15, -0.15, 0.03), S)
    grid = Grid.around(np.array([[-0.4, -0.4], [0.4, 0.4]]), S)
    log, cover = shade(grid, plate, LIGHT, S)
    middle, away = grid.at(log, np.array([[-0.02, 0.0], [0.38, 0.38]]))
    assert middle == pytest.approx(-math.log(DARKEST) / GAMMA, rel=0.1)
    assert away < 0.01
    assert not cover.any(), "it does not lie there"


def test_a_lamp_throws_it_aside_and_the_sky_straight_down():
    plate = block((0.04, 0.04, 0.04), (-0.02, -0.02, 0.08), S)
    grid = Grid.around(np.array([[-0.3, -0.3], [0.3, 0.3]]), S)
    places = grid.centres()
    for ambient, lamp, x in ((1.0, 0.0, 0.0), (0.0, 1.0, -0.1 * 0.75)):
        log = shade(grid, plate, Light(LIGHT.direction, ambient, lamp), S)[0].ravel()
        assert (log * places[:, 0]).sum() / log.sum() == pytest.approx(x, abs=0.006)


def test_it_is_deeper_near_the_ground():
    grid = Grid.around(np.array([[-0.2, -0.2], [0.2, 0.2]]), S)
    deepest = [
        shade(grid, block((0.03, 0.03, 0.03), (-0.015, -0.015, z), S), LIGHT, S)[0].max()
        for z in (0.012, 0.1)
    ]
    assert deepest[0] > 1.5 * deepest[1] > 0.05


def test_matter_that_lies_there_is_not_shaded_by_discs():
    puddle = block((0.1, 0.1, 0.01), (-0.05, -0.05, 0.0), S)
    grid = Grid.around(np.array([[-0.2, -0.2], [0.2, 0.2]]), S)
    log, cover = shade(grid, puddle, LIGHT, S)
    assert grid.at(cover, np.zeros((1, 2)))[0] > 0.9
    assert grid.at(log, np.zeros((1, 2)))[0] < 1e-6
    assert log.max() > 0.05, "but what is beside it"


@pytest.mark.parametrize("depth", [0.002, 0.01])
def test_under_a_wide_cloud_light_is_left_as_beer_and_lambert_say(depth):
    """I = I0 exp(-sum of depths along the way): a lamp comes through aslant, in 1 / cos of the way, and half of the sky from straight above."""
    places = block((0.5, 0.5, 0.04), (-0.25, -0.25, 0.03), S)
    puffs = Puffs(places, np.full(len(places), depth), np.full(len(places), 2.0 * S))
    above = depth * 2.0 * math.pi * (2.0 * S) ** 2 * len(places) / 0.5**2
    grid = Grid.around(np.array([[-0.6, -0.4], [0.5, 0.4]]), S)
    log, cover = shade(grid, np.zeros((0, 3)), LIGHT, S, puffs)
    aslant = above / LIGHT.direction[2]
    left = LIGHT.shadow * math.exp(-aslant) + (1.0 - LIGHT.shadow) * math.exp(-FROM_ABOVE * above)
    middle, away = grid.at(log, np.array([[-0.02, 0.0], [0.45, 0.35]]))
    assert middle == pytest.approx(-math.log(DARKEST + (1.0 - DARKEST) * left) / GAMMA, rel=0.03)
    assert away < 0.01
    assert not cover.any(), "gas covers nothing"


def test_no_shade_hangs_beyond_the_tables_edge():
    scene = ball_scene(*painted(np.array([0.0, 0, 1]), 0.5, 0.5))  # its table ends 0.4 m from the middle
    drop = block((0.06, 0.06, 0.12), (0.33, -0.03, 0.02), scene.spacing)
    low = Light(np.array([-0.8, 0.0, 0.6]), 0.1, 0.9)
    cast = GroundShade(scene, [drop], [NONE], low, 3000)
    assert cast.opacity.any()
    assert cast.means[cast.opacity[0] > 0, 0].max() < 0.5


def test_discs_darken_a_table_as_the_field_says():
    import torch

    from perpetua.render import render_layers
    from perpetua.scene import Gaussians
    from perpetua.scene.gaussians import SH_C0

    scene = ball_scene(*painted(np.array([0.0, 0, 1]), 0.5, 0.5))
    drop = block((0.06, 0.06, 0.03), (-0.03, -0.03, 0.03), scene.spacing)
    cast = GroundShade(scene, [np.zeros((0, 3)), drop], [NONE, NONE], LIGHT, 3000)
    assert not cast.opacity[0].any()
    there = cast.opacity[1] > 0
    count = int(there.sum())
    discs = Gaussians.from_colors(
        torch.from_numpy(cast.means[there]),
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.from_numpy(cast.scales[there]),
        torch.from_numpy(cast.opacity[1][there]),
        torch.zeros(count, 3),
    )
    assert float(discs.sh[0, 0, 0]) == pytest.approx(-0.5 / SH_C0)
    camera = scene.camera.resized(640)
    left = 1 - render_layers(discs, camera).alpha.numpy()
    log, _ = shade(cast.grid, drop, LIGHT, scene.spacing)
    places, wanted = cast.grid.centres(), log.ravel()
    pixels, _ = camera.project(places)
    x, y = np.floor(pixels).astype(int).T
    inner = (
        (np.abs(places).max(1) < 0.1) & (wanted > 0.03) & (y < left.shape[0]) & (x >= 0) & (x < left.shape[1])
    )
    x, y = x[inner], y[inner]
    difference = -np.log(left[y, x]) - wanted[inner]
    assert np.abs(difference).mean() < 0.05
    assert abs(difference.mean()) < 0.03
