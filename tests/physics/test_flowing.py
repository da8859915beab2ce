"""Sand, snow, honey and a stack of different matter: slow, because each compiles kernels of its own."""

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Round

pytestmark = pytest.mark.slow
SPACING = 0.01


def run(scene, frames):
    plan = RoundPlan(Round(frames), 0, 24.0, (0, 0, -9.81))
    return GenesisEngine().simulate(scene, scene.rest_state(), plan, Progress())


@pytest.fixture(scope="module")
def heaps():
    """Blocks of sand, snow and honey side by side for ten frames: start and end positions of each, and the end state."""
    names = ("sand", "snow", "honey")
    parts = [
        (n, material(n), box_points((0.05, 0.05, 0.05), SPACING, (0.2 * i, 0, 0)))
        for i, n in enumerate(names)
    ]
    scene = scene_of(parts, SPACING)
    sim = run(scene, 10)
    own = {n: scene.particles.body == i for i, n in enumerate(names)}
    return {n: sim.trajectory.positions[[0, -1]][:, m] for n, m in own.items()}, sim, own


def test_sand_slumps_into_a_heap_and_honey_flows_flat_while_snow_stands(heaps):
    ends, _, _ = heaps
    top = {name: (p[1, :, 2].max()) for name, p in ends.items()}
    assert top["snow"] > 0.043
    assert np.abs(ends["snow"][1] - ends["snow"][0]).max() < 0.2 * SPACING
    assert 0.01 < top["sand"] < 0.042
    assert top["honey"] < 0.035


def test_flowing_matter_stays_above_the_plane_and_keeps_its_splats_whole(heaps):
    _, sim, own = heaps
    assert sim.trajectory.positions[..., 2].min() > -0.1 * SPACING
    stretch = np.linalg.svd(sim.trajectory.F[-1][own["honey"]], compute_uv=False)
    assert stretch.max() < 1.4 + 1e-4
    assert stretch.min() > 0.7 - 1e-4


def test_clay_dropped_on_jelly_lies_on_it():
    scene = scene_of(
        [
            ("jelly", material("jelly"), box_points((0.06, 0.06, 0.04), SPACING, (-0.03, -0.03, 0))),
            ("clay", material("clay"), box_points((0.03, 0.03, 0.03), SPACING, (-0.015, -0.015, 0.04))),
        ],
        SPACING,
    )
    sim = run(scene, 12)
    moved = sim.trajectory.positions[-1] - sim.trajectory.positions[0]
    assert np.abs(moved).max() < 0.3 * SPACING
