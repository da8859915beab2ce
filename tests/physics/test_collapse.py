"""A column of dry sand let go: how far it runs, how high it stays and how soon it rests, against measured collapses.

Slow: it takes some ten layers of particles for the flow at the toe not to be held up by the grid.
"""

from __future__ import annotations

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Round

pytestmark = pytest.mark.slow
SPACING, RADIUS = 0.004, 0.036


@pytest.fixture(scope="module")
def collapse():
    """Positions [25, P, 3] m of a cylinder as high as its radius (a = 1) for a second."""
    points = box_points((2 * RADIUS, 2 * RADIUS, RADIUS), SPACING, (-RADIUS, -RADIUS, 0))
    points = points[np.hypot(points[:, 0], points[:, 1]) <= RADIUS]
    level = np.array([1.0, 1.0, 0.0])
    points = points + np.random.default_rng(0).uniform(-0.25, 0.25, points.shape) * SPACING * level
    scene = scene_of([("sand", material("dry sand"), points)], SPACING)
    plan = RoundPlan(Round(24), 0, 24.0, (0, 0, -9.81))
    sim = GenesisEngine().simulate(scene, scene.rest_state(), plan, Progress())
    return sim.trajectory.positions.astype(np.float64)


def flank(positions):
    """Rings [r] m and the height of the surface above them [r] m."""
    away = np.hypot(positions[:, 0], positions[:, 1])
    rings = np.arange(0.3 * RADIUS, np.quantile(away, 0.98), SPACING)
    near = [np.abs(away - ring) < 0.75 * SPACING for ring in rings]
    return rings, np.array([np.quantile(positions[n, 2], 0.95) + SPACING / 2 for n in near])


def test_its_height_and_its_reach_are_those_measured(collapse):
    """a = h / r = 1: the heap's top stays at 0.74 r (Lajeunesse, Mangeney-Castelnau and Vilotte 2004, fig. 7), its foot runs to
    r (1 + 1.24 a) (Lube, Huppert, Sparks and Hallworth 2004, 3.1). The last grains of a foot are thinner than particles: the flank's
    outer third is continued down to the table."""
    rings, height = flank(collapse[-1])
    assert height.max() == pytest.approx(0.74 * RADIUS, rel=0.15)
    outer = rings > np.quantile(rings, 0.6)
    slope, at_axis = np.polyfit(rings[outer], height[outer], 1)
    assert -at_axis / slope == pytest.approx(2.24 * RADIUS, rel=0.15)
    assert 15.0 < np.degrees(np.arctan(-slope)) < 33.0, "no steeper than its friction angle"


def test_it_comes_to_rest(collapse):
    """The measured ones stand after 3 sqrt(h / g) (Lajeunesse et al. 2004), a sixth of a second here."""
    stands = int(np.ceil(24 * 3 * np.sqrt(RADIUS / 9.81)))
    speed = np.linalg.norm(np.diff(collapse, axis=0), axis=2).mean(1) * 24
    assert speed[: stands // 2 + 1].max() > 0.05
    assert speed[2 * stands :].max() < 0.002
    crept = np.linalg.norm(collapse[-1] - collapse[2 * stands], axis=1)
    assert crept.mean() < 0.1 * SPACING
    assert np.quantile(crept, 0.98) < 0.5 * SPACING
