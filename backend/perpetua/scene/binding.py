"""Visual-physical aligned particles: each splat hangs on one particle and moves with it.

Splat n of particle j sits at ``p_j + F_j tanh(o_n) delta`` and its covariance is ``F_j S F_j^T`` (PerpetualWonder's
VPP, which moves by translation only; carrying the offset with F too keeps the surface closed where matter stretches or turns).
Shadows are splats that hang on no particle but lie below a whole body (``ground.py``); those of what an emitter lets out are laid out
anew in each frame (``ground_shade.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from perpetua.scene.gaussians import Gaussians
from perpetua.scene.ground import DRAWN_IN, SOFTENED, SOFTENED_FROM, footing, rise, spread
from perpetua.scene.harmonics import turn_of, turned
from perpetua.scene.rotations import matrix_from_quaternion, quaternion_from_matrix

JACOBI_SWEEPS = 2
"""Leave 0.2% of the covariance wrong on average at strains of 20% (following F's rotation and axis lengths alone: 30%)."""
ORTHOGONAL = 1e-6
"""Cosine between axes that is rounding."""
MOST_STRETCH = 5.0
"""A splat that grows or thins further is a tear or noise, not a surface."""
ABSENT_LOGIT = -20.0
"""Opacity, before the sigmoid, of a splat whose particle is not there: 2e-9, which no renderer draws."""
ABSENT_SCALE_M = 1e-6


@dataclass(frozen=True)
class Binding:
    """particle: [N] int64, the particle each splat hangs on.  offsets: [N, 3], raw; tanh bounds them to one.
    delta: [N] or scalar tensor, m, the farthest a splat may sit from its particle.

    ground: [G] int64, the bodies that the last G splats lie on the ground below; they are bound to a particle of theirs, but
    not moved by it.  fade: [G], how high such a body has risen, in its height at rest, when each of these splats is gone.
    body: [P] int64, the body of each particle.  footings: [B, 7], how each body of the picture stands at rest
    (``ground.footing``). All four are empty where there are no such splats.
    """

    particle: Tensor
    offsets: Tensor
    delta: Tensor
    ground: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    fade: Tensor = field(default_factory=lambda: torch.zeros(0))
    body: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    footings: Tensor = field(default_factory=lambda: torch.zeros(0, 7))

    @staticmethod
    def to_nearest(means: Tensor, particles: Tensor, particle: Tensor) -> Binding:
        """Bind splats at ``means`` [N, 3] to the given ``particle`` [N] of ``particles`` [P, 3], exactly where they are.

        delta is the largest offset plus a quarter, so that no offset starts where tanh is flat.
        """
        away = means - particles[particle]
        delta = (away.abs().max() * 1.25).clamp_min(1e-6) if len(means) else torch.tensor(1e-6)
        return Binding(particle, torch.atanh(away / delta), delta)

    def with_ground(self, ground: Tensor, fade: Tensor, positions: Tensor, body: Tensor) -> Binding:
        """Also for splats on the ground below bodies ``ground`` [G], gone when these have risen by ``fade`` [G]; they come after
        those bound so far. positions: [P, 3] m, the particles at rest, and body [P], whose they are."""
        if len(self.ground):
            raise ValueError("This binding has its splats on the ground already.")
        bodies = int(body.max()) + 1
        first = torch.stack([(body == index).nonzero()[0, 0] for index in range(bodies)])
        return Binding(
            torch.cat([self.particle, first[ground.long()]]),
            torch.cat([self.offsets, torch.zeros(len(ground), 3)]),
            self.delta,
            ground.long(),
            fade,
            body.long(),
            torch.stack([footing(positions[body == index]) for index in range(bodies)]),
        )

    def to(self, device: torch.device) -> Binding:
        """The same on ``device``."""
        return Binding(*(getattr(self, f.name).to(device) for f in fields(Binding)))

    @property
    def carried(self) -> int:
        """How many splats hang on particles; those on the ground come after them."""
        return len(self.particle) - len(self.ground)

    @property
    def cast(self) -> Tensor:
        """[N]: whether a splat is part of the shadow that what came out of an emitter throws on the ground."""
        below = self.ground >= len(self.footings)
        return torch.cat([below.new_zeros(self.carried), below])

    def displacements(self) -> Tensor:
        """[N, 3], m: where each splat sits relative to its particle at rest."""
        return torch.tanh(self.offsets) * self.delta

    def carried_means(self, positions: Tensor, F: Tensor) -> Tensor:
        """[carried, 3] m: the splats that hang on particles at ``positions`` [P, 3] deformed by ``F`` [P, 3, 3]."""
        particle = self.particle[: self.carried]
        away = self.displacements()[: self.carried]
        return positions[particle] + torch.einsum("nij,nj->ni", F[particle], away)


def deform(rest: Gaussians, binding: Binding, positions: Tensor, F: Tensor) -> Gaussians:
    """The splats of one frame: ``rest`` carried to particles at ``positions`` [P, 3] deformed by ``F`` [P, 3, 3].

    Differentiable in positions, colours and opacities, but for where splats on the ground are. The covariance is F S F^T (to a
    percent, see ``principal_axes``). Where F is zero no matter is, and the splat is a clear point; so is the shadow of what an emitter
    lets out, which ``Appearance`` lays out. Colours that depend on the view turn with the matter.
    """
    count = binding.carried
    means = binding.carried_means(positions, F)
    with torch.no_grad():
        quats, scales = principal_axes(F[binding.particle[:count]], rest.quats[:count], rest.scales[:count])
        there = F.flatten(1).any(1)
    opacity_logits = rest.opacity_logits
    if not bool(there.all()):
        absent = torch.nonzero(~there[binding.particle[:count]])[:, 0]
        scales = scales.index_fill(0, absent, ABSENT_SCALE_M)
        opacity_logits = opacity_logits.index_fill(0, absent, ABSENT_LOGIT)
    if len(binding.ground):
        below = _on_the_ground(rest, binding, positions.detach())
        means, quats, scales = (torch.cat(pair) for pair in zip((means, quats, scales), below, strict=True))
        unlaid = torch.nonzero(binding.cast)[:, 0]
        scales = scales.index_fill(0, unlaid, ABSENT_SCALE_M)
        opacity_logits = opacity_logits.index_fill(0, unlaid, ABSENT_LOGIT)
    sh = rest.sh
    if sh.shape[1] > 1:
        turn = turn_of(F)[binding.particle[:count]]
        sh = torch.cat([turned(sh[:count], turn), sh[count:]])
    return Gaussians(means, quats, scales.log(), opacity_logits, sh)


@torch.no_grad()
def _on_the_ground(rest: Gaussians, binding: Binding, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means [G, 3] m, quats [G, 4] and scales [G, 3] m of the splats below bodies whose particles are at ``positions`` [P, 3]."""
    start = binding.carried
    means, quats, scales = rest.means[start:].clone(), rest.quats[start:].clone(), rest.scales[start:].clone()
    for index in torch.unique(binding.ground[binding.ground < len(binding.footings)]).tolist():
        mine = binding.ground == index
        matter = positions[binding.body == index]
        before, now = binding.footings[index], footing(matter)
        risen = rise(before, now)
        gone = (risen >= binding.fade[mine])[:, None]
        stretch = torch.eye(3, device=positions.device)
        stretch[:2, :2] = spread(before, now)
        at = means[mine]
        at[:, :2] = now[:2] + (1 - DRAWN_IN * risen) * (at[:, :2] - before[:2]) @ stretch[:2, :2]
        means[mine] = torch.where(gone, matter.mean(0), at)
        turned, grown = principal_axes(stretch.expand(len(at), 3, 3), quats[mine], scales[mine])
        softer = 1 + (SOFTENED - 1) * min(1.0, risen / SOFTENED_FROM)
        quats[mine], scales[mine] = turned, grown * torch.where(gone, 1e-3, softer)
    return means, quats, scales


def principal_axes(F: Tensor, quats: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """The ellipsoids with ``quats`` [N, 4] and ``scales`` [N, 3] m after F [N, 3, 3]: their quats and scales.

    One-sided Jacobi rotations (Hestenes 1958) make the columns of F R S orthogonal; turns are at most 45 degrees, so axes
    keep their order and an ellipsoid that F only turns keeps its own. Scales stay within a factor ``MOST_STRETCH`` of those
    at rest.
    """
    largest = scales.amax(1).clamp_min(1e-12)
    axes = F @ (matrix_from_quaternion(quats) * (scales / largest[:, None])[:, None, :])
    columns = list(axes.permute(2, 1, 0).contiguous())  # three of [3, N], so that sums run along memory
    for _ in range(JACOBI_SWEEPS):
        for i, j in ((0, 1), (0, 2), (1, 2)):
            columns[i], columns[j] = _orthogonal(columns[i], columns[j])
    lengths = [(c * c).sum(0).sqrt().clamp_min(1e-12) for c in columns]
    x, y, z = (c / length for c, length in zip(columns, lengths, strict=True))
    z = z * torch.where((torch.linalg.cross(x, y, dim=0) * z).sum(0) < 0, -1.0, 1.0)
    grown = torch.stack(lengths, -1) * largest[:, None] / scales
    bounded = scales * grown.clamp(1 / MOST_STRETCH, MOST_STRETCH)
    return quaternion_from_matrix(torch.stack([x, y, z]).permute(2, 1, 0)), bounded


def _orthogonal(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Columns a, b [3, N] turned into each other, by 45 degrees at most, until they are orthogonal."""
    along, aa, bb = (a * b).sum(0), (a * a).sum(0), (b * b).sum(0)
    askew = along.abs() > ORTHOGONAL * (aa * bb).sqrt()
    ratio = (bb - aa) / torch.where(askew, 2 * along, torch.ones_like(along))
    tangent = torch.copysign(1 / (ratio.abs() + (1 + ratio * ratio).sqrt()), ratio) * askew
    cosine = (1 + tangent * tangent).rsqrt()
    sine = tangent * cosine
    return cosine * a - sine * b, sine * a + cosine * b
