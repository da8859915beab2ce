"""gsplat's `rasterization` for CPU tensors: the stages in order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perpetua.render.api import RasterizationInputs
from perpetua.render.numba_backend.functions.composite import Composite
from perpetua.render.numba_backend.functions.harmonics import HarmonicColors
from perpetua.render.numba_backend.functions.project import Lens, Project, Projected
from perpetua.render.numba_backend.lanes import TILE

# Row and column of each entry of a symmetric matrix's upper triangle, the order the kernels keep.
_TRIANGLE = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])


def rasterize_on_cpu(given: RasterizationInputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render checked inputs; see `perpetua.render.rasterization` for what comes out."""
    if given.covars is None:
        shape = (given.quats, given.scales, torch.empty(0, 6))
    else:
        shape = (torch.empty(0, 4), torch.empty(0, 3), given.covars[:, _TRIANGLE[0], _TRIANGLE[1]])
    lens = Lens(given.width, given.height, given.near_plane, given.far_plane, given.radius_clip, given.eps2d)
    projected = Projected(
        *Project.apply(given.means, *shape, given.opacities.detach(), given.viewmats, given.Ks, lens)
    )
    cameras = given.viewmats.shape[0]
    frames = [_composite(given, c, Projected(*(t[c] for t in projected))) for c in range(cameras)]
    meta = {
        "means2d": projected.means2d,
        "radii": projected.radii,
        "depths": projected.depths,
        "conics": projected.conics,
        "opacities": given.opacities.expand(cameras, -1),
        "width": given.width,
        "height": given.height,
        "tile_size": TILE,
        "tile_width": -(-given.width // TILE),
        "tile_height": -(-given.height // TILE),
        "n_cameras": cameras,
    }
    return _stack([image for image, _ in frames]), _stack([alpha for _, alpha in frames]), meta


def _colors_of(given: RasterizationInputs, camera: int, radii: Tensor) -> Tensor:
    """[N, D] colours of one camera, D = 0 when only depth is drawn."""
    if not given.render_mode.startswith("RGB"):
        return torch.empty(given.means.shape[0], 0)
    if given.sh_degree is None:
        return given.colors if given.colors.dim() == 2 else given.colors[camera]
    coefficients = given.colors if given.colors.dim() == 3 else given.colors[camera]
    rigid = given.viewmats[camera]
    position = -rigid[:3, :3].T @ rigid[:3, 3]
    return HarmonicColors.apply(given.means, coefficients, position, radii, given.sh_degree)


def _composite(given: RasterizationInputs, camera: int, projected: Projected) -> tuple[Tensor, Tensor]:
    """Image [H, W, X] and alpha [H, W, 1] of one camera, `channel_chunk` channels at a time."""
    colors = _colors_of(given, camera, projected.radii)
    with_depth = given.render_mode.endswith("D")
    channels, chunk = colors.shape[1], given.channel_chunk
    background = torch.empty(0) if given.backgrounds is None else given.backgrounds[camera, :channels]
    # The depth is the last channel and goes with the last chunk, or alone when that one is full.
    begins = list(range(0, channels + int(with_depth), chunk))
    images, alphas = [], []
    for begin in begins:
        end = min(begin + chunk, channels)
        depth_here = with_depth and begin == begins[-1]
        image, alpha = Composite.apply(
            *projected,
            given.opacities,
            colors if (begin, end) == (0, channels) else colors[:, begin:end],
            background[begin:end],
            given.width,
            given.height,
            depth_here,
            given.render_mode.endswith("ED") and depth_here,
        )
        images.append(image)
        alphas.append(alpha)
    return (images[0] if len(images) == 1 else torch.cat(images, -1)), alphas[0]


def _stack(images: list[Tensor]) -> Tensor:
    """Stack along a new first axis, without a copy for a single image."""
    return images[0][None] if len(images) == 1 else torch.stack(images)
