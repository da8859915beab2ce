"""A heap that a chute pours, over two rounds: slow, because sand needs its time to fall and to settle."""

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene.emission import with_streams
from perpetua.scene.particles import present
from perpetua_protocol.take import Emitter, MaterialSpec, Round

pytestmark = pytest.mark.slow
SPACING, FPS = 0.01, 24.0
SAND = MaterialSpec("dry sand")


def test_a_heap_grows_under_a_chute_and_stands_no_steeper_than_sand_can():
    pebble = box_points((0.02, 0.02, 0.02), SPACING, (0.3, 0, 0))
    scene = scene_of([("pebble", material("jelly"), pebble)], SPACING)
    state, start, heights, counts = scene.rest_state(), 0, [], []
    for frames in (12, 12):
        chute = Emitter("chute", (0, 0, 0.1), radius=0.02, speed=0.3, material=SAND, end=start + 8)
        turn = Round(frames, (chute,))
        scene = with_streams(scene, turn, start, FPS)
        done = GenesisEngine().simulate(scene, state, RoundPlan(turn, start, FPS, (0, 0, -9.81)), Progress())
        state, start = done.end, start + frames
        sand = state.particles.positions[scene.particles.body == 1]
        counts.append(int(present(state.total_F)[scene.particles.body == 1].sum()))
        heights.append(float(np.quantile(sand[:, 2], 0.98)))
        assert np.linalg.norm(state.particles.velocities, axis=1).mean() < 0.1  # it stands
    assert counts[0] * SPACING**3 == pytest.approx(np.pi * 0.02**2 * 0.3 * 8 / FPS, rel=0.1)
    assert counts[1] == pytest.approx(2 * counts[0], abs=13)
    assert heights[1] > heights[0] + 0.2 * SPACING
    away = np.linalg.norm(sand[:, :2], axis=1)
    assert np.abs(sand[:, :2].mean(0)).max() < 0.5 * SPACING  # under the chute
    slope = np.degrees(np.arctan2(heights[1], np.quantile(away, 0.95)))
    print(heights, counts, slope)
    assert slope < 38
