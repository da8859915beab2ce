"""What N copies of a Gaussian must look like so that together they look like that one Gaussian.

3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024), equation 9. The copies lie in one place, so a ray through
the middle sees ``1 - (1 - o')^N``; that this is the old opacity o gives

    o' = 1 - (1 - o)^(1/N).

Off the middle, at x standard deviations, N copies show ``1 - (1 - o' g(x))^N`` with ``g(x) = exp(-x^2/2)``, a flatter bell than
``o g(x)``. The copies are made smaller by the ratio of the areas under the two, so that as much shows as before:

    s' / s = o / D,     D = (1 / sqrt(2 pi)) integral of 1 - (1 - o' g(x))^N dx = sum_{k=1}^N C(N, k) (-1)^(k-1) o'^k / sqrt(k).

(The paper's double sum over i and k is this one, by C(0, k) + ... + C(N-1, k) = C(N, k+1).) The terms alternate and reach
(1 + o')^N, so they are summed in double precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST_COPIES = 51
"""A Gaussian is shared out to this many places at most (gsplat's bound)."""


def share_out(opacities: Tensor, scales: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities [N] and scales [N, 3] m of each of `copies` [N] (integers, held to 1..MOST_COPIES) Gaussians that replace
    one with `opacities` [N] in [0, 1) and `scales` [N, 3] m."""
    n = copies.clamp(1, MOST_COPIES).double()
    o = opacities.double()
    shared = -torch.expm1(torch.log1p(-o) / n)
    k = torch.arange(1, MOST_COPIES + 1, dtype=torch.float64, device=o.device)
    sign = 1 - 2 * ((k - 1) % 2)
    # C(n, k) by logarithms of factorials; terms with k > n are left out.
    binomial = (
        torch.lgamma(n[:, None] + 1) - torch.lgamma(k + 1) - torch.lgamma((n[:, None] - k).clamp_min(0) + 1)
    )
    terms = sign * torch.exp(binomial + k * torch.log(shared.clamp_min(1e-300))[:, None]) / k.sqrt()
    area = torch.where(k <= n[:, None], terms, 0.0).sum(1)
    ratio = torch.where(o > 0, o / area, 1.0)
    return shared.to(opacities.dtype), (scales * ratio[:, None]).to(scales.dtype)
