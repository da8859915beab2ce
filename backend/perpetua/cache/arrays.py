"""Splats as the arrays of the cache, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.scene import Gaussians, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.emission import arrivals
from perpetua.scene.harmonics import turn_quats, turned
from perpetua.scene.rotations import matrix_from_quaternion
from perpetua_protocol.cache import SHEEN, TURN

Arrays = dict[str, NDArray[np.float32]]

OPACITY_MARGIN = 1e-6
"""Opacities are kept this far from 0 and 1, where the logit is infinite."""
SMALLEST_SCALE_M = 1e-9
"""Scales are kept above this, for their logarithm."""


def splat_arrays(gaussians: Gaussians) -> Arrays:
    """position [N, 3], rotation [N, 4] wxyz of unit length, scale [N, 3], radiance_base [N, 4]; and radiance_sh [N, K, 3] of splats whose
    colours depend on the view."""
    base = torch.cat([gaussians.sh[:, 0], gaussians.opacities[:, None]], 1)
    rotation = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    arrays = {
        "position": _array(gaussians.means),
        "rotation": _array(rotation),
        "scale": _array(gaussians.scales),
        "radiance_base": _array(base),
    }
    if gaussians.sh.shape[1] > 1:
        arrays[SHEEN] = _array(gaussians.sh[:, 1:])
    return arrays


def gaussians_of(arrays: Arrays) -> Gaussians:
    """The splats of one frame, what depends on the view turned with its matter."""
    t = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    base = t["radiance_base"]
    opacity = torch.logit(base[:, 3].clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN))
    sh = base[:, None, :3]
    if SHEEN in t:
        sh = torch.cat([sh, t[SHEEN]], 1)
    if TURN in t:
        sh = turned(sh, matrix_from_quaternion(t[TURN]))
    return Gaussians(t["position"], t["rotation"], t["scale"].clamp_min(SMALLEST_SCALE_M).log(), opacity, sh)


@torch.no_grad()
def animated_arrays(
    scene: Scene,
    trajectory: Trajectory,
    first: int,
    progress: Progress,
    appearance: Appearance | None = None,
) -> Arrays:
    """The same of ``scene``'s objects over the trajectory's frames from ``first`` on:
    [T, N, ...], and radiance_base [N, 4]; opacity [T, N] and colour [T, N, 3] where they move. appearance: that of the trajectory, if it
    is known already.

    What depends on the view is one radiance_sh [N, K, 3], of matter at rest, and turn [T, N, 4] wxyz, how matter has turned since: a
    tenth of the coefficients in every frame. Light that an emitter's matter takes from it is in colour alone.

    Splats that came with emitters are at the end (``arrivals``), so that a splat keeps its place in all rounds.
    """
    frames = range(first, trajectory.frames)
    order = arrivals(scene).numpy()
    appearance = appearance or Appearance(scene, trajectory)
    moving: Arrays = {}
    for place, frame in enumerate(frames):
        positions, F = (torch.from_numpy(a[frame]) for a in (trajectory.positions, trajectory.F))
        shown = appearance.on(deform(scene.foreground, scene.binding, positions, F), frame)
        arrays = splat_arrays(replace(shown, sh=shown.sh[:, :1]))
        if scene.foreground.sh.shape[1] > 1:
            arrays[TURN] = _turns(scene, F)
        base = arrays.pop("radiance_base")
        for name, array in (*arrays.items(), ("colour", base[:, :3]), ("opacity", base[:, 3])):
            whole = moving.setdefault(name, np.empty((len(frames), *array.shape), np.float32))
            whole[place] = array[order]
        progress((place + 1) / len(frames), f"frame {place + 1} of {len(frames)}")
    moving["radiance_base"] = np.concatenate([moving["colour"][0], moving["opacity"][0][:, None]], 1)
    for name in ("colour", "opacity"):
        if (moving[name] == moving[name][:1]).all():
            del moving[name]
    if scene.foreground.sh.shape[1] > 1:
        moving[SHEEN] = _array(scene.foreground.sh[:, 1:])[order]
    return moving


def _turns(scene: Scene, F: torch.Tensor) -> NDArray[np.float32]:
    """[N, 4] wxyz: how the matter of each splat has turned by ``F`` [P, 3, 3]; what lies on the ground has not."""
    turns = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(len(scene.foreground), 1)
    carried = scene.binding.carried
    turns[:carried] = turn_quats(F)[scene.binding.particle[:carried]]
    return _array(turns)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
