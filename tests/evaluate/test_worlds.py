"""The benchmark's worlds: bodies full of particles, splats bound where they belong, truths that differ as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perpetua.errors import UnknownNameError
from perpetua.evaluate.catalogue import LOOP_WORLDS, loop_world
from perpetua.evaluate.worlds import Solid, ball, hanging_sheet, make_scene
from perpetua.scene import deform
from perpetua.scene.materials import resolve
from perpetua_protocol.take import MaterialSpec, Take


def test_a_ball_is_filled_and_dressed():
    spacing = 0.01
    solid = Solid("ball", resolve(MaterialSpec("clay")), ball(0.05, (0.0, 0.0, 0.05)), (0.5, 0.5, 0.5))
    scene = make_scene([solid], spacing, 64, 48)
    volume = len(scene.particles) * spacing**3
    assert volume == pytest.approx(4 / 3 * np.pi * 0.05**3, rel=0.1)
    assert np.linalg.norm(scene.particles.positions - [0, 0, 0.05], axis=1).max() < 0.05
    rest = torch.from_numpy(scene.particles.positions)
    eye = torch.eye(3).expand(len(rest), 3, 3)
    moved = deform(scene.foreground, scene.binding, rest, eye)
    torch.testing.assert_close(moved.means, scene.foreground.means, atol=1e-5, rtol=0)
    pixels, depth = scene.camera.project(scene.particles.positions.astype(np.float64))
    assert (depth > 0).all()
    assert ((pixels > 0) & (pixels < [64, 48])).all()


def test_the_corners_of_cloth_are_its_particles():
    sheet = hanging_sheet(0.1, 0.08, 0.15, 0.01)
    cotton = Solid("cloth", resolve(MaterialSpec("cotton")), sheet, (0.5, 0.5, 0.5), resting=False)
    scene = make_scene([cotton], 0.01, 64, 48)
    np.testing.assert_allclose(scene.particles.positions, scene.bodies[0].vertices, atol=1e-6)
    assert scene.particles.positions[:, 2].max() == pytest.approx(0.15)


@pytest.mark.parametrize("name", LOOP_WORLDS)
def test_every_world_is_playable_and_differs_from_its_truth(name):
    world = loop_world(name)
    scene = world.scene(80, 48)
    assert 300 <= len(scene.particles) <= 1000
    assert scene.particles.positions[:, 2].min() > 0
    rounds = world.played(6, 12)
    take = Take(name, "none.png", (), rounds)
    start = take.round_start(5)
    for index, played in enumerate(rounds):
        for action in played.actions:
            assert action.start is None or action.start >= take.round_start(index)
            assert action.end is None or take.round_start(index) < action.end <= take.round_start(index) + 12
    true = world.true_round(rounds[5], start)
    materials = [b.material for b in world.truth.world(scene).bodies]
    assert (
        materials != [b.material for b in scene.bodies]
        or true.actions != rounds[5].actions
        or world.truth.grid_refinement != 1
    )


def test_an_unknown_world_is_named():
    with pytest.raises(UnknownNameError, match=r"'cheese'.*jelly"):
        loop_world("cheese")
