"""One body of two materials: it moves as one and each part obeys its own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of

from perpetua.errors import MaterialError, ReconstructionError
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.physics.stability import choose_substeps
from perpetua.progress import Progress
from perpetua.reconstruct.material_regions import with_regions
from perpetua.reconstruct.picture import Picture
from perpetua.scene import Camera, Scene, State
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Push, RegionSpec, Round

SPACING = 0.01


def half_and_half():
    """A bar in the air: jelly, but plasticine for x > 0."""
    points = box_points((0.08, 0.04, 0.04), SPACING, (-0.04, -0.02, 0.2))
    scene = scene_of([("bar", material("jelly"), points)], SPACING)
    bodies = [replace(scene.bodies[0], regions=(material("plasticine"),))]
    return replace(scene, bodies=bodies, region=(points[:, 0] > 0).astype(np.int32))


def test_a_bar_of_jelly_and_plasticine_hangs_together_and_gives_where_it_is_soft():
    scene = half_and_half()
    firm = scene.region == 1
    push = Push("tap", (0.0, 0.0, 0.22), (0, 0, 1), 3.0, reach=0.06, end=2)
    plan = RoundPlan(Round(5, (push,)), 0, 24.0, (0, 0, 0))
    sim = GenesisEngine().simulate(scene, replace(scene.rest_state(), time=1.0), plan, Progress())
    mass = np.where(firm, 1550.0, 1050.0) * SPACING**3
    momentum = (mass[:, None] * sim.end.particles.velocities.astype(float)).sum(0)
    np.testing.assert_allclose(momentum, [0, 0, 3.0 * 2 / 24.0], rtol=0.02, atol=2e-3)
    strain = np.linalg.norm(
        sim.trajectory.F.transpose(0, 1, 3, 2) @ sim.trajectory.F - np.eye(3), axis=(2, 3)
    ).mean(0)
    assert strain[~firm].mean() > 3 * strain[firm].mean()
    rest, end = scene.particles.positions, sim.end.particles.positions
    beside = [  # neighbours across the border
        (i, j)
        for i in np.flatnonzero(np.abs(rest[:, 0] + SPACING / 2) < 1e-4)
        for j in np.flatnonzero(np.abs(rest - rest[i] - [SPACING, 0, 0]).max(1) < 1e-4)
    ]
    assert len(beside) == 16
    assert max(np.linalg.norm(end[i] - end[j]) for i, j in beside) < 1.5 * SPACING


def test_a_bar_of_two_materials_goes_on_from_a_file_to_the_bit(tmp_path):
    scene = half_and_half()
    push = Push("tap", (0.0, 0.0, 0.22), (0, 0, 1), 3.0, reach=0.06, end=2)

    def play(state, frames, start):
        plan = RoundPlan(Round(frames, (push,)), start, 24.0, (0, 0, -9.81))
        return GenesisEngine().simulate(scene, state, plan, Progress())

    rest = replace(scene.rest_state(), time=1.0)
    play(rest, 2, 0).end.save(tmp_path / "state.npz")
    second, unbroken = play(State.load(tmp_path / "state.npz"), 1, 2), play(rest, 3, 0)
    for name in ("positions", "velocities", "F", "C", "plastic"):
        one, two = (getattr(sim.end.particles, name) for sim in (second, unbroken))
        np.testing.assert_array_equal(one, two)


def test_the_stiffest_region_decides_the_substep():
    scene = half_and_half()
    jelly_only = [replace(scene.bodies[0], regions=())]
    assert choose_substeps(scene.bodies, 0.02, 24.0, 0.0) > choose_substeps(jelly_only, 0.02, 24.0, 0.0)


def test_a_scene_keeps_its_regions(tmp_path):
    scene = half_and_half()
    scene.save(tmp_path)
    again = Scene.load(tmp_path)
    assert again.bodies[0].regions == scene.bodies[0].regions
    np.testing.assert_array_equal(again.region, scene.region)
    kinds, of = again.materials()
    assert [kinds[i].preset for i in of] == ["plasticine" if r else "jelly" for r in scene.region]


def pictured():
    """The bar as jelly alone, seen from the front in a picture of half the file's size."""
    scene = half_and_half()
    pose = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0.22], [0, 1, 0, 0.5], [0, 0, 0, 1]])
    camera = Camera(np.array([[500.0, 0, 50], [0, 500, 50], [0, 0, 1]]), pose, 100, 100)
    picture = Picture(np.zeros((100, 100, 3), np.uint8), 0.5, None, None)
    return replace(scene, bodies=[replace(scene.bodies[0], regions=())], region=None, camera=camera), picture


class RightHalf:
    """A segmenter that finds the right half of the picture."""

    def segment(self, picture, thing):
        return np.repeat(np.arange(100)[None] >= 50, 100, 0).astype(np.float32)


@pytest.mark.parametrize("marks", [{"box": (100.0, 0.0, 200.0, 200.0)}, {"clicks": (Click(150, 100),)}])
def test_marks_in_the_picture_reach_the_particles_behind_them(marks):
    scene, picture = pictured()
    part = RegionSpec("firm", material=MaterialSpec("plasticine"), **marks)
    thing = ObjectSpec("bar", (Click(100, 100),), material=MaterialSpec("jelly"), regions=(part,))
    found = with_regions(scene, picture, (thing,), RightHalf())
    np.testing.assert_array_equal(found.region, half_and_half().region)
    assert found.bodies[0].regions == (material("plasticine"),)


def test_regions_that_cannot_be_are_refused_by_name():
    scene, picture = pictured()
    box = (100.0, 0.0, 200.0, 200.0)
    for part, error, sentence in (
        (RegionSpec("core", box=box, material=MaterialSpec("wood")), MaterialError, "'core' is of wood"),
        (RegionSpec("core", box=(0.0, 0.0, 4.0, 4.0)), ReconstructionError, "'core' holds nothing of 'bar'"),
    ):
        thing = ObjectSpec("bar", (Click(100, 100),), regions=(part,))
        with pytest.raises(error, match=sentence):
            with_regions(scene, picture, (thing,), RightHalf())
