"""Every kind of matter can be corrected and written back."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import apply_correction
from perpetua.optimize.motion import NODES, STEP_SHARE
from perpetua.optimize.plausibility import STIFFNESS
from perpetua.optimize.volume import VOLUME
from perpetua.optimize.write_back import write_back
from perpetua.scene import Scene, Trajectory
from perpetua.scene.materials import Model


def test_every_soft_model_has_its_freedom_and_its_stiffness() -> None:
    soft = set(get_args(Model)) - {"rigid"}
    assert set(NODES) == soft
    assert set(STIFFNESS) == soft
    assert set(STEP_SHARE) == soft
    assert set(VOLUME) == soft


@pytest.mark.parametrize(("preset", "shaped"), [("cotton", True), ("steam", False)])
def test_sheets_deform_with_their_corners_and_puffs_only_move(
    preset: str, shaped: bool, make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene(preset)
    trajectory = slide(scene, 8)
    end = scene.rest_state().with_particles(positions=trajectory.positions[-1])
    knots = np.float32([0, 4, 8])
    lean = (trajectory.positions[0] - trajectory.positions[0].mean(0)) @ np.diag([0.1, 0.0, 0.0])
    displacement = np.float32([0.0, 0.25, 1.0])[:, None, None] * np.float32(lean)
    correction = Correction(knots, displacement, scene.foreground.sh.numpy())
    corrected, _ = apply_correction(scene, trajectory, correction)
    state = write_back(end, trajectory, corrected, correction, scene, 24.0)
    wanted = np.diag([1.1, 1.0, 1.0]) if shaped else np.eye(3)
    np.testing.assert_allclose(corrected.F[-1], np.broadcast_to(wanted, corrected.F[-1].shape), atol=1e-4)
    np.testing.assert_array_equal(state.particles.F, corrected.F[-1])
    np.testing.assert_array_equal(state.particles.C, end.particles.C)
    np.testing.assert_allclose(state.particles.velocities, 2 * 24 / 8 * displacement[-1], atol=1e-5)
