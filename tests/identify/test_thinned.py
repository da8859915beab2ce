"""A round with fewer particles: what it is, and that what is found with it holds for the whole one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perpetua.evaluate.worlds import Solid, block, drum, make_scene
from perpetua.identify.identify import Evidence, identify
from perpetua.identify.quantities import Known, scene_with
from perpetua.identify.thinned import thinned
from perpetua.progress import Progress
from perpetua.scene import Scene, State, Trajectory
from perpetua.scene.materials import resolve
from perpetua_protocol.take import MaterialSpec

SPACING, FRAMES = 0.005, 8


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A block of 5000 particles beside a drum of some 1700, both of jelly."""
    kind = resolve(MaterialSpec("jelly"))
    solids = [
        Solid("block", kind, block((0.1, 0.05, 0.125), (0, 0, 0.0625)), (0.8, 0.3, 0.3)),
        Solid("drum", kind, drum(0.03, 0.075, (0.2, 0, 0.0375)), (0.8, 0.3, 0.3)),
    ]
    return make_scene(solids, SPACING, 32, 24)


def test_it_has_the_whole_one_s_mass_and_shape_and_one_particle_of_each_cell(scene: Scene) -> None:
    few = thinned(scene, scene.rest_state())
    count = len(few.kept)
    assert not few.is_whole
    assert 600 <= count <= len(scene.particles) / 6
    assert count * few.scene.spacing**3 == pytest.approx(len(scene.particles) * SPACING**3)
    for index in range(2):
        every, own = (
            s.particles.positions[s.particles.body == index].astype(float) for s in (scene, few.scene)
        )
        assert len(own) / count == pytest.approx(len(every) / len(scene.particles), rel=0.15)
        np.testing.assert_allclose(own.mean(0), every.mean(0), atol=SPACING)
        np.testing.assert_allclose(own.std(0), every.std(0), rtol=0.1)
        apart = np.linalg.norm(own[:, None] - own[None], axis=-1) + 9.0 * np.eye(len(own))
        nearest = apart.min(1)
        assert np.median(nearest) == pytest.approx(2 * SPACING, rel=1e-3)
        assert nearest.min() > 0.99 * SPACING  # where the drum's side cuts through cells


def test_rigid_bodies_do_not_count_for_the_mass_of_what_is_soft(scene: Scene) -> None:
    brick = replace(scene.bodies[0], material=resolve(MaterialSpec("wood")))
    few = thinned(replace(scene, bodies=[brick, scene.bodies[1]]), scene.rest_state())
    soft, left = ((s.particles.body == 1).sum() * s.spacing**3 for s in (scene, few.scene))
    assert left == pytest.approx(soft)


def test_particles_keep_what_they_carry(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    rest = scene.rest_state()
    state = replace(
        rest.with_particles(velocities=rng.normal(size=(len(scene.particles), 3)).astype(np.float32)),
        total_F=rng.normal(size=rest.total_F.shape).astype(np.float32),
    )
    marked = replace(scene, region=rng.integers(0, 2, len(scene.particles)).astype(np.int32))
    few = thinned(marked, state)
    np.testing.assert_array_equal(few.state.particles.velocities, state.particles.velocities[few.kept])
    np.testing.assert_array_equal(few.state.total_F, state.total_F[few.kept])
    np.testing.assert_array_equal(few.scene.region, marked.region[few.kept])
    np.testing.assert_array_equal(few.scene.particles.body, few.state.particles.body)


def test_few_particles_and_bodies_whose_particles_cannot_stand_for_others_stay(scene: Scene) -> None:
    small = replace(scene, particles=thinned(scene, scene.rest_state()).scene.particles)
    steam, poured = (
        replace(scene, bodies=[scene.bodies[0], other])
        for other in (
            replace(scene.bodies[1], material=resolve(MaterialSpec("steam"))),
            replace(scene.bodies[1], emitted=True),
        )
    )
    for whole in (small, steam, poured):
        few = thinned(whole, whole.rest_state())
        assert few.is_whole
        assert few.scene is whole


def test_what_is_found_with_few_particles_holds_for_all(scene: Scene) -> None:
    """Physics in one line: bodies glide the farther the smoother they are, and fewer particles glide a tenth less far."""
    played: list[int] = []

    def glide(which: Scene, start: State, known: Known, progress: Progress) -> Trajectory:
        played.append(len(which.particles))
        changed = scene_with(which, known)
        smooth = np.array([1 - 0.5 * body.material.friction for body in changed.bodies])[which.particles.body]
        way = 0.03 * (1.0 if which is scene else 0.9) * smooth[:, None] * np.float32([1, 0, 0])
        positions = start.particles.positions + np.arange(FRAMES + 1)[:, None, None] * way
        F = np.repeat(start.total_F[None], FRAMES + 1, 0)
        return Trajectory(positions.astype(np.float32), F, np.arange(FRAMES + 1) / 24.0)

    rest = scene.rest_state()
    true = Known({"block/friction": np.log(0.5), "drum/friction": np.log(0.5)})
    simulated, wanted = (glide(scene, rest, known, Progress()) for known in (Known(), true))
    played.clear()
    seen = Evidence(scene, rest, simulated, wanted, np.ones(0), 4, glide)
    found = identify([seen], Known(), Known(), Progress())
    assert set(played[:-1]) == {len(thinned(scene, rest).kept)}
    assert played[-1] == len(scene.particles)
    assert found.suggestion.simulations == len(played)
    assert found.suggestion.explains > 0.98
    for name in ("block", "drum"):
        assert found.known.x[f"{name}/friction"] == pytest.approx(np.log(0.5), abs=0.12)


def test_what_does_not_hold_for_all_is_not_suggested(scene: Scene) -> None:
    """With few particles friction does what with all of them it does not."""

    def glide(which: Scene, start: State, known: Known, progress: Progress) -> Trajectory:
        friction = scene_with(which, known).bodies[0].material.friction
        way = np.float32([0.03 if which is scene else 0.03 * (1 - 0.5 * friction), 0, 0])
        positions = start.particles.positions + np.arange(FRAMES + 1)[:, None, None] * way
        F = np.repeat(start.total_F[None], FRAMES + 1, 0)
        return Trajectory(positions.astype(np.float32), F, np.arange(FRAMES + 1) / 24.0)

    rest = scene.rest_state()
    simulated = glide(scene, rest, Known(), Progress())
    off = 0.004 * np.arange(FRAMES + 1)[:, None, None] * np.float32([1, 0, 0])
    wanted = replace(simulated, positions=(simulated.positions + off).astype(np.float32))
    seen = Evidence(scene, rest, simulated, wanted, np.ones(0), 4, glide)
    found = identify([seen], Known(), Known(), Progress())
    assert found.suggestion.findings == []
    assert found.suggestion.explains < 0.1
