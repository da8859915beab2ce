"""The skin of liquids: one where bodies mix, clear by its depth, mirroring towards whoever looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lit_scenes import SPACING, ball_scene, block, painted, splats
from scipy.spatial.transform import Rotation

from perpetua.scene import Binding, Body, Particles, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.light import Light
from perpetua.scene.looks import CLARITY_M
from perpetua.scene.presets import PRESETS
from perpetua.scene.skin import Skin, clear_opacity

LAMP = np.array([-0.6, -0.35, 0.72]) / np.linalg.norm([-0.6, -0.35, 0.72])
LIGHT = Light(LAMP, 0.4, 0.8)


def pools(presets: tuple[str, str]) -> Scene:
    """Two blocks side by side, the second let out by an emitter."""
    low = block((0.06, 0.08, 0.06), (-0.06, -0.04, 0.0), SPACING)
    points = np.concatenate([low, low + np.array([0.06, 0.0, 0.0])])
    rest = torch.from_numpy(points).float()
    body = np.repeat([0, 1], len(low)).astype(np.int32)
    bodies = [
        Body(name, PRESETS[name], low, np.zeros((0, 3), np.int64), emitted=index == 1)
        for index, name in enumerate(presets)
    ]
    return replace(
        ball_scene(*painted(LAMP, 0.4, 0.6)),
        foreground=splats(rest, 0.006, 0.5),
        binding=Binding.to_nearest(rest, rest, torch.arange(len(rest))),
        particles=Particles.at_rest(points.astype(np.float32), body),
        bodies=bodies,
    )


def skin_of(scene: Scene) -> Skin:
    points = scene.particles.positions.astype(np.float64)
    return Skin.of(scene, np.arange(len(points)), points, points, LIGHT)


def test_bodies_that_mix_have_one_skin_and_others_one_each():
    scales = {}
    for second in ("water", "oil"):
        scene = pools(("water", second))
        points = scene.particles.positions
        seam = (
            (np.abs(points[:, 0]) < 0.01)
            & (np.abs(points[:, 1]) < 0.02)
            & (np.abs(points[:, 2] - 0.03) < 0.01)
        )
        flattest = skin_of(scene).form.scales[seam]
        scales[second] = (flattest.min(1) / flattest.max(1)).mean()
    assert scales["water"] > 0.9, "inside matter splats are round"
    assert scales["oil"] < 0.75, "at a surface they are flat"


def test_a_film_lets_through_as_much_as_its_depth_says():
    scene = pools(("water", "jam"))
    wide = np.array([[0.4, 1.1, 1.3]]) * SPACING
    opacity = clear_opacity(scene, np.array([0]), wide, np.array([0.9]))
    # a layer of such splats a spacing apart is a spacing deep: as many lie over a point as their area says
    over = 2.0 * np.pi * 1.1 * 1.3
    through = (1.0 - opacity[0]) ** over
    assert through == pytest.approx(np.exp(-SPACING / CLARITY_M["water"]), rel=0.01)
    assert clear_opacity(scene, np.array([-1]), wide, np.array([0.9]))[0] == 0.9, "jam hides what is behind"


def test_a_highlight_moves_with_the_eye():
    scene = pools(("water", "water"))
    skin = skin_of(scene)
    top = (skin.points[:, 2] > 0.05) & (np.abs(skin.points[:, 0]) < 0.03) & (np.abs(skin.points[:, 1]) < 0.01)
    assert skin.normal[top, 2].min() > 0.95
    mirror = LAMP * [-1.0, -1.0, 1.0]
    there, beside = (
        skin.mirrored(LIGHT, skin.points[top].mean(0) + 3.0 * way)[top] for way in (mirror, LAMP)
    )
    assert there.mean() > 3.0 * beside.mean()
    dry = skin_of(pools(("sand", "sand")))
    assert not dry.mirrored(LIGHT, 3.0 * mirror).any()


@pytest.fixture(scope="module")
def jam() -> Scene:
    """The ball as jam, with a finer coat of splats on it that shows a picture: its left half is dark."""
    scene = ball_scene(*painted(LAMP, 0.4, 0.6))
    rest = torch.from_numpy(scene.particles.positions)
    outer = (rest - torch.tensor([0.0, 0.0, 0.05])).norm(dim=1) > 0.036
    particle = torch.cat([torch.arange(len(rest)), outer.nonzero()[:, 0].repeat_interleave(2)])
    away = torch.cat(
        [
            torch.zeros(len(rest), 3),
            torch.tensor([[0.0, -0.004, 0.0], [0.004, 0.0, 0.002]]).repeat(int(outer.sum()), 1),
        ]
    )
    means = rest[particle] + away
    made = splats(means, 0.004, 0.5)
    sh = made.sh.clone()
    sh[means[:, 0] < 0] -= 1.0
    body = replace(scene.bodies[0], material=PRESETS["jam"])
    return replace(
        scene,
        bodies=[body],
        foreground=replace(made, sh=sh),
        binding=Binding.to_nearest(means, rest, particle),
    )


def seen(scene: Scene, stretch: float):
    """The scene's splats after its matter was stretched along x by so much, as moved and as they look."""
    still = scene.particles.positions
    there = still * np.array([stretch, 1.0, 1.0], np.float32)
    F = np.tile(np.eye(3, dtype=np.float32), (2, len(still), 1, 1))
    trajectory = Trajectory(np.stack([still, there]), F, np.arange(2) / 24.0)
    moved = deform(scene.foreground, scene.binding, torch.from_numpy(there), torch.from_numpy(F[1]))
    return moved, Appearance(scene, trajectory).on(moved, 1)


def test_an_object_that_is_whole_is_the_pictures_own(jam):
    moved, looked = seen(jam, 1.0)
    for name in ("means", "log_scales", "opacity_logits"):
        torch.testing.assert_close(getattr(looked, name), getattr(moved, name))
    torch.testing.assert_close(looked.sh, moved.sh, rtol=0, atol=1e-6)


def test_one_that_flows_closes_below_its_picture_and_then_is_skin_in_the_pictures_colours(jam):
    particles = len(jam.particles)
    moved, looked = seen(jam, 1.9)
    torch.testing.assert_close(looked.opacities[particles:], moved.opacities[particles:])
    torch.testing.assert_close(looked.sh[particles:], moved.sh[particles:], rtol=0, atol=1e-6)
    assert looked.scales[:particles].amax(1).median() > 1.1 * moved.scales[:particles].amax(1).median()
    moved, looked = seen(jam, 6.0)
    assert looked.opacities[particles:].max() < 1e-3, "the picture's own splats are gone"
    assert looked.opacities[:particles].min() > 0.9
    colours, left = looked.colors[:particles].mean(1), jam.foreground.means[:particles, 0] < 0
    assert colours[left].mean() < 0.6 * colours[~left].mean(), "but their colours are there"


def test_the_picture_stretches_as_one_sheet_over_matter_that_flows(jam):
    still = jam.particles.positions
    stretch = np.array([1.5, 1.0, 1.0], np.float32)
    turns = np.random.default_rng(2).normal(scale=0.5, size=(len(still), 3))
    F = np.stack([np.tile(np.eye(3), (len(still), 1, 1)), Rotation.from_rotvec(turns).as_matrix()])
    trajectory = Trajectory(np.stack([still, still * stretch]), F.astype(np.float32), np.arange(2) / 24.0)
    moved = deform(
        jam.foreground, jam.binding, *(torch.from_numpy(t[1]) for t in (trajectory.positions, trajectory.F))
    )
    looked, picture = Appearance(jam, trajectory).on(moved, 1), slice(len(still), None)
    where = jam.foreground.means[picture] * torch.from_numpy(stretch)
    off = [(splats.means[picture] - where).norm(dim=1).max().item() for splats in (moved, looked)]
    assert off[0] > 0.4 * SPACING
    assert off[1] < 0.1 * SPACING


def test_the_skin_goes_where_a_correction_moves_its_particles_and_is_reached_by_gradients(jam):
    still = jam.particles.positions
    there = still * np.array([6.0, 1.0, 1.0], np.float32)
    F = np.tile(np.eye(3, dtype=np.float32), (2, len(still), 1, 1))
    appearance = Appearance(jam, Trajectory(np.stack([still, there]), F, np.arange(2) / 24.0))
    away = torch.tensor([0.003, -0.002, 0.001], requires_grad=True)
    sh = jam.foreground.sh.clone().requires_grad_()
    seen = [
        appearance.on(deform(replace(jam.foreground, sh=sh), jam.binding, place, torch.from_numpy(F[1])), 1)
        for place in (torch.from_numpy(there), torch.from_numpy(there) + away)
    ]
    moved = (seen[1].means - seen[0].means)[: len(still)]
    torch.testing.assert_close(moved, away.expand_as(moved), rtol=0, atol=1e-6)
    (seen[1].means.sum() + seen[1].colors.sum()).backward()
    torch.testing.assert_close(away.grad, torch.full((3,), float(len(jam.foreground))))
    assert bool(sh.grad[: len(still), 0].abs().min() > 0), "the colour below the light"
