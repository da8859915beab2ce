"""The refiners that come with the engine: what they show, what they remember, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perpetua import registry
from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo, RoundContext
from perpetua.refine.check import checked
from perpetua.refine.none import NoRefiner
from perpetua.refine.teacher import TeacherRefiner, pack_state, unpack_state, unpack_trajectory
from perpetua.scene import Scene, State

Contexts = Callable[..., RoundContext]


def test_both_are_registered() -> None:
    assert registry.load("refiner", "none") is NoRefiner
    assert registry.load("refiner", "teacher") is TeacherRefiner


def test_none_gives_the_video_back(scene: Scene, video: RenderedVideo, context_from: Contexts) -> None:
    context = context_from(scene, scene.rest_state())
    refiner = NoRefiner()
    memory = refiner.prepare(context, {}, Progress())
    assert memory == {}
    assert refiner.refine(video, context, memory, Progress()) is video.rgb


def test_the_teacher_s_world_has_other_materials(scene: Scene) -> None:
    teacher = TeacherRefiner(youngs_modulus_factor=4, density_factor=0.5, friction_factor=2.0)
    world = teacher.world(scene)
    for ours, theirs in zip(scene.bodies, world.bodies, strict=True):
        assert theirs.material.youngs_modulus == 4 * ours.material.youngs_modulus
        assert theirs.material.density == 0.5 * ours.material.density
        assert theirs.material.friction == 2 * ours.material.friction
        assert theirs.material.poisson_ratio == ours.material.poisson_ratio
        assert theirs.name == ours.name
    assert world.particles is scene.particles


def test_the_teacher_shows_its_own_motion(scene: Scene, video: RenderedVideo, context_from: Contexts) -> None:
    context = context_from(scene, scene.rest_state())
    teacher = TeacherRefiner(youngs_modulus_factor=0.5, grid_refinement=3.0)
    memory = teacher.prepare(context, {}, Progress())
    shown = teacher.refine(video, context, memory, Progress())
    truth, _ = context.simulate(teacher.world(scene), context.start, 3.0, Progress())
    np.testing.assert_array_equal(shown, context.render(truth, video.camera).rgb)
    for world, refinement in ((scene, 3.0), (teacher.world(scene), 1.0)):
        other, _ = context.simulate(world, context.start, refinement, Progress())
        assert np.abs(shown - context.render(other, video.camera).rgb).max() > 0


def test_the_teacher_goes_on_from_its_own_state(scene: Scene, context_from: Contexts, tmp_path: Path) -> None:
    teacher = TeacherRefiner(youngs_modulus_factor=2.0)
    first = teacher.prepare(context_from(scene, scene.rest_state()), {}, Progress())
    np.savez(tmp_path / "memory.npz", **first)  # as the loop keeps it
    with np.load(tmp_path / "memory.npz", allow_pickle=False) as data:
        kept = {name: data[name] for name in data.files}
    rest = scene.rest_state()
    elsewhere = rest.with_particles(positions=rest.particles.positions + np.float32(7))
    second = teacher.prepare(context_from(scene, elsewhere, 2), kept, Progress())
    before, after = unpack_trajectory(first), unpack_trajectory(second)
    np.testing.assert_array_equal(after.positions[0], before.positions[-1])
    assert after.times[0] == pytest.approx(before.times[-1])


def test_a_state_is_the_same_after_memory(scene: Scene) -> None:
    state = scene.rest_state()
    pose = replace(state.rigid[1], position=np.array([1.0, 2, 3]), angular_velocity=np.array([0.1, 0.2, 0.3]))
    state = State(state.particles, state.total_F * 2, {1: pose}, 0.75)
    back = unpack_state(pack_state(state))
    assert back.time == 0.75
    np.testing.assert_array_equal(back.total_F, state.total_F)
    np.testing.assert_array_equal(back.particles.body, state.particles.body)
    np.testing.assert_array_equal(back.rigid[1].position, [1, 2, 3])
    np.testing.assert_array_equal(back.rigid[1].angular_velocity, [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("none", {"strength": 0.5}, "has no option 'strength'; it has none"),
        ("teacher", {"stiffness": 2.0}, "has no option 'stiffness'; it has: youngs_modulus_factor"),
        ("teacher", {"density_factor": 0}, "density_factor is 0; it must be a number above zero"),
        ("teacher", {"density_factor": -1.0}, "density_factor is -1.0"),
        ("teacher", {"density_factor": "much"}, "density_factor is 'much'"),
        ("teacher", {"density_factor": True}, "density_factor is True"),
        ("teacher", {"grid_refinement": float("nan")}, "grid_refinement is nan"),
        ("teacher", {"friction_factor": float("inf")}, "friction_factor is inf"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(RefinerError, match=said):
        registry.load("refiner", name)(**options)


def test_what_a_refined_video_must_be(video: RenderedVideo) -> None:
    np.testing.assert_array_equal(checked(video.rgb, video, "x"), video.rgb)
    assert checked(video.rgb.astype(np.float64) * 2, video, "x").dtype == np.float32
    assert checked(video.rgb * 2, video, "x").max() <= 1
    with pytest.raises(RefinerError, match=r"'x'.*'left'.*number of frames"):
        checked(video.rgb[:-1], video, "x")
    broken = video.rgb.copy()
    broken[2, 0, 0, 0] = np.nan
    with pytest.raises(RefinerError, match=r"'left' \(first in frame 2\)"):
        checked(broken, video, "x")
    with pytest.raises(RefinerError, match=r"black video for the view 'left'"):
        checked(np.zeros_like(video.rgb), video, "x")


def test_a_dark_scene_may_stay_dark(video: RenderedVideo) -> None:
    night = replace(video, rgb=np.zeros_like(video.rgb))
    assert not checked(night.rgb, night, "x").any()
