"""The projection as a torch function: one call for all cameras of all batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.errors import RenderError
from perpetua.render.numba_backend.lanes import F
from perpetua.render.numba_backend.project import TALLY, project_forward
from perpetua.render.numba_backend.project_backward import VIEW_ENTRIES, project_backward
from perpetua.render.numba_backend.tensors import empty, zeros
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, equal_size, parallel_ranges


@dataclass(frozen=True)
class Lens:
    """What the projection needs beside the camera matrices; lengths in metres, sizes in pixels."""

    width: int
    height: int
    near: float
    far: float
    radius_clip: float
    eps2d: float
    ortho: bool
    antialiased: bool
    packed: bool


class Projected(NamedTuple):
    """N Gaussians in I images: rows are [I, N] (dense) or [rows] of what is seen, image after image (packed)."""

    means2d: Tensor
    """[.., 2] pixels, in the graph."""
    depths: Tensor
    """[..] m, in the graph."""
    image_covars: Tensor
    """[.., 3] pixels^2, xx, xy, yy with eps2d, in the graph."""
    compensations: Tensor
    """[..], what antialiasing multiplies opacities by, in the graph; empty without antialiasing."""
    conics: Tensor
    """[.., 3] xx, xy, yy of the inverse of image_covars, in the graph."""
    radii: Tensor
    """[.., 2] int32 pixels, 0 for what is not seen."""
    extents: Tensor
    """[.., 2] pixels, half the box in which alpha is at least 1/255."""
    ids: Tensor
    """[rows] int64, the Gaussian of each packed row; empty when dense."""
    starts: tuple[int, ...]
    """The first packed row of each image, then the number of rows; empty when dense."""


def _rows(images: int, count: int, lens: Lens) -> tuple[Tensor, ...]:
    """Uninitialised [images, count, ..] in the order in which project_forward takes them: ids, radii, extents, ..."""
    return (
        torch.empty(images, count if lens.packed else 0, dtype=torch.int64, device="cpu"),
        torch.empty(images, count, 2, dtype=torch.int32, device="cpu"),
        empty(images, count, 2),
        empty(images, count, 2),
        empty(images, count),
        empty(images, count, 3),
        empty(images, count, 3),
        empty(images, count if lens.antialiased else 0),
    )


def _without_gaps(rows: tuple[Tensor, ...], begins: range, written: np.ndarray) -> tuple[Tensor, ...]:
    """The rows that were written, `written[k]` of them from `begins[k]` on, moved next to each other."""
    parts = [t.numpy() for t in rows if len(t)]
    end = int(written[0]) if len(written) else 0
    for begin, count in zip(begins[1:], written[1:].tolist()):
        for part in parts:
            part[end : end + count] = part[begin : begin + count]  # numpy minds the overlap
        end += count
    return tuple(t[:end] for t in rows)


def _refuse_lost(tally: np.ndarray) -> None:
    lost = int(tally[:, 1].sum())
    if lost:
        first = int(tally[tally[:, 1] > 0, 2][0])
        raise RenderError(
            f"{lost} Gaussians cannot be projected, the first is number {first}: its mean, opacity or "
            "shape is NaN, infinite or too large to be squared (or its quaternion is zero); remove them or find the step that made them"
        )


def _through_inverse(conics: Tensor, grad_conics: Tensor) -> Tensor:
    """Gradient to S from that to its inverse C: -C G C, both as upper triangles whose off-diagonal stands for two.

    Entry by entry, for torch multiplies matrices in half precision where autocast says so.
    """
    a, b, d = conics.unbind(-1)
    xx, xy, yy = grad_conics.unbind(-1)
    return -torch.stack(
        [
            a * a * xx + a * b * xy + b * b * yy,
            2 * a * b * xx + (a * d + b * b) * xy + 2 * b * d * yy,
            b * b * xx + b * d * xy + d * d * yy,
        ],
        -1,
    )


class Project(torch.autograd.Function):
    """Gaussians [B, N] seen by cameras [B, C] -> the fields of `Projected`, with I = B C images, batch after batch.

    Give `quats` [B,N,4] and `scales` [B,N,3], or `covars` [B,N,6] (upper triangles), and the others with N = 0.
    """

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        covars: Tensor,
        opacities: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        lens: Lens,
    ) -> tuple[Any, ...]:
        batches, cameras = viewmats.shape[:2]
        count, images = means.shape[1], batches * cameras
        size = equal_size(count)
        begins = range(0, count, size)
        gaussians = [array(t) for t in (means, quats, scales, covars, opacities)]
        V, K = array(viewmats), array(Ks)
        limits = (F(lens.eps2d), F(lens.near), F(lens.far), F(lens.radius_clip))
        dense = _rows(0 if lens.packed else images, count, lens)
        packed: list[tuple[Tensor, ...]] = []
        starts = [0]
        for image in range(images):
            b, c = divmod(image, cameras)
            rows = (
                tuple(t[0] for t in _rows(1, count, lens)) if lens.packed else tuple(t[image] for t in dense)
            )
            tally = np.zeros((len(begins), TALLY), np.int64)
            parallel_ranges(
                project_forward,
                count,
                size,
                size,
                *(g[b] for g in gaussians),
                V[b, c],
                K[b, c],
                lens.width,
                lens.height,
                lens.ortho,
                lens.packed,
                *limits,
                tally,
                *(t.numpy() for t in rows),
            )
            _refuse_lost(tally)
            if lens.packed:
                packed.append(_without_gaps(rows, begins, tally[:, 0]))
                starts.append(starts[-1] + packed[-1][0].shape[0])
        if lens.packed:
            done = packed[0] if images == 1 else tuple(torch.cat(parts) for parts in zip(*packed))
        else:
            done = dense
        ids, radii, extents, means2d, depths, image_covars, conics, compensations = done
        ctx.save_for_backward(means, quats, scales, covars, viewmats, Ks, conics, radii, ids)
        ctx.lens, ctx.starts = lens, starts
        ctx.mark_non_differentiable(radii, extents, ids)
        ctx.set_materialize_grads(False)
        found = (means2d, depths, image_covars, compensations, conics, radii, extents, ids)
        return *found, tuple(starts) if lens.packed else ()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_means2d: Tensor | None,
        grad_depths: Tensor | None,
        grad_image_covars: Tensor | None,
        grad_compensations: Tensor | None,
        grad_conics: Tensor | None,
        *_: Any,
    ) -> Any:
        means, quats, scales, covars, viewmats, Ks, conics, radii, ids = ctx.saved_tensors
        lens: Lens = ctx.lens
        batches, cameras = viewmats.shape[:2]
        count = means.shape[1]
        rows = radii.shape[:-1]
        if grad_conics is not None:
            through = _through_inverse(conics, grad_conics)
            grad_image_covars = through if grad_image_covars is None else grad_image_covars + through
        incoming = [
            array(zeros(*rows, *size) if grad is None else grad).reshape(-1, *size)
            for grad, size in ((grad_means2d, (2,)), (grad_depths, ()), (grad_image_covars, (3,)))
        ]
        none = empty(0)
        incoming.append(array(none if grad_compensations is None else grad_compensations).reshape(-1))
        gradients = [zeros(*t.shape) for t in (means, quats, scales, covars)]
        gaussians = [array(t) for t in (means, quats, scales, covars)]
        V, K = array(viewmats), array(Ks)
        flat_radii, flat_ids = array(radii).reshape(-1, 2), array(ids).reshape(-1)
        grad_viewmats = zeros(*viewmats.shape) if ctx.needs_input_grad[5] else None
        for image in range(batches * cameras):
            b, c = divmod(image, cameras)
            first = ctx.starts[image] if lens.packed else image * count
            last = ctx.starts[image + 1] if lens.packed else first + count
            ranges = -(-(last - first) // GAUSSIANS_A_RANGE)
            sums = np.zeros((0 if grad_viewmats is None else ranges, VIEW_ENTRIES), np.float64)
            parallel_ranges(
                project_backward,
                last - first,
                equal_size(last - first) if grad_viewmats is None else GAUSSIANS_A_RANGE,
                *(g[b] for g in gaussians),
                V[b, c],
                K[b, c],
                lens.width,
                lens.height,
                lens.ortho,
                lens.packed,
                F(lens.eps2d),
                flat_ids[first:last],
                flat_radii[first:last],
                *(g[first:last] for g in incoming),
                *(g[b].numpy() for g in gradients),
                sums,
            )
            if grad_viewmats is not None:
                # numpy adds the ranges in an order that depends on their number only.
                grad_viewmats[b, c, :3] = torch.from_numpy(sums.sum(0).reshape(3, 4))
        return (*gradients, None, grad_viewmats, None, None)
