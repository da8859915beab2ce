"""Which way matter faces, of shapes whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import block

from perpetua.scene.surface import CLOSE, FORM_SIGMA, Neighbours, facing, form, unit

S = 0.005


def normals(points: np.ndarray, matter: np.ndarray, smoothings: int):
    away, surface = facing(points, matter, S)
    return unit(Neighbours.of(points, points, CLOSE).smoothed(away, S, smoothings)), surface


def formed(points: np.ndarray):
    return form(points, Neighbours.of(points, points, CLOSE), S)


def test_a_balls_skin_faces_outwards_and_its_middle_nowhere():
    points = block((0.08, 0.08, 0.08), (-0.04, -0.04, 0.06), S)
    away = points - [0, 0, 0.1]
    far = np.linalg.norm(away, axis=1)
    points, away, far = points[far < 0.038], away[far < 0.038], far[far < 0.038]
    for smoothings, most in ((0, 12.0), (2, 6.0)):
        normal, surface = normals(points, points, smoothings)
        skin = far > 0.034
        cosine = (normal * away)[skin].sum(1) / far[skin]
        assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() < most
        assert surface[skin].min() > 0.5
        assert surface[far < 0.02].max() < 0.25


def test_a_puddle_of_one_layer_looks_up():
    points = block((0.1, 0.1, S), (-0.05, -0.05, 0.0), S)
    normal, surface = normals(points, points, 0)
    inner = np.abs(points[:, :2]).max(1) < 0.035
    assert normal[inner, 2].min() > 0.97
    assert surface[inner].min() > 0.9


def test_a_film_on_other_matter_faces_away_from_it():
    under = block((0.06, 0.06, 0.06), (-0.03, -0.03, 0.0), S)
    film = block((S, 0.06, 0.03), (0.03, -0.03, 0.02), S)
    normal, _ = normals(film, np.concatenate([under, film]), 1)
    inner = (np.abs(film[:, 1]) < 0.02) & (np.abs(film[:, 2] - 0.035) < 0.008)
    assert normal[inner, 0].min() > 0.95


def test_nothing_faces_nowhere():
    normal, surface = facing(np.zeros((0, 3)), np.zeros((0, 3)), S)
    assert normal.shape == (0, 3)
    assert surface.shape == (0,)


def test_splats_are_round_inside_flat_on_a_surface_and_long_in_a_thread():
    whole = block((0.06, 0.06, 0.06), (-0.03, -0.03, -0.03), S)
    scales = formed(whole).scales / S
    inside = np.abs(whole).max(1) < 0.015
    np.testing.assert_allclose(scales[inside], FORM_SIGMA, rtol=0.1)
    sheet = block((0.1, 0.1, S), (-0.05, -0.05, 0.0), S)
    shaped = formed(sheet)
    inner = np.abs(sheet[:, :2]).max(1) < 0.03
    assert np.abs(shaped.axes[inner, 2, 0]).min() > 0.99, "its shortest axis is up"
    assert (shaped.scales[inner, 0] < 0.35 * shaped.scales[inner, 2]).all()
    thread = block((0.1, 2 * S, 2 * S), (-0.05, -S, -S), S)
    shaped = formed(thread)
    inner = np.abs(thread[:, 0]) < 0.03
    assert np.abs(shaped.axes[inner, 0, 2]).min() > 0.95, "its longest axis is along"
    assert (shaped.scales[inner, 2] > 1.5 * shaped.scales[inner, 1]).all()
    np.testing.assert_allclose(np.linalg.det(shaped.axes), 1.0, atol=1e-6)


def test_a_surface_is_evened_and_a_body_does_not_shrink():
    ball = block((0.08, 0.08, 0.08), (-0.04, -0.04, -0.04), S)
    ball = ball[np.linalg.norm(ball, axis=1) < 0.038]
    rough = ball + np.random.default_rng(1).uniform(-0.3, 0.3, ball.shape) * S
    even = formed(rough).means
    assert np.linalg.norm(even, axis=1).mean() == pytest.approx(
        np.linalg.norm(rough, axis=1).mean(), rel=0.01
    )
    skin = np.linalg.norm(ball, axis=1) > 0.034
    unevenness = [np.linalg.norm(p, axis=1)[skin].std() for p in (rough, even)]
    assert unevenness[1] < 0.8 * unevenness[0]
