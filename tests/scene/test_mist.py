"""Light in steam against Beer and Lambert's law, and shade from what stands before the lamp."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import block

from perpetua.scene.light import Light
from perpetua.scene.mist import Puffs, brightness, depth

S = 0.01
LAMP = np.array([0.6, 0.0, 0.8])
LIGHT = Light(LAMP, 0.4, 0.6)
NOTHING = np.zeros((0, 3))


def test_light_goes_out_in_a_cloud_as_its_depth_says():
    cloud = block((0.3, 0.3, 0.2), (-0.15, -0.15, 0.0), S)
    width, opacity = 1.5 * S, 0.02
    through_one = -np.log1p(-opacity)
    puffs = Puffs(cloud, np.full(len(cloud), through_one), np.full(len(cloud), width))
    found = depth(puffs, np.array([0.0, 0.0, 1.0]))
    a_metre = through_one * 2.0 * np.pi * width**2 / S**3
    inner = (np.abs(cloud[:, :2]).max(1) < 0.08) & (np.abs(cloud[:, 2] - 0.1) < 0.05)
    np.testing.assert_allclose(found[inner], a_metre * (0.2 - cloud[inner, 2]), rtol=0.05)


def test_a_cloud_is_bright_towards_the_lamp_and_a_lone_puff_has_all_light():
    cloud = block((0.12, 0.12, 0.12), (-0.06, -0.06, 0.0), S)
    puffs = Puffs.shown(cloud, np.full(len(cloud), 0.06), np.full(len(cloud), 2.0 * S))
    lit = brightness(puffs, NOTHING, S, LIGHT)
    towards = (cloud - cloud.mean(0)) @ LAMP
    assert lit[towards > 0.05].mean() > 1.2 * lit[towards < -0.05].mean()
    assert lit.max() <= LIGHT.ambient + LIGHT.lamp
    alone = brightness(Puffs.shown(cloud[:1], np.array([1e-4]), np.array([S])), NOTHING, S, LIGHT)
    assert alone[0] == pytest.approx(LIGHT.ambient + LIGHT.lamp, rel=1e-3)


def test_a_plate_before_the_lamp_leaves_the_light_from_around():
    plate = block((0.1, 0.1, S), (-0.05, -0.05, 0.1), S)
    puff = np.array([[-0.105 * LAMP[0] / LAMP[2], 0.0, 0.0], [0.3, 0.0, 0.0]])
    lit = brightness(Puffs.shown(puff, np.full(2, 1e-4), np.full(2, S)), plate, S, LIGHT)
    assert lit[0] == pytest.approx(LIGHT.ambient, rel=1e-2)
    assert lit[1] == pytest.approx(LIGHT.ambient + LIGHT.lamp, rel=1e-2)
    assert len(brightness(Puffs(NOTHING, np.zeros(0), np.zeros(0)), plate, S, LIGHT)) == 0
