"""A shadow is in the picture that the backward pass compares, but the pass neither recolours nor pulls on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from perpetua.optimize.api import ViewTarget
from perpetua.optimize.correct import optimise
from perpetua.progress import Progress
from perpetua.scene import Camera, Gaussians, Scene, Trajectory


def with_shadow(scene: Scene) -> Scene:
    """The ball with a dark disc of splats below it."""
    axis = torch.linspace(-0.06, 0.06, 9)
    x, y = (a.ravel() for a in torch.meshgrid(axis, axis, indexing="ij"))
    count = len(x)
    shadow = Gaussians.from_colors(
        torch.stack([x, y, torch.zeros(count)], 1),
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.tensor([0.01, 0.01, 0.001]).repeat(count, 1),
        torch.full((count,), 0.4),
        torch.zeros(count, 3),
    )
    binding = scene.binding.with_ground(
        torch.zeros(count, dtype=torch.int64),
        torch.ones(count),
        torch.from_numpy(scene.particles.positions),
        torch.from_numpy(scene.particles.body),
    )
    return replace(scene, foreground=Gaussians.cat([scene.foreground, shadow]), binding=binding)


def test_a_shadow_keeps_its_colour(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    cameras: list[Camera],
    film: Callable[..., np.ndarray],
) -> None:
    scene = with_shadow(make_scene("jelly"))
    simulated = slide(scene, 6)
    brighter = scene.foreground.sh.numpy() + np.float32(0.3)
    targets = [ViewTarget(camera, film(scene, simulated, camera, brighter)) for camera in cameras[:2]]
    correction = optimise(scene, simulated, targets, None, 40, 0, Progress())
    count = scene.binding.carried
    assert correction.sh[count:].tobytes() == scene.foreground.sh.numpy()[count:].tobytes()
    assert np.abs(correction.sh[:count] - scene.foreground.sh.numpy()[:count]).mean() > 0.02
    assert np.isfinite(correction.displacement).all()


def test_a_saved_scene_keeps_its_shadow(make_scene: Callable[[str], Scene], tmp_path) -> None:
    scene = with_shadow(make_scene("jelly"))
    scene.save(tmp_path)
    back = Scene.load(tmp_path)
    for name in ("particle", "offsets", "ground", "fade", "body", "footings"):
        assert torch.equal(getattr(back.binding, name), getattr(scene.binding, name))
