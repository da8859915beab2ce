"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024), with gsplat's fields and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.strategy.relocation import share_out
from perpetua.render.strategy.rows import Optimizers, Parameters, check_parameters, edit_rows
from perpetua.scene.rotations import matrix_from_quaternion

GROWTH = 1.05
"""Gaussians after a refinement for each one before it, until there are cap_max."""
NOISE_STEEPNESS, NOISE_OPACITY = 100.0, 0.005
"""The noise of a Gaussian of opacity o is switched by the sigmoid of 100 (0.005 - o): only what is nearly transparent roams."""


@dataclass(frozen=True)
class MCMCStrategy:
    """Every `refine_every` steps Gaussians that are transparent move to where opaque ones are, and a twentieth is added in the same
    way; the picture stays as it was, for those that share a place share its opacity out (`relocation.py`). Every step
    jitters the positions of transparent ones along their own shape, so that they find where they are needed."""

    cap_max: int = 1_000_000
    """Gaussians at most."""
    noise_lr: float = 5e5
    """Jitter, in learning rates of the positions."""
    refine_start_iter: int = 500
    refine_stop_iter: int = 25_000
    refine_every: int = 100
    min_opacity: float = 0.005
    """Opacity up to which a Gaussian counts as transparent."""
    verbose: bool = False

    def check_sanity(self, params: Parameters, optimizers: Optimizers) -> None:
        """Raise RenderError for parameters and optimisers that this strategy cannot edit."""
        check_parameters(params, optimizers)

    def initialize_state(self) -> dict[str, Any]:
        """Nothing is remembered from step to step."""
        return {}

    def step_pre_backward(
        self,
        params: Parameters,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
    ) -> None:
        """Nothing to do; so that strategies are called alike."""

    def step_post_backward(
        self,
        params: Parameters,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        lr: float,
    ) -> None:
        """After `loss.backward()` and the optimisers' step: refine at its time, and jitter. lr: the positions' learning rate."""
        if self.refine_start_iter < step < self.refine_stop_iter and step % self.refine_every == 0:
            moved = self._relocate(params, optimizers)
            added = self._add(params, optimizers)
            if self.verbose:
                print(
                    f"step {step}: {moved} Gaussians moved, {added} added, {len(params['means'])} are there"
                )
        self._jitter(params, lr * self.noise_lr)

    @torch.no_grad()
    def _relocate(self, params: Parameters, optimizers: Optimizers) -> int:
        opacities = torch.sigmoid(params["opacities"].flatten())
        dead = torch.where(opacities <= self.min_opacity)[0]
        if not len(dead):
            return 0
        alive = torch.where(opacities > self.min_opacity)[0]
        if not len(alive):
            raise RenderError(
                f"all {len(dead)} Gaussians are transparent (opacity up to {self.min_opacity}), so there is nowhere to move them; "
                "lower the learning rate or the opacity regularisation"
            )
        sources = alive[torch.multinomial(opacities[alive], len(dead), replacement=True)]
        shared = self._shared(params, sources)

        def move(name: str, p: Tensor) -> Tensor:
            p = p.clone()
            if name in shared:
                p[sources] = shared[name]
            p[dead] = p[sources]
            return p

        def forget(v: Tensor) -> Tensor:
            v[sources] = 0
            return v

        edit_rows(params, optimizers, move, forget)
        return len(dead)

    @torch.no_grad()
    def _add(self, params: Parameters, optimizers: Optimizers) -> int:
        count = len(params["means"])
        added = max(0, min(self.cap_max, int(GROWTH * count)) - count)
        if not added:
            return 0
        opacities = torch.sigmoid(params["opacities"].flatten())
        sources = torch.multinomial(opacities, added, replacement=True)
        shared = self._shared(params, sources)

        def append(name: str, p: Tensor) -> Tensor:
            if name in shared:
                p = p.clone()
                p[sources] = shared[name]
            return torch.cat([p, p[sources]])

        edit_rows(params, optimizers, append, lambda v: torch.cat([v, v.new_zeros(added, *v.shape[1:])]))
        return added

    def _shared(self, params: Parameters, sources: Tensor) -> dict[str, Tensor]:
        """Raw opacities and scales of Gaussians `sources` [n] after each has been shared out to all that it goes to."""
        copies = torch.bincount(sources)[sources] + 1
        opacities, scales = share_out(
            torch.sigmoid(params["opacities"][sources].flatten()), params["scales"][sources].exp(), copies
        )
        opacities = opacities.clamp(self.min_opacity, 1 - torch.finfo(torch.float32).eps)
        return {
            "opacities": torch.logit(opacities).reshape(params["opacities"][sources].shape),
            "scales": scales.log(),
        }

    @torch.no_grad()
    def _jitter(self, params: Parameters, size: float) -> None:
        """Move means by covariance times normal noise, scaled by `size` (1/m) and how transparent they are."""
        opacities = torch.sigmoid(params["opacities"].flatten())
        roaming = torch.sigmoid(NOISE_STEEPNESS * (NOISE_OPACITY - opacities))
        noise = torch.randn_like(params["means"]) * roaming[:, None] * size
        turn, scales = matrix_from_quaternion(params["quats"]), params["scales"].exp()
        local = (turn.mT @ noise[..., None])[..., 0] * scales * scales
        params["means"].add_((turn @ local[..., None])[..., 0])
