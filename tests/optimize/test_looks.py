"""What a correction changes of splats besides their colour: where on their particles they sit, and how they are seen for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from perpetua.cache.arrays import animated_arrays
from perpetua.loop.film import film as filmed
from perpetua.optimize.api import Correction, Settings, ViewTarget
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.correct import optimise
from perpetua.optimize.splat_offsets import OFFSET_WEIGHT, SIM_WEIGHT, SplatOffsets
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.emission import with_looks
from perpetua.scene.fading import faded

FRAMES = 4


@pytest.fixture(scope="module")
def jelly(make_scene: Callable[[str], Scene]) -> Scene:
    return make_scene("jelly")


@pytest.fixture(scope="module")
def still(jelly: Scene) -> Trajectory:
    positions = np.repeat(jelly.particles.positions[None], FRAMES + 1, 0)
    eye = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
    return Trajectory(positions, eye, np.arange(FRAMES + 1) / 24.0)


def test_only_what_a_particle_s_splats_have_in_common_costs_l_sim(jelly: Scene) -> None:
    binding = jelly.binding
    owners, count = np.unique(binding.particle.numpy(), return_counts=True)
    pair = np.flatnonzero(binding.particle.numpy() == owners[count >= 2][0])[:2]
    moved = binding.displacements().clone()
    apart = torch.zeros_like(moved)
    apart[pair[0], 0], apart[pair[1], 0] = 1e-3, -1e-3

    def price(change: torch.Tensor) -> float:
        raw = torch.atanh((moved + change) / binding.delta)
        return float(SplatOffsets(replace(binding, offsets=raw), binding, jelly.spacing).price().detach())

    single = OFFSET_WEIGHT * (1e-3 / jelly.spacing) ** 2 * 2 / len(moved)
    assert price(torch.zeros_like(moved)) < 1e-9
    assert price(apart) == pytest.approx(single, rel=1e-3)
    of = int(count[count >= 2][0])
    mean = SIM_WEIGHT * (2e-3 / of / jelly.spacing) ** 2 / len(owners)
    assert price(apart.abs()) == pytest.approx(single + mean, rel=1e-3)


def test_splats_that_sit_elsewhere_are_put_there_and_matter_stays(
    jelly: Scene, still: Trajectory, cameras: list[Camera]
) -> None:
    """The videos show a skin that is bumpy on the scale of a particle; particles are where they were."""
    bumps = torch.from_numpy(np.random.default_rng(0).normal(0, 2e-3, (len(jelly.foreground), 3))).float()
    raw = torch.atanh(((jelly.binding.displacements() + bumps) / jelly.binding.delta).clamp(-0.95, 0.95))
    true = replace(jelly, binding=replace(jelly.binding, offsets=raw))
    targets = [ViewTarget(c, filmed(true, still, c, Progress()).rgb) for c in cameras]
    found = optimise(jelly, still, targets, None, 200, 0, Progress(), Settings(offsets=True, nuisance=False))
    moved, dressed = apply_correction(jelly, still, found)
    assert dressed.binding.offsets.numpy().tobytes() == found.offsets.tobytes()
    was, now = (
        (torch.tanh(torch.as_tensor(o)) - torch.tanh(raw)) * jelly.binding.delta
        for o in (jelly.binding.offsets, found.offsets)
    )
    seen = jelly.foreground.means[:, 1] < -0.02  # the cameras' side
    assert float(now[seen].norm(dim=1).mean()) < 0.93 * float(was[seen].norm(dim=1).mean())
    assert np.linalg.norm(moved.positions - still.positions, axis=-1).mean() < 1e-3
    assert (np.abs(np.tanh(found.offsets)) <= 1).all()


def test_opacity_that_a_round_changes_is_what_it_was_at_its_end(
    jelly: Scene, still: Trajectory, cameras: list[Camera]
) -> None:
    """In the videos the ball's upper half is nearly clear for a while."""
    upper = jelly.foreground.means[:, 2] > jelly.foreground.means[:, 2].median()
    true = replace(jelly, fading=torch.where(upper, -4.0, 0.0))
    targets = [ViewTarget(c, filmed(true, still, c, Progress()).rgb) for c in cameras]
    found = optimise(jelly, still, targets, None, 200, 0, Progress(), Settings(fading=True, nuisance=False))
    fading = torch.from_numpy(found.fading)
    seen = jelly.foreground.means[:, 1] < -0.02
    assert float(fading[seen & upper].mean()) < -2.0  # of -4
    assert abs(float(fading[seen & ~upper].mean())) < 0.15
    moved, dressed = apply_correction(jelly, still, found)
    assert (
        np.linalg.norm(moved.positions - still.positions, axis=-1).mean() < 4e-4
    )  # and is not taken for motion
    video = filmed(dressed, moved, cameras[0], Progress()).rgb
    plain = filmed(replace(dressed, fading=None), moved, cameras[0], Progress()).rgb
    np.testing.assert_allclose(video[[0, -1]], plain[[0, -1]], atol=1e-6)
    middle = FRAMES // 2
    off, off_without = (np.abs(v[middle] - targets[0].video[middle]).mean() for v in (video, plain))
    assert off < 0.6 * off_without


def test_fading_starts_and_ends_with_what_was(jelly: Scene) -> None:
    fading = torch.full((len(jelly.foreground),), -3.0)
    logits = [
        faded(jelly.foreground, fading, share).opacity_logits - jelly.foreground.opacity_logits
        for share in (0.0, 0.01, 0.25, 0.5, 1.0)
    ]
    np.testing.assert_allclose([float(x[0]) for x in logits], [0, -0.003, -1.5, -3, 0], atol=1e-3)


def test_the_cache_keeps_opacity_that_moves(jelly: Scene, still: Trajectory) -> None:
    fading = replace(jelly, fading=torch.full((len(jelly.foreground),), -3.0))
    assert "opacity" not in animated_arrays(jelly, still, 1, Progress())
    opacity = animated_arrays(fading, still, 1, Progress())["opacity"]
    assert opacity.shape == (FRAMES, len(jelly.foreground))
    np.testing.assert_allclose(opacity[-1], jelly.foreground.opacities.numpy(), atol=1e-6)
    assert opacity[1].max() < 0.5


def test_looks_are_the_same_after_a_file_and_a_round(jelly: Scene, still: Trajectory, tmp_path) -> None:
    count = len(jelly.foreground)
    correction = Correction(
        np.float32([0, FRAMES]),
        np.zeros((2, len(jelly.particles), 3), np.float32),
        jelly.foreground.sh.numpy() + np.float32(0.1),
        offsets=jelly.binding.offsets.numpy() + np.float32(0.2),
        fading=np.full(count, -1, np.float32),
    )
    correction.save(tmp_path / "correction.npz")
    again = Correction.load(tmp_path / "correction.npz")
    assert again.offsets.tobytes() == correction.offsets.tobytes()
    assert again.fading.tobytes() == correction.fading.tobytes()
    _, dressed = apply_correction(jelly, still, again)
    later = with_looks(jelly, dressed.foreground.sh, dressed.binding.offsets)
    torch.testing.assert_close(later.binding.offsets, dressed.binding.offsets)
    torch.testing.assert_close(later.foreground.sh, dressed.foreground.sh)
    assert later.fading is None  # of one round only
