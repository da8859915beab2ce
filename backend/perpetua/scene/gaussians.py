"""A set of 3D Gaussians, as raw parameters an optimiser can move."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from perpetua.scene.harmonics import colors_from

SH_C0 = 0.28209479177387814
"""Zeroth real spherical harmonic, 1 / (2 sqrt(pi)): colour = 0.5 + SH_C0 * dc (Kerbl et al. 2023)."""


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians. All tensors are float32 on one device.

    means: [N, 3], m.  quats: [N, 4], wxyz, need not be normalised.  log_scales: [N, 3], natural logarithm of the
    standard deviations in m.  opacity_logits: [N].  sh: [N, (degree + 1)^2, 3], spherical harmonics of the colour in
    the picture's own encoding (sRGB values in [0, 1] are 0.5 + SH_C0 * sh[:, 0]). What Perpetua makes itself has degree 0: one
    colour from everywhere. Splats of other programs may have up to 3.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh: Tensor

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """[N, 3], m."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N], in (0, 1)."""
        return torch.sigmoid(self.opacity_logits)

    @property
    def colors(self) -> Tensor:
        """[N, 3], colour in [0, 1] without what depends on the view."""
        return 0.5 + SH_C0 * self.sh[:, 0]

    def colors_from(self, position: Tensor) -> Tensor:
        """[N, 3], colour as it is seen from ``position`` [3] m."""
        if self.sh.shape[1] == 1:
            return self.colors
        return colors_from(self.means, self.sh, position)

    @staticmethod
    def from_colors(
        means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor
    ) -> Gaussians:
        """Build from linear scales [N, 3], opacities [N] in (0, 1) and colours [N, 3] in [0, 1]."""
        sh = ((colors - 0.5) / SH_C0)[:, None, :]
        return Gaussians(means, quats, scales.log(), torch.logit(opacities.clamp(1e-4, 1 - 1e-4)), sh)

    @staticmethod
    def cat(parts: list[Gaussians]) -> Gaussians:
        """Concatenate sets; those of a lower degree than others look as before."""
        most = max(p.sh.shape[1] for p in parts)
        parts = [replace(p, sh=_padded(p.sh, most)) if p.sh.shape[1] < most else p for p in parts]
        return Gaussians(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Gaussians)))

    def to(self, device: torch.device) -> Gaussians:
        """The same on ``device``."""
        return Gaussians(*(getattr(self, f.name).to(device) for f in fields(Gaussians)))

    def __getitem__(self, index: Tensor | slice) -> Gaussians:
        return Gaussians(*(getattr(self, f.name)[index] for f in fields(Gaussians)))


def _padded(sh: Tensor, count: int) -> Tensor:
    """[N, K, 3] -> [N, count, 3], with zeros."""
    return torch.nn.functional.pad(sh, (0, 0, 0, count - sh.shape[1]))
