"""Splats as the arrays of the cache."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.scene import Gaussians, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.emission import arrivals

Arrays = dict[str, NDArray[np.float32]]


def splat_arrays(gaussians: Gaussians) -> Arrays:
    """position [N, 3], rotation [N, 4] wxyz of unit length, scale [N, 3], radiance_base [N, 4]."""
    base = torch.cat([gaussians.sh[:, 0], gaussians.opacities[:, None]], 1)
    rotation = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    return {
        "position": _array(gaussians.means),
        "rotation": _array(rotation),
        "scale": _array(gaussians.scales),
        "radiance_base": _array(base),
    }


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

    Splats that came with emitters are at the end (``arrivals``), so that a splat keeps its place in all rounds.
    """
    frames = range(first, trajectory.frames)
    order = arrivals(scene).numpy()
    appearance = appearance or Appearance(scene, trajectory)
    moving: Arrays = {}
    for place, frame in enumerate(frames):
        positions, F = (torch.from_numpy(a[frame]) for a in (trajectory.positions, trajectory.F))
        shown = appearance.on(deform(scene.foreground, scene.binding, positions, F), frame)
        arrays = splat_arrays(shown)
        base = arrays.pop("radiance_base")
        for name, array in (*arrays.items(), ("colour", base[:, :3]), ("opacity", base[:, 3])):
            whole = moving.setdefault(name, np.empty((len(frames), *array.shape), np.float32))
            whole[place] = array[order]
        progress((place + 1) / len(frames), f"frame {place + 1} of {len(frames)}")
    moving["radiance_base"] = np.concatenate([moving["colour"][0], moving["opacity"][0][:, None]], 1)
    for name in ("colour", "opacity"):
        if (moving[name] == moving[name][:1]).all():
            del moving[name]
    return moving


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
