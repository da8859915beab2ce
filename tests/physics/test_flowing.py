"""Sand, snow, honey and a stack of different matter: slow, because each compiles kernels of its own."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Round

pytestmark = pytest.mark.slow
SPACING = 0.01


def run(scene, frames, state=None):
    plan = RoundPlan(Round(frames), 0, 24.0, (0, 0, -9.81))
    return GenesisEngine().simulate(scene, state or scene.rest_state(), plan, Progress())


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


def test_clay_that_fell_on_jelly_touches_it_where_its_particles_do():
    """One spacing apart, as within a body; not a grid cell, two spacings, where kernels meet."""
    scene = scene_of(
        [
            ("jelly", material("jelly"), box_points((0.06, 0.06, 0.04), SPACING, (-0.03, -0.03, 0))),
            ("clay", material("clay"), box_points((0.03, 0.03, 0.03), SPACING, (-0.015, -0.015, 0.06))),
        ],
        SPACING,
    )
    sim = run(scene, 12, replace(scene.rest_state(), time=1.0))
    end, clay = sim.trajectory.positions[-1], scene.particles.body == 1
    under = ~clay & (np.abs(end[:, :2]).max(1) < 0.02)
    gap = end[clay, 2].min() - end[under, 2].max()
    assert 0.7 * SPACING < gap < 1.35 * SPACING


def test_a_block_that_fell_on_dough_presses_it_down_and_neither_sinks_through_nor_hovers():
    size = (0.04, 0.04, 0.02)
    mesh = trimesh.creation.box(size)
    mesh.apply_translation((0, 0, 0.08))
    scene = scene_of(
        [
            ("dough", material("dough"), box_points((0.08, 0.08, 0.04), SPACING, (-0.04, -0.04, 0))),
            ("block", material("metal"), box_points(size, SPACING, (-0.02, -0.02, 0.07))),
        ],
        SPACING,
        meshes={"block": (np.array(mesh.vertices), np.array(mesh.faces))},
    )
    sim = run(scene, 12, replace(scene.rest_state(), time=1.0))
    end, dough = sim.trajectory.positions[-1], scene.particles.body == 0
    bottom = end[~dough, 2].min() - SPACING / 2
    under = dough & (np.abs(end[:, :2]).max(1) < 0.015)
    gap = bottom - (end[under, 2].max() + SPACING / 2)
    assert -0.3 * SPACING < gap < 0.4 * SPACING
    assert bottom < 0.04 - 0.2 * SPACING  # it has pressed the dough down
    assert np.linalg.norm(sim.end.rigid[1].velocity) < 0.02


def test_water_spreads_to_a_puddle_and_stops():
    scene = scene_of(
        [("water", material("water"), box_points((0.05, 0.05, 0.05), SPACING, (0, 0, 0)))], SPACING
    )
    sim = run(scene, 30)
    high = sim.trajectory.positions[..., 2].max(1)
    speed = np.linalg.norm(np.diff(sim.trajectory.positions, axis=0), axis=2).mean(1) * 24
    assert high[-1] < 0.022
    assert speed[-1] < 0.2 * speed.max()
    assert np.ptp(sim.trajectory.positions[-1, :, 0]) < 0.4
