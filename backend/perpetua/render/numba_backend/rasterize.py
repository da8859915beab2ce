"""gsplat's `rasterization` for CPU tensors: the stages in order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RasterizationInputs
from perpetua.render.numba_backend.autograd import Composite, Lens, Project, tiles_of
from perpetua.render.numba_backend.lanes import TILE

# Row and column of each entry of a symmetric matrix's upper triangle, the order the kernels keep.
_TRIANGLE = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])


def rasterize_on_cpu(given: RasterizationInputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render checked inputs; see `perpetua.render.rasterization` for what comes out."""
    if given.sh_degree is not None:
        raise RenderError("sh_degree is not supported on the CPU; give colors [N, 3]")
    none = torch.empty(0)
    if given.covars is None:
        shape = (given.quats, given.scales, torch.empty(0, 6))
    else:
        shape = (torch.empty(0, 4), torch.empty(0, 3), given.covars[:, _TRIANGLE[0], _TRIANGLE[1]])
    lens = Lens(given.width, given.height, given.near_plane, given.far_plane, given.radius_clip, given.eps2d)
    means2d, depths, conics, radii, extents = Project.apply(
        given.means, *shape, given.opacities.detach(), given.viewmats, given.Ks, lens
    )
    colors = given.colors
    with_color = given.render_mode.startswith("RGB")
    with_depth = given.render_mode.endswith("D")
    images, alphas = [], []
    for c in range(given.viewmats.shape[0]):
        if with_color:
            camera_colors = colors if colors.dim() == 2 else colors[c]
        else:
            camera_colors = torch.empty(given.means.shape[0], 0)
        background = none if given.backgrounds is None or not with_color else given.backgrounds[c]
        image, alpha = Composite.apply(
            means2d[c],
            conics[c],
            given.opacities,
            camera_colors,
            depths[c] if with_depth else none,
            depths[c].detach(),
            background,
            radii[c],
            extents[c],
            given.width,
            given.height,
            given.render_mode.endswith("ED"),
        )
        images.append(image)
        alphas.append(alpha)
    tiles_x, tiles_y = tiles_of(given.width, given.height)
    meta = {
        "means2d": means2d,
        "radii": radii,
        "depths": depths,
        "conics": conics,
        "opacities": given.opacities.expand(given.viewmats.shape[0], -1),
        "width": given.width,
        "height": given.height,
        "tile_size": TILE,
        "tile_width": tiles_x,
        "tile_height": tiles_y,
        "n_cameras": given.viewmats.shape[0],
    }
    return _stack(images), _stack(alphas), meta


def _stack(images: list[Tensor]) -> Tensor:
    """Stack along a new first axis, without a copy for a single image."""
    return images[0][None] if len(images) == 1 else torch.stack(images)
