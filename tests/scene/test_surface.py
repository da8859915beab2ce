"""Which way matter faces, of shapes whose normals are known."""

from __future__ import annotations

import numpy as np
from lit_scenes import block

from perpetua.scene.surface import facing

S = 0.005


def test_a_balls_skin_faces_outwards_and_its_middle_nowhere():
    points = block((0.08, 0.08, 0.08), (-0.04, -0.04, 0.06), S)
    away = points - [0, 0, 0.1]
    far = np.linalg.norm(away, axis=1)
    points, away, far = points[far < 0.038], away[far < 0.038], far[far < 0.038]
    for smoothings, most in ((0, 12.0), (2, 6.0)):
        normal, surface = facing(points, points, S, smoothings)
        skin = far > 0.034
        cosine = (normal * away)[skin].sum(1) / far[skin]
        assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() < most
        assert surface[skin].min() > 0.5
        assert surface[far < 0.02].max() < 0.25


def test_a_puddle_of_one_layer_looks_up():
    points = block((0.1, 0.1, S), (-0.05, -0.05, 0.0), S)
    normal, surface = facing(points, points, S)
    inner = np.abs(points[:, :2]).max(1) < 0.035
    assert normal[inner, 2].min() > 0.97
    assert surface[inner].min() > 0.9


def test_a_film_on_other_matter_faces_away_from_it():
    under = block((0.06, 0.06, 0.06), (-0.03, -0.03, 0.0), S)
    film = block((S, 0.06, 0.03), (0.03, -0.03, 0.02), S)
    normal, _ = facing(film, np.concatenate([under, film]), S, 1)
    inner = (np.abs(film[:, 1]) < 0.02) & (np.abs(film[:, 2] - 0.035) < 0.008)
    assert normal[inner, 0].min() > 0.95


def test_nothing_faces_nowhere():
    normal, surface = facing(np.zeros((0, 3)), np.zeros((0, 3)), S)
    assert normal.shape == (0, 3)
    assert surface.shape == (0,)
