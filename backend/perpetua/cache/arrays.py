"""Splats as the arrays of the cache."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.scene import Binding, Gaussians, Trajectory, deform

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
    foreground: Gaussians,
    binding: Binding,
    trajectory: Trajectory,
    first: int,
    progress: Progress,
    carried: int | None = None,
) -> Arrays:
    """The same over the trajectory's frames from ``first`` on: [T, N, ...], and radiance_base [N, 4]; opacity [T, N] where it moves.

    Only the first ``carried`` of the splats that hang on particles are the picture's own; later ones, which came out of
    emitters, go to the end, so that a splat keeps its place in all rounds. None: all are the picture's.
    """
    frames = range(first, trajectory.frames)
    stacked: Arrays = {}
    lasting = binding.carried if carried is None else carried
    order = np.r_[0:lasting, binding.carried : len(foreground), lasting : binding.carried]
    opacity = np.empty((len(frames), len(foreground)), np.float32)
    for place, frame in enumerate(frames):
        moved = deform(
            foreground,
            binding,
            torch.from_numpy(trajectory.positions[frame]),
            torch.from_numpy(trajectory.F[frame]),
        )
        for name, array in splat_arrays(moved).items():
            if name == "radiance_base":
                opacity[place] = array[order, 3]
            else:
                stacked.setdefault(name, np.empty((len(frames), *array.shape), np.float32))[place] = array[
                    order
                ]
        progress((place + 1) / len(frames), f"frame {place + 1} of {len(frames)}")
    stacked["radiance_base"] = splat_arrays(foreground)["radiance_base"][order]
    if (opacity != opacity[:1]).any():
        stacked["opacity"] = opacity
    else:
        stacked["radiance_base"][:, 3] = opacity[0]
    return stacked


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
