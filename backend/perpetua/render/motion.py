"""Optical flow of splats: how far the matter that a pixel sees has moved in the image when another camera sees another frame.

The matter of one Gaussian lies at ``m + M z`` with ``z`` normally distributed, ``M`` = R diag(s) [3, 3] its axes one standard
deviation long. In the other frame the same matter lies at ``m' + M' z``, with ``M' = F M`` where the matter deforms by F. Both
cameras see it through the perspective map linearised at the mean, as splatting does (EWA, Zwicker et al. 2001):

    u = c + P z,  P = J W M,       u' = c' + P' z,  P' = J' W' M'                                    [2, 3] pixels

c, c' are the projected means, J, J' the derivatives of the projection there, W, W' the rotations of the cameras. What a pixel at p
sees of the splat's matter has, of a normal distribution, the conditional expectation ``z = P^T S^-1 (p - c)`` with ``S = P P^T``, so

    E[u' - u | p] = c' - c + B (p - c),     B = (P' - P) P^T S^-1                                    [2, 2]

B is A - I, A = J' W' F Sigma W^T J^T S^-1 being the image derivative of the motion: of a turn, a shear, an approach. It means something
where the splat is wider than a pixel. Splatting blurs thinner ones with a variance eps2d = e so that they show at all; what is seen
of them is the blur, and that moves as the centre does. So each principal direction of S, of variance l, counts by l^2 / (l^2 + e^2):

    B = (P' - P) P^T S (S^2 + e^2 I)^-1

which is within 1% of the derivative for a splat of two pixels and 0 for a dot. Only products of axes enter, no inverse of them, so a
flat disc is as good as a ball.

The motion is affine in p. With the image centre o as origin it is ``f + B (p - o)``, ``f = c' - c - B (c - o)``: six numbers a Gaussian
that are composited like colours. The composite of a function that is affine in p is affine in the composited numbers, so the flow of
a pixel, the mean over what it sees weighted by how much it sees of each, costs one pass:

    flow(p) = (sum_i w_i f_i + (sum_i w_i B_i) (p - o)) / sum_i w_i
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import GaussiansLike
from perpetua.scene.binding import Binding
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.rotations import matrix_from_quaternion

FLOW_CHANNELS = 6
FIELD_MARGIN = 0.3
"""The projection is linearised no farther outside the image than this share of half its size, as the renderers do."""


def axes_of(quats: Tensor, scales: Tensor) -> Tensor:
    """[N, 3, 3] m: a Gaussian's axes, one standard deviation long, as columns; quats [N, 4] wxyz, scales [N, 3] m."""
    return matrix_from_quaternion(quats) * scales[:, None, :]


@dataclass(frozen=True)
class Motion:
    """Where the matter of N drawn Gaussians is in another frame. Column k of a Gaussian's ``axes`` and of its ``axes_after``
    are the same three material vectors, before and after; together they need only have the shape of the Gaussian that is drawn."""

    axes: Tensor
    """[N, 3, 3] m, in the frame that is drawn."""
    means_after: Tensor
    """[N, 3] m, world, in the other frame."""
    axes_after: Tensor
    """[N, 3, 3] m, in the other frame."""

    @staticmethod
    def between(before: GaussiansLike, after: GaussiansLike) -> Motion:
        """Of Gaussians whose own axes move with the matter: things that move rigidly, or stretch along their axes. Where matter
        shears, a Gaussian's axes are not material lines, and ``of_matter`` is right."""
        return Motion(axes_of(before.quats, before.scales), after.means, axes_of(after.quats, after.scales))

    @staticmethod
    def still(gaussians: GaussiansLike) -> Motion:
        """Of what does not move; only the camera may."""
        axes = axes_of(gaussians.quats, gaussians.scales)
        return Motion(axes, gaussians.means, axes)

    @staticmethod
    def of_matter(
        rest: Gaussians,
        binding: Binding,
        drawn: Gaussians,
        F: Tensor,
        positions_after: Tensor,
        F_after: Tensor,
    ) -> Motion:
        """Of splats bound to particles, between two frames of a trajectory.

        Args:
            rest, binding: as for ``deform``.
            drawn: ``deform(rest, binding, positions, F)``, the frame that is drawn.
            F, F_after: [P, 3, 3], deformations since rest in the two frames; positions_after: [P, 3] m.

        Shadows on the ground are no matter: what they lie on stays.
        """
        count = binding.carried
        particle = binding.particle[:count]
        at_rest = axes_of(rest.quats[:count], rest.scales[:count])
        shadows = axes_of(drawn.quats[count:], drawn.scales[count:])
        means = binding.carried_means(positions_after, F_after)
        return Motion(
            torch.cat([F[particle] @ at_rest, shadows]),
            torch.cat([means, drawn.means[count:]]),
            torch.cat([F_after[particle] @ at_rest, shadows]),
        )

    @staticmethod
    def cat(parts: list[Motion]) -> Motion:
        """Of several sets of Gaussians, in their order."""
        return Motion(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Motion)))


def flow_features(
    means: Tensor, motion: Motion, camera: Camera, camera_after: Camera, eps2d: float, near: float
) -> Tensor:
    """[N, 6] of each Gaussian: f [2] and B [2, 2] by rows (module docstring). Differentiable, in any float type.

    means: [N, 3] m, world; ``camera`` sees the frame that is drawn, ``camera_after`` the other. eps2d: pixels^2, the variance of
    the blur. What comes nearer to a camera than ``near`` m is seen as if it were there, so that the result is finite.

    Raises:
        RenderError: if the motion is of another number of Gaussians.
    """
    count = means.shape[0]
    for name, shape in (("axes", (count, 3, 3)), ("means_after", (count, 3)), ("axes_after", (count, 3, 3))):
        found = tuple(getattr(motion, name).shape)
        if found != shape:
            raise RenderError(
                f"motion.{name} must have shape {list(shape)} as the Gaussians have, not {list(found)}"
            )
    # From here on the Gaussians are the last dimension, so that sums over the others run along memory.
    centre = means.new_tensor([[0.5 * camera.width], [0.5 * camera.height]])
    c, P = _seen(means.T, motion.axes.permute(1, 2, 0), camera, near)
    c_after, P_after = _seen(motion.means_after.T, motion.axes_after.permute(1, 2, 0), camera_after, near)
    change = P_after - P
    towards = _inverse_where_wide(P, eps2d)
    B = [[_dot(change[i], towards[j]) for j in range(2)] for i in range(2)]
    away = c - centre
    f = [c_after[i] - c[i] - B[i][0] * away[0] - B[i][1] * away[1] for i in range(2)]
    return torch.stack([*f, *B[0], *B[1]], -1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """[N] of vectors a, b [3, N]."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """[3, N] of vectors a, b [3, N]."""
    return torch.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def flow_image(features: Tensor, alpha: Tensor) -> Tensor:
    """[H, W, 2] pixels, x and y, from composited features [H, W, 6] and coverage [H, W]; 0 where nothing is."""
    height, width = alpha.shape
    x = torch.arange(width, dtype=alpha.dtype, device=alpha.device) + (0.5 - 0.5 * width)
    y = torch.arange(height, dtype=alpha.dtype, device=alpha.device)[:, None] + (0.5 - 0.5 * height)
    f, Bx, By = features[..., 0:2], features[..., 2::2], features[..., 3::2]
    moved = f + Bx * x[None, :, None] + By * y[..., None]
    return torch.where(alpha > 0, 1 / alpha.clamp_min(1e-10), 0.0)[..., None] * moved


def _inverse_where_wide(P: Tensor, e: float) -> tuple[Tensor, Tensor]:
    """The two columns [3, N] of P^T S (S^2 + e^2 I)^-1, S = P P^T, of P [2, 3, N] pixels.

    For 2 x 2 matrices adj(S^2 + e^2 I) = adj(S)^2 + e^2 I, so with d = det S and t = tr S this is

        P^T (d adj(S) + e^2 S) / (d^2 + e^2 (t^2 - 2 d) + e^4).

    With p, q the rows of P and n = p x q, d = |n|^2 and P^T adj(S) = [q x n, n x p] keep the digits that the entries of S lose in
    float32 when the splat is a needle. P is brought to size one first, so that no power of it overflows.
    """
    size = (_dot(P[0], P[0]) + _dot(P[1], P[1]) + e).sqrt()
    p, q = P / size
    n = _cross(p, q)
    pp, pq, qq, d = _dot(p, p), _dot(p, q), _dot(q, q), _dot(n, n)
    e2 = (e / (size * size)) ** 2
    t = pp + qq
    scale = 1 / (size * (d * d + e2 * (t * t - 2 * d) + e2 * e2))
    wide, thin = d * scale, e2 * scale
    return (
        wide * _cross(q, n) + thin * (pp * p + pq * q),
        wide * _cross(n, p) + thin * (pq * p + qq * q),
    )


def _seen(means: Tensor, axes: Tensor, camera: Camera, near: float) -> tuple[Tensor, Tensor]:
    """Pixel means c [2, N] and images P [2, 3, N] in pixels of the axes [3, 3, N], by the renderer's linearised projection."""
    world_to_camera = torch.as_tensor(camera.world_to_camera, dtype=means.dtype, device=means.device)
    fx, fy, cx, cy = (float(camera.K[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    W, t = world_to_camera[:3, :3], world_to_camera[:3, 3:]
    x, y, z = W @ means + t
    inverse = 1 / z.clamp_min(near)
    x, y = x * inverse, y * inverse
    margin_x, margin_y = (0.5 * FIELD_MARGIN * s / f for s, f in ((camera.width, fx), (camera.height, fy)))
    tx = x.clamp(-cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
    ty = y.clamp(-cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
    # The axes in camera axes, then the rows of J: fx/z (1, 0, -x/z) and fy/z (0, 1, -y/z).
    right, down, forward = (sum(W[i, j] * axes[j] for j in range(3)) for i in range(3))
    P = torch.stack([fx * inverse * (right - tx * forward), fy * inverse * (down - ty * forward)])
    return torch.stack([fx * x + cx, fy * y + cy]), P
