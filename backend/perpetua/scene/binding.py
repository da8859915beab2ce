"""Visual-physical aligned particles: each splat hangs on one particle and moves with it.

Splat n of particle j sits at ``p_j + F_j tanh(o_n) delta`` and its covariance is ``F_j S F_j^T`` (PerpetualWonder's
VPP, which moves by translation only; carrying the offset with F too keeps the surface closed where matter stretches or turns).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perpetua.scene.gaussians import Gaussians
from perpetua.scene.rotations import polar_rotation, quaternion_from_matrix, quaternion_multiply


@dataclass(frozen=True)
class Binding:
    """particle: [N] int64, the particle each splat hangs on.  offsets: [N, 3], raw; tanh bounds them to one.
    delta: [N] or scalar tensor, m, the farthest a splat may sit from its particle."""

    particle: Tensor
    offsets: Tensor
    delta: Tensor

    @staticmethod
    def to_nearest(means: Tensor, particles: Tensor, particle: Tensor) -> Binding:
        """Bind splats at ``means`` [N, 3] to the given ``particle`` [N] of ``particles`` [P, 3], exactly where they are.

        delta is the largest offset plus a quarter, so that no offset starts where tanh is flat.
        """
        away = means - particles[particle]
        delta = (away.abs().max() * 1.25).clamp_min(1e-6) if len(means) else torch.tensor(1e-6)
        return Binding(particle, torch.atanh(away / delta), delta)

    def displacements(self) -> Tensor:
        """[N, 3], m: where each splat sits relative to its particle at rest."""
        return torch.tanh(self.offsets) * self.delta


def deform(rest: Gaussians, binding: Binding, positions: Tensor, F: Tensor) -> Gaussians:
    """The splats of one frame: ``rest`` carried to particles at ``positions`` [P, 3] deformed by ``F`` [P, 3, 3].

    Differentiable in positions, colours and opacities. The covariance follows F: turned by its rotation, and stretched along
    each of the splat's own axes by as much as F stretches that axis (exact where the stretch is along the axes).
    """
    moved = F[binding.particle]
    means = positions[binding.particle] + torch.einsum("nij,nj->ni", moved, binding.displacements())
    with torch.no_grad():
        rotation = quaternion_from_matrix(polar_rotation(F))[binding.particle]
        quats = quaternion_multiply(rotation, torch.nn.functional.normalize(rest.quats, dim=-1))
        log_stretch = axis_stretch(rest.quats, moved).clamp(0.2, 5.0).log()
    return Gaussians(means, quats, rest.log_scales + log_stretch, rest.opacity_logits, rest.sh)


def axis_stretch(quats: Tensor, F: Tensor) -> Tensor:
    """[N, 3]: by how much F [N, 3, 3] lengthens each axis of a splat with rotation ``quats`` [N, 4]."""
    from perpetua.scene.rotations import matrix_from_quaternion

    return torch.linalg.vector_norm(F @ matrix_from_quaternion(quats), dim=1)
