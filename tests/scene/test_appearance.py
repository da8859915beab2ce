"""What is poured in a picture's scene is lit by its light, shades what is below, and leaves the rest as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lit_scenes import RADIUS, SPACING, ball_scene, block, painted

from perpetua.scene import Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.emission import arrivals, with_looks, with_streams
from perpetua.scene.presets import PRESETS
from perpetua_protocol.take import Emitter, MaterialSpec, Round

LAMP = np.array([-0.6, -0.35, 0.72])
HEAP = (0.15, 0.0, 0.0)
"""Where the poured matter lies, m: beside the ball."""


def poured(preset: str, where: tuple[float, float, float], frames: int = 2) -> tuple[Scene, Trajectory]:
    """The ball, and a block of what an emitter lets out there from the second frame on."""
    scene = ball_scene(*painted(LAMP / np.linalg.norm(LAMP), 0.4, 0.6))
    round_ = Round(12, (Emitter("tap", radius=0.03, speed=0.5, material=MaterialSpec(preset)),))
    whole = with_streams(scene, round_, 0, 24.0)
    own, new = len(scene.particles), len(whole.particles) - len(scene.particles)
    place = block((0.08, 0.08, 0.2), (-0.04, -0.04, 0.0), SPACING)
    place = place[np.argsort(place[:, 2], kind="stable")][:new] + where
    positions = np.tile(whole.particles.positions, (frames, 1, 1))
    F = np.tile(np.eye(3, dtype=np.float32), (*positions.shape[:2], 1, 1))
    F[0, own:] = 0.0
    positions[1:, own : own + len(place)] = place
    F[1:, own + len(place) :] = 0.0
    return whole, Trajectory(positions, F, np.arange(frames) / 24.0)


def shown(scene: Scene, trajectory: Trajectory, frame: int):
    moved = deform(
        scene.foreground,
        scene.binding,
        torch.from_numpy(trajectory.positions[frame]),
        torch.from_numpy(trajectory.F[frame]),
    )
    return moved, Appearance(scene, trajectory).on(moved, frame)


@pytest.fixture(scope="module")
def heap():
    return poured("wet sand", HEAP)


def poured_splats(scene: Scene, trajectory: Trajectory) -> np.ndarray:
    """Which of the splats are of poured matter that is there in the last frame."""
    there = trajectory.F[-1].any((1, 2)) & (scene.particles.body == 1)
    carried = scene.binding.carried
    return np.flatnonzero(
        np.r_[there[scene.binding.particle[:carried]], np.zeros(len(scene.binding.cast) - carried, bool)]
    )


def test_before_anything_comes_nothing_changes(heap):
    scene, trajectory = heap
    moved, seen = shown(scene, trajectory, 0)
    for name in ("means", "quats", "log_scales", "sh"):
        torch.testing.assert_close(getattr(seen, name), getattr(moved, name), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen.opacities, moved.opacities)
    alone = ball_scene(scene.picture, scene.matte)
    still = Trajectory(
        trajectory.positions[:, : len(alone.particles)],
        trajectory.F[:, : len(alone.particles)],
        trajectory.times,
    )
    moved, seen = shown(alone, still, 1)
    assert seen is moved


def test_a_heap_is_bright_towards_the_lamp_and_dark_away_from_it(heap):
    scene, trajectory = heap
    _, seen = shown(scene, trajectory, 1)
    mine = poured_splats(scene, trajectory)
    places, colours = seen.means[mine].numpy() - HEAP, seen.colors[mine].numpy().mean(1)
    high = places[:, 2].max()
    left = (places[:, 0] < -0.034) & (np.abs(places[:, 1]) < 0.02) & (places[:, 2] < 0.8 * high)
    right = (places[:, 0] > 0.034) & (np.abs(places[:, 1]) < 0.02) & (places[:, 2] < 0.8 * high)
    assert left.sum() > 5 < right.sum()
    assert colours[left].mean() > 1.25 * colours[right].mean()


def test_its_shadow_lies_on_the_ground_beside_it_away_from_the_lamp(heap):
    scene, trajectory = heap
    _, seen = shown(scene, trajectory, 1)
    cast = scene.binding.cast.numpy()
    opacity, places = seen.opacities[cast].numpy(), seen.means[cast].numpy() - HEAP
    assert opacity.max() > 0.1
    there = opacity > 1e-3
    towards = (opacity[there, None] * places[there, :2]).sum(0) @ -LAMP[:2]
    assert towards > 0
    assert np.abs(places[there, 2]).max() < 0.02
    assert seen.colors[cast].abs().max() < 1e-6, "black"


def test_what_is_poured_over_the_ball_shades_the_ball(heap):
    towards = 0.12 * LAMP / np.linalg.norm(LAMP)
    above, trajectory = poured("wet sand", (towards[0], towards[1], towards[2] + RADIUS))
    moved, seen = shown(above, trajectory, 1)
    ball = np.flatnonzero(above.particles.body[above.binding.particle[: above.binding.carried]] == 0)
    gain = (seen.colors[ball] / moved.colors[ball]).numpy().mean(1)
    places = moved.means[ball].numpy()
    assert gain.max() == pytest.approx(1.0, abs=1e-5)
    assert gain.min() < 0.8
    lit = places[gain < 0.95]
    assert lit[:, 2].mean() > RADIUS, "it is the upper side that the lamp loses"
    beside = shown(*heap, 1)
    before, after = (g.colors[ball] for g in beside)
    torch.testing.assert_close(after, before)


def test_a_liquid_shines_and_sand_does_not():
    brightest, thinnest = {}, {}
    for preset in ("chocolate", "wet sand"):
        scene, trajectory = poured(preset, HEAP)
        moved, seen = shown(scene, trajectory, 1)
        mine = poured_splats(scene, trajectory)
        brightest[preset] = float((seen.colors[mine].mean(1) / moved.colors[mine].mean(1)).max())
        thinnest[preset] = float((seen.scales[mine].amin(1) / seen.scales[mine].amax(1)).min())
    assert brightest["wet sand"] < 1.6 < brightest["chocolate"]
    assert thinnest["chocolate"] < 0.7 < thinnest["wet sand"], "and its splats lie flat on its surface"


def test_a_colour_below_the_light_is_reached_by_its_gradient(heap):
    scene, trajectory = heap
    sh = scene.foreground.sh.clone().requires_grad_()
    moved = deform(
        replace(scene.foreground, sh=sh),
        scene.binding,
        torch.from_numpy(trajectory.positions[1]),
        torch.from_numpy(trajectory.F[1]),
    )
    appearance = Appearance(scene, trajectory)
    appearance.on(moved, 1).colors.sum().backward()
    gradient = sh.grad[:, 0, 0].numpy() / 0.28209479
    step = 0.01
    more = replace(moved, sh=moved.sh.detach() + step)
    change = (
        (appearance.on(more, 1).colors - appearance.on(moved, 1).colors).detach().numpy()[:, 0]
        / step
        / 0.28209479
    )
    np.testing.assert_allclose(gradient, change, atol=2e-3)


def test_the_splats_of_a_round_come_first_among_those_of_the_next_and_keep_their_colours(heap):
    first, _ = heap
    second = with_streams(
        first, Round(6, (Emitter("jug", radius=0.02, material=MaterialSpec("milk")),)), 12, 24.0
    )
    order, before = arrivals(second), arrivals(first)
    for name in ("means", "log_scales", "sh"):
        torch.testing.assert_close(
            getattr(second.foreground, name)[order[: len(before)]], getattr(first.foreground, name)[before]
        )
    corrected = first.foreground.sh + torch.arange(len(first.foreground))[:, None, None] * 1e-3
    shifted = first.binding.offsets + 0.1
    kept = with_looks(second, corrected, shifted)
    for now, left, own in (
        (kept.foreground.sh, corrected, second.foreground.sh),
        (kept.binding.offsets, shifted, second.binding.offsets),
    ):
        torch.testing.assert_close(now[order[: len(before)]], left[before])
        torch.testing.assert_close(now[order[len(before) :]], own[order[len(before) :]])


def test_a_region_of_liquid_in_a_solid_has_a_skin_and_the_rest_of_the_body_none():
    scene = ball_scene(*painted(LAMP / np.linalg.norm(LAMP), 0.4, 0.6))
    liquid = scene.particles.positions[:, 0] > 0.0
    scene = replace(
        scene,
        bodies=[replace(scene.bodies[0], regions=(PRESETS["jam"],))],
        region=liquid.astype(np.int32),
    )
    positions = np.tile(scene.particles.positions, (2, 1, 1))
    F = np.tile(np.eye(3, dtype=np.float32), (*positions.shape[:2], 1, 1))
    moved, seen = shown(scene, Trajectory(positions, F, np.arange(2) / 24.0), 1)
    jam = liquid[scene.binding.particle.numpy()]
    flatness = (seen.scales.amin(1) / seen.scales.amax(1)).numpy()
    assert flatness[jam].min() < 0.7, "its splats lie flat on its surface"
    for name in ("means", "log_scales", "quats"):
        torch.testing.assert_close(getattr(seen, name)[~jam], getattr(moved, name)[~jam])
        assert not torch.allclose(getattr(seen, name)[jam], getattr(moved, name)[jam])


def test_steam_shades_the_ground_away_from_the_lamp_and_faintly():
    scene, trajectory = poured("steam", (0.1, 0.0, 0.15))
    _, seen = shown(scene, trajectory, 1)
    cast = scene.binding.cast.numpy()
    opacity, places = seen.opacities[cast].numpy(), seen.means[cast].numpy() - [0.1, 0.0, 0.0]
    there = opacity > 1e-3
    assert there.any()
    assert (opacity[there, None] * places[there, :2]).sum(0) @ -LAMP[:2] > 0
    assert opacity.max() < 0.3
