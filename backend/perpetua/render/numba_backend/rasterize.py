"""gsplat's `rasterization` for CPU tensors: the stages in order, image by image.

Leading dimensions of the Gaussians are one batch dimension B here, and the C cameras of each batch make I = B C images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RasterizationInputs
from perpetua.render.checks import refuse_what_only_gsplat_draws
from perpetua.render.numba_backend.functions.composite import Composite
from perpetua.render.numba_backend.functions.gather import Gather
from perpetua.render.numba_backend.functions.harmonics import HarmonicColors
from perpetua.render.numba_backend.functions.project import Lens, Project, Projected
from perpetua.render.numba_backend.lanes import TILE
from perpetua.render.numba_backend.meta import Meta
from perpetua.render.numba_backend.project import TRIANGLE
from perpetua.render.numba_backend.tensors import empty, zeros


class _Image(NamedTuple):
    """What one image draws; rows are all N Gaussians (dense) or those it sees (packed)."""

    means2d: Tensor
    depths: Tensor
    image_covars: Tensor
    conics: Tensor
    radii: Tensor
    extents: Tensor
    opacities: Tensor
    absgrad: Tensor
    """[.., 2] for backward to write to, [.., 0] when it is not asked for."""


def rasterize_on_cpu(given: RasterizationInputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render checked inputs; see `perpetua.render.rasterization` for what comes out."""
    refuse_what_only_gsplat_draws(given)
    batch_dims, cameras = given.means.shape[:-2], given.viewmats.shape[-3]
    scene = _with_one_batch_dimension(given)
    projected = _project(scene)
    if given.packed:
        ids: Sequence[Tensor | None] = _split(projected.ids, projected.starts)
    else:
        ids = [None] * projected.depths.shape[0]
    rows = {
        "means2d": projected.means2d,
        "depths": projected.depths,
        "image_covars": projected.image_covars,
        "conics": projected.conics,
        "radii": projected.radii,
        "extents": projected.extents,
        "opacities": _opacities(scene, projected, ids),
        "absgrad": zeros(*projected.depths.shape, 2 if given.absgrad else 0),
    }
    # Images are drawn from the very tensors of `meta`, so that a gradient kept on meta["means2d"] is that of the image.
    if given.packed:
        images = [_Image(*parts) for parts in zip(*(_split(t, projected.starts) for t in rows.values()))]
    else:
        rows = {name: t.reshape(*batch_dims, cameras, *t.shape[1:]) for name, t in rows.items()}
        images = [
            _Image(*parts) for parts in zip(*(_each(t.flatten(0, len(batch_dims))) for t in rows.values()))
        ]
    if given.absgrad:
        rows["means2d"].absgrad = rows["absgrad"]  # type: ignore[attr-defined]
    colors = _colors(scene, images, ids)
    drawn = [
        _composite(scene, divmod(i, cameras), image, values)
        for i, (image, values) in enumerate(zip(images, colors))
    ]
    color, alpha = (
        _stack(parts).reshape(*batch_dims, cameras, given.height, given.width, -1) for parts in zip(*drawn)
    )
    meta = {
        **_indices(projected, cameras),
        **{name: rows[name] for name in ("radii", "means2d", "depths", "conics", "opacities")},
        "tile_width": -(-given.width // TILE),
        "tile_height": -(-given.height // TILE),
        "width": given.width,
        "height": given.height,
        "tile_size": TILE,
        "n_batches": math.prod(batch_dims),
        "n_cameras": cameras,
    }
    return color, alpha, Meta((*batch_dims, cameras), meta)


def _with_one_batch_dimension(given: RasterizationInputs) -> RasterizationInputs:
    dims = given.means.dim() - 2
    batches = math.prod(given.means.shape[:dims])

    def flat(tensor: Tensor) -> Tensor:
        return tensor.reshape(batches, *tensor.shape[dims:])

    names = ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds", "covars")
    tensors = {name: getattr(given, name) for name in names}
    flattened: dict[str, Any] = {name: flat(t) for name, t in tensors.items() if t is not None}
    return replace(given, **flattened)


def _project(scene: RasterizationInputs) -> Projected:
    batches = scene.means.shape[0]
    if scene.covars is None:
        shape = (scene.quats, scene.scales, empty(batches, 0, 6))
    else:
        upper = scene.covars[..., TRIANGLE[0], TRIANGLE[1]]
        shape = (empty(batches, 0, 4), empty(batches, 0, 3), upper)
    lens = Lens(
        width=scene.width,
        height=scene.height,
        near=scene.near_plane,
        far=scene.far_plane,
        radius_clip=scene.radius_clip,
        eps2d=scene.eps2d,
        ortho=scene.camera_model == "ortho",
        antialiased=scene.rasterize_mode == "antialiased",
        packed=scene.packed,
    )
    return Projected(
        *Project.apply(scene.means, *shape, scene.opacities.detach(), scene.viewmats, scene.Ks, lens)
    )


def _opacities(scene: RasterizationInputs, projected: Projected, ids: Sequence[Tensor | None]) -> Tensor:
    """[I, N] or [rows] opacities as they are drawn: times the compensation when antialiased."""
    cameras = scene.viewmats.shape[1]
    of_batch = _each(scene.opacities)
    if scene.packed:
        gathered = [Gather.apply(of_batch[i // cameras][:, None], seen) for i, seen in enumerate(ids)]
        opacities = (gathered[0] if len(gathered) == 1 else torch.cat(gathered)).squeeze(1)
    else:
        opacities = scene.opacities[:, None].expand(-1, cameras, -1).flatten(0, 1)
    return opacities * projected.compensations if scene.rasterize_mode == "antialiased" else opacities


def _colors(scene: RasterizationInputs, images: list[_Image], ids: Sequence[Tensor | None]) -> list[Tensor]:
    """The colours of each image's rows, [rows, D]; D = 0 when only depth is drawn."""
    if not scene.render_mode.startswith("RGB"):
        return [empty(image.depths.shape[0], 0) for image in images]
    cameras = scene.viewmats.shape[1]
    shared = scene.colors.dim() == (3 if scene.sh_degree is None else 4)
    if shared:
        of_image = [of_batch for of_batch in _each(scene.colors) for _ in range(cameras)]
    else:
        of_image = list(_each(scene.colors.flatten(0, 1)))
    if scene.sh_degree is None:
        return [given if seen is None else Gather.apply(given, seen) for given, seen in zip(of_image, ids)]
    means, positions = _each(scene.means), _camera_positions(scene.viewmats)
    return [
        HarmonicColors.apply(
            means[i // cameras], of_image[i], positions[i], image.radii, ids[i], scene.sh_degree
        )
        for i, image in enumerate(images)
    ]


def _camera_positions(viewmats: Tensor) -> Sequence[Tensor]:
    """[3] m, world, of each of [B, C, 4, 4] cameras: the last column of the inverse, rigid or not, as gsplat takes it."""
    try:
        inverse = torch.linalg.inv(viewmats.double())
    except torch.linalg.LinAlgError as error:
        raise RenderError(
            f"viewmats cannot be inverted, so spherical harmonics have no direction ({error}); give rigid transforms"
        ) from error
    return inverse[..., :3, 3].to(viewmats.dtype).flatten(0, 1).unbind(0)


def _composite(
    scene: RasterizationInputs, place: tuple[int, int], image: _Image, colors: Tensor
) -> tuple[Tensor, Tensor]:
    """Image [H, W, X] and alpha [H, W, 1] of one (batch, camera), `channel_chunk` channels at a time."""
    with_depth = scene.render_mode.endswith("D")
    channels, chunk = colors.shape[1], scene.channel_chunk
    if scene.absgrad:  # the absolute value is of a pixel's gradient through all of its channels
        chunk = channels + int(with_depth)
    background = empty(0) if scene.backgrounds is None else scene.backgrounds[place][:channels]
    # The depth is the last channel and goes with the last chunk, or alone when that one is full.
    begins = list(range(0, channels + int(with_depth), chunk))
    images, alphas = [], []
    for begin in begins:
        end = min(begin + chunk, channels)
        depth_here = with_depth and begin == begins[-1]
        color, alpha = Composite.apply(
            image.means2d,
            image.depths,
            image.image_covars,
            image.conics,
            image.radii,
            image.extents,
            image.opacities,
            colors if (begin, end) == (0, channels) else colors[:, begin:end],
            background[begin:end],
            scene.width,
            scene.height,
            depth_here,
            scene.render_mode.endswith("ED") and depth_here,
            image.absgrad,
        )
        images.append(color)
        alphas.append(alpha)
    return (images[0] if len(images) == 1 else torch.cat(images, -1)), alphas[0]


def _indices(projected: Projected, cameras: int) -> dict[str, Tensor | None]:
    """Batch, camera and Gaussian of each packed row, int64; None when dense."""
    if not projected.starts:
        return {"batch_ids": None, "camera_ids": None, "gaussian_ids": None}
    sizes = [end - begin for begin, end in pairwise(projected.starts)]

    def of_rows(numbers: list[int]) -> Tensor:
        parts = [torch.full((size,), number, device="cpu") for number, size in zip(numbers, sizes)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return {
        "batch_ids": of_rows([image // cameras for image in range(len(sizes))]),
        "camera_ids": of_rows([image % cameras for image in range(len(sizes))]),
        "gaussian_ids": projected.ids,
    }


def _each(tensor: Tensor) -> Sequence[Tensor]:
    """Slices along the first axis; a single one is a view, so that its gradient is not copied."""
    return (tensor.squeeze(0),) if tensor.shape[0] == 1 else tensor.unbind(0)


def _split(rows: Tensor, starts: tuple[int, ...]) -> Sequence[Tensor]:
    """Packed rows of each image."""
    return (rows,) if len(starts) == 2 else rows.split([end - begin for begin, end in pairwise(starts)])


def _stack(images: Sequence[Tensor]) -> Tensor:
    """Stack along a new first axis, without a copy for a single image."""
    return images[0][None] if len(images) == 1 else torch.stack(list(images))
