"""A correction of a round in which matter comes: what was there is corrected as ever, what comes stays as it was simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from perpetua.optimize.api import Settings, ViewTarget
from perpetua.optimize.apply import apply_correction, correctable
from perpetua.optimize.correct import nothing, optimise
from perpetua.optimize.stage import Stage
from perpetua.optimize.write_back import write_back
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, State, Trajectory
from perpetua.scene.emission import releases, with_streams
from perpetua.scene.particles import present
from perpetua_protocol.take import Emitter, MaterialSpec, Round

FRAMES, FPS = 8, 24.0
SNOW = Emitter("chute", (0.03, 0, 0.16), radius=0.012, speed=0.6, material=MaterialSpec("snow"), end=6)
ROUND = Round(FRAMES, (SNOW,))


def falling(scene: Scene, slide: Callable[[Scene, int], Trajectory]) -> tuple[Scene, Trajectory]:
    """The ball slides while snow comes down beside it."""
    before = slide(scene, FRAMES)
    whole = with_streams(scene, ROUND, 0, FPS)
    out = releases(ROUND, 0, FPS, scene.spacing)
    t = (np.arange(FRAMES + 1)[:, None] - out.frames) / FPS
    positions = out.positions + np.maximum(t, 0)[..., None] * out.velocities
    F = np.where((t > 0)[..., None, None], np.eye(3), 0.0)
    return whole, Trajectory(
        np.concatenate([before.positions, positions.astype(np.float32)], 1),
        np.concatenate([before.F, F.astype(np.float32)], 1),
        before.times,
    )


def ending(scene: Scene, trajectory: Trajectory) -> State:
    last = replace(scene.particles, positions=trajectory.positions[-1].copy())
    return State(last, trajectory.F[-1].copy(), {}, float(trajectory.times[-1]))


def test_what_comes_is_corrected_by_nobody_and_disturbs_nothing(
    make_scene: Callable[[str], Scene],
    slide: Callable[[Scene, int], Trajectory],
    film: Callable[..., np.ndarray],
    cameras: list[Camera],
    quiet: Progress,
) -> None:
    scene = make_scene("jelly")
    whole, trajectory = falling(scene, slide)
    new = whole.particles.body == 1
    np.testing.assert_array_equal(correctable(whole, trajectory) == -1, new)

    wanted = trajectory.positions.copy()
    wanted[:, ~new, 1] -= 0.006 * (np.arange(FRAMES + 1, dtype=np.float32) / FRAMES)[:, None] ** 2
    true = Trajectory(wanted, trajectory.F, trajectory.times)
    targets = [ViewTarget(camera, film(whole, true, camera)) for camera in cameras[1:]]
    correction = optimise(whole, trajectory, targets, None, 60, 0, quiet)
    assert not correction.displacement[:, new].any()
    moved, _ = apply_correction(whole, trajectory, correction)
    away = [np.abs((t.positions - wanted)[-1, ~new, 1]).mean() for t in (trajectory, moved)]
    assert away[1] < 0.6 * away[0]
    np.testing.assert_array_equal(moved.positions[:, new], trajectory.positions[:, new])
    np.testing.assert_array_equal(moved.F[:, new], trajectory.F[:, new])

    end = ending(whole, trajectory)
    state = write_back(end, trajectory, moved, correction, whole, FPS)
    for name in ("positions", "velocities", "F", "C", "plastic"):
        np.testing.assert_array_equal(
            getattr(state.particles, name)[new], getattr(end.particles, name)[new], name
        )
    np.testing.assert_array_equal(present(state.total_F), True)
    alone = replace(
        correction, displacement=correction.displacement[:, ~new], sh=correction.sh[: len(scene.foreground)]
    )
    before = Trajectory(trajectory.positions[:, ~new], trajectory.F[:, ~new], trajectory.times)
    without = write_back(
        ending(scene, before), before, apply_correction(scene, before, alone)[0], alone, scene, FPS
    )
    for name in ("positions", "velocities", "F", "C"):
        np.testing.assert_allclose(
            getattr(state.particles, name)[~new], getattr(without.particles, name), atol=1e-6, err_msg=name
        )


def test_no_gradient_comes_from_what_is_not_there_yet(
    make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory], cameras: list[Camera]
) -> None:
    from perpetua.render import render_layers

    whole, trajectory = falling(make_scene("jelly"), slide)
    stage = Stage(whole, trajectory, nothing(whole, trajectory, Settings()), Settings())
    splats = stage.splats(stage.matter(1), 1, cameras[0])
    render_layers(splats, cameras[0]).rgb.square().sum().backward()
    gone = torch.from_numpy(~present(trajectory.F[1]))[whole.binding.particle]
    gradient = stage.detail.grad
    assert gradient is not None
    assert bool(gone.any())
    assert not gradient[gone].any()
    assert gradient[~gone].abs().sum() > 0
    moved = [p for parameters, _ in stage.motion.parameters() for p in parameters]
    assert all(bool(torch.isfinite(p.grad).all()) for p in moved if p.grad is not None)
