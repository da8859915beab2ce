"""What hides the lamp, against the shadow of a plate and the two sides of a ball."""

from __future__ import annotations

import numpy as np
from lit_scenes import block

from perpetua.scene.shadow_map import hidden

S = 0.005
LAMP = np.array([0.6, 0.0, 0.8])


def test_a_plates_shadow_lies_where_the_light_throws_it():
    plate = block((0.1, 0.1, S), (-0.05, -0.05, 0.1), S)
    x = np.linspace(-0.2, 0.1, 301)
    ground = np.stack([x, np.zeros_like(x), np.zeros_like(x)], 1)
    dark = hidden(ground, plate, LAMP, S)
    middle = -0.1025 * LAMP[0] / LAMP[2]
    assert dark[np.abs(x - middle) < 0.035].min() == 1.0
    assert dark[np.abs(x - middle) > 0.065].max() == 0.0
    width = 0.001 * dark.sum()
    assert abs(width - 0.1) < 0.01
    rim = (dark > 0.02) & (dark < 0.98)
    assert 0.005 < 0.001 * rim.sum() / 2 < 0.025, "its edge is soft"


def test_a_ball_shades_its_own_far_side_and_not_its_near_one():
    points = block((0.08, 0.08, 0.08), (-0.04, -0.04, 0.0), S)
    away = points - [0, 0, 0.04]
    far = np.linalg.norm(away, axis=1)
    points, away = points[far < 0.038], away[far < 0.038]
    skin = np.linalg.norm(away, axis=1) > 0.034
    cosine = away[skin] @ LAMP / np.linalg.norm(away[skin], axis=1)
    dark = hidden(points[skin], points, LAMP, S)
    assert dark[cosine > 0.5].max() < 0.15
    assert dark[cosine < -0.5].min() > 0.8


def test_nothing_hides_nothing():
    assert hidden(np.ones((3, 3)), np.zeros((0, 3)), LAMP, S).tolist() == [0, 0, 0]
    assert hidden(np.zeros((0, 3)), np.ones((3, 3)), LAMP, S).shape == (0,)
