"""A slow, readable twin of the renderers: the equations in plain torch, any float type, gradients by autograd.

Every Gaussian is evaluated at every pixel, so memory grows as N x H x W: it is for small scenes, in tests, and for
reading. The fast kernels must agree with it up to the rounding of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.render.api import RenderMode

MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
MAX_SIGMAS = 3.33
BORDER = 0.3


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices [N, 3, 3] of quaternions [N, 4] wxyz of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """World covariances R diag(s)^2 R^T, [N, 3, 3] m^2."""
    M = rotation_matrices(quats) * scales[:, None, :]
    return M @ M.transpose(-1, -2)


def harmonic_colors(means: Tensor, coefficients: Tensor, viewmat: Tensor, degree: int) -> Tensor:
    """Colours [N, 3] of spherical harmonics [N, K, 3] seen from the camera of `viewmat` [4, 4]."""
    position = torch.linalg.inv(viewmat)[:3, 3]
    x, y, z = torch.nn.functional.normalize(means - position, dim=-1).unbind(-1)
    bases = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        bases += [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x]
    if degree >= 2:
        a = 1.0925484305920792
        bases += [a * x * y, -a * y * z, 0.9461746957575601 * z * z - 0.3153915652525201, -a * x * z]
        bases += [0.5 * a * (x * x - y * y)]
    if degree >= 3:
        a, b, c = 0.5900435899266435, 1.445305721320277, 0.4570457994644658 - 2.285228997322329 * z * z
        bases += [-a * y * (3 * x * x - y * y), 2 * b * x * y * z, c * y]
        bases += [z * (1.865881662950577 * z * z - 1.119528997770346)]
        bases += [c * x, b * z * (x * x - y * y), -a * x * (x * x - 3 * y * y)]
    Y = torch.stack(bases, -1)
    return (0.5 + (Y[..., None] * coefficients[:, : Y.shape[-1]]).sum(-2)).clamp_min(0)


def project(
    means: Tensor, covars: Tensor, viewmat: Tensor, K: Tensor, width: int, height: int, eps2d: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel means [N, 2], depths [N] and image covariances [N, 2, 2] of world Gaussians."""
    W, t = viewmat[:3, :3], viewmat[:3, 3]
    x, y, z = (means @ W.T + t).unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = BORDER * 0.5 * width / fx, BORDER * 0.5 * height / fy
    tx = torch.clamp(x / z, min=-cx / fx - margin_x, max=(width - cx) / fx + margin_x)
    ty = torch.clamp(y / z, min=-cy / fy - margin_y, max=(height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    J = torch.stack(
        [torch.stack([fx / z, zero, -fx * tx / z], -1), torch.stack([zero, fy / z, -fy * ty / z], -1)], -2
    )
    JW = J @ W
    image_covars = JW @ covars @ JW.transpose(-1, -2) + eps2d * torch.eye(2, dtype=means.dtype)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    return means2d, z, image_covars


def _visible(
    means2d: Tensor, depths: Tensor, S: Tensor, opacities: Tensor, width: int, height: int, clip: float
) -> Tensor:
    """Which Gaussians in front of the camera touch the image, [N] bool."""
    sigmas = torch.sqrt(2 * torch.log((opacities / MIN_ALPHA).clamp_min(1))).clamp_max(MAX_SIGMAS)
    radius = torch.ceil(sigmas[:, None] * torch.sqrt(torch.diagonal(S, dim1=-2, dim2=-1)))
    size = torch.tensor([width, height], dtype=means2d.dtype)
    inside = ((means2d + radius > 0) & (means2d - radius < size)).all(-1)
    return inside & (opacities >= MIN_ALPHA) & (radius > clip).any(-1)


def rasterize_reference(
    means: Tensor,  # [N, 3]
    quats: Tensor | None,  # [N, 4]
    scales: Tensor | None,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [(C,) N, D] or [(C,) N, K, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,
    render_mode: RenderMode = "RGB",
    covars: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Image [C, H, W, X] and alpha [C, H, W, 1] as `perpetua.render.rasterization` defines them."""
    if covars is None:
        if quats is None or scales is None:
            raise ValueError("give quats and scales, or covars")
        covars = covariances(quats, scales)
    else:
        upper = torch.triu(covars)
        covars = upper + torch.triu(covars, 1).transpose(-1, -2)
    pixel_x = torch.arange(width, dtype=means.dtype) + 0.5
    pixel_y = torch.arange(height, dtype=means.dtype) + 0.5
    images, alphas = [], []
    for c in range(viewmats.shape[0]):
        z = means @ viewmats[c, 2, :3] + viewmats[c, 2, 3]
        front = torch.nonzero((z >= near_plane) & (z <= far_plane))[:, 0]
        m, o = means[front], opacities[front]
        means2d, depths, S = project(m, covars[front], viewmats[c], Ks[c], width, height, eps2d)
        seen = _visible(means2d, depths, S, o, width, height, radius_clip)
        order = torch.nonzero(seen)[:, 0]
        order = order[torch.argsort(depths[order].detach(), stable=True)]
        means2d, depths, conics, o = means2d[order], depths[order], torch.linalg.inv(S[order]), o[order]

        values = colors if colors.dim() == (2 if sh_degree is None else 3) else colors[c]
        values = values[front][order]
        if sh_degree is not None:
            values = harmonic_colors(m[order], values, viewmats[c], sh_degree)
        background = (
            torch.zeros(values.shape[-1], dtype=means.dtype) if backgrounds is None else backgrounds[c]
        )
        if render_mode == "D" or render_mode == "ED":
            values, background = depths[:, None], background[:0]
        elif render_mode != "RGB":
            values = torch.cat([values, depths[:, None]], -1)
        background = torch.cat([background, background.new_zeros(values.shape[-1] - background.shape[0])])

        dx = means2d[:, 0, None, None] - pixel_x[None, None, :]  # [V, 1, W]
        dy = means2d[:, 1, None, None] - pixel_y[None, :, None]  # [V, H, 1]
        xx, xy, yy = (conics[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
        sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
        a = (o[:, None, None] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
        a = torch.where(a >= MIN_ALPHA, a, torch.zeros_like(a))
        # The transmittance only falls, so the first Gaussian to bring it to the limit hides all behind it.
        finished = torch.cumprod(1 - a.detach(), 0) <= MIN_TRANSMITTANCE
        a = torch.where(finished, torch.zeros_like(a), a)
        after = torch.cumprod(1 - a, 0)
        before = torch.cat([torch.ones_like(after[:1]), after[:-1]]) if len(order) else after
        weights = a * before
        through = after[-1] if len(order) else means.new_ones(height, width)
        image = torch.einsum("vhw,vd->hwd", weights, values) + through[..., None] * background
        alpha = 1 - through[..., None]
        if render_mode.endswith("ED"):
            image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp_min(1e-10)], -1)
        images.append(image)
        alphas.append(alpha)
    return torch.stack(images), torch.stack(alphas)
