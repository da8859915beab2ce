"""Adaptive density control of 3D Gaussian Splatting (Kerbl et al. 2023, section 5), with gsplat's fields and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.strategy.rows import (
    Optimizers,
    Parameters,
    cap_opacities,
    check_parameters,
    duplicate,
    remove,
    split,
)

RESET_OVER_PRUNE = 2.0
"""Opacities are reset to this many times the opacity under which Gaussians are pruned."""


@dataclass(frozen=True)
class DefaultStrategy:
    """Every `refine_every` steps: Gaussians whose place in the image is pulled at strongly are duplicated if they are small and split
    if they are large, and those that are transparent or too large are pruned. Every `reset_every` steps all are made nearly
    transparent, and what the pictures need comes back.

    (gsplat 1.5.3 documents that reset, but its condition, `step % reset_every == 0 & step > 0`, never holds.)
    """

    prune_opa: float = 0.005
    """Opacity under which a Gaussian is pruned."""
    grow_grad2d: float = 0.0002
    """Mean length of the loss's gradient to the place in the image, in units of half the image, above which one grows."""
    grow_scale3d: float = 0.01
    """Size, in scene scales, up to which one is duplicated; a larger one is split."""
    grow_scale2d: float = 0.05
    """Radius, in image sizes, above which one is split (until refine_scale2d_stop_iter)."""
    prune_scale3d: float = 0.1
    """Size, in scene scales, above which one is pruned (after the first reset)."""
    prune_scale2d: float = 0.15
    """Radius, in image sizes, above which one is pruned (likewise, until refine_scale2d_stop_iter)."""
    refine_scale2d_stop_iter: int = 0
    """Step until which radii in the image count; 0: never."""
    refine_start_iter: int = 500
    refine_stop_iter: int = 15_000
    reset_every: int = 3000
    refine_every: int = 100
    pause_refine_after_reset: int = 0
    """Steps after a reset without refinement."""
    absgrad: bool = False
    """Sum the lengths of the pixels' gradients instead of the gradients (AbsGS, Ye et al. 2024); render with absgrad=True and
    raise grow_grad2d to 0.0008 or so."""
    revised_opacity: bool = False
    """The halves of a split Gaussian get opacities that let through together what the one did (Rota Bulo et al. 2024)."""
    verbose: bool = False
    key_for_gradient: Literal["means2d", "gradient_2dgs"] = "means2d"
    """Entry of the renderer's meta whose gradient counts; 2DGS has another."""

    def check_sanity(self, params: Parameters, optimizers: Optimizers) -> None:
        """Raise RenderError for parameters and optimisers that this strategy cannot edit."""
        check_parameters(params, optimizers)

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        """The running sums, to be handed to every step; scene_scale: m, the size of the scene."""
        state: dict[str, Any] = {"grad2d": None, "count": None, "scene_scale": scene_scale}
        if self.refine_scale2d_stop_iter > 0:
            state["radii"] = None
        return state

    def step_pre_backward(
        self,
        params: Parameters,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
    ) -> None:
        """Before `loss.backward()`: ask for the gradient to the places in the image."""
        if self.key_for_gradient not in info:
            raise RenderError(
                f"the renderer's meta lacks '{self.key_for_gradient}', which the strategy follows"
            )
        info[self.key_for_gradient].retain_grad()

    def step_post_backward(
        self,
        params: Parameters,
        optimizers: Optimizers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        packed: bool = False,
    ) -> None:
        """After `loss.backward()` (and the optimisers' step): count, and at its time refine. `packed` as the render was."""
        if step >= self.refine_stop_iter:
            return
        self._count(params, state, info, packed)
        if (
            step > self.refine_start_iter
            and step % self.refine_every == 0
            and step % self.reset_every >= self.pause_refine_after_reset
        ):
            grown = self._grow(params, optimizers, state, step)
            pruned = self._prune(params, optimizers, state, step)
            if self.verbose:
                print(
                    f"step {step}: {grown} Gaussians grew, {pruned} pruned, {len(params['means'])} are there"
                )
            for name in ("grad2d", "count", "radii"):
                if name in state:
                    state[name].zero_()
        if step > 0 and step % self.reset_every == 0:
            cap_opacities(params, optimizers, RESET_OVER_PRUNE * self.prune_opa)

    @torch.no_grad()
    def _count(self, params: Parameters, state: dict[str, Any], info: dict[str, Any], packed: bool) -> None:
        """Add this step's pull on each Gaussian that was seen."""
        places = info[self.key_for_gradient]
        pull = places.absgrad if self.absgrad else places.grad
        if pull is None:
            raise RenderError(
                f"'{self.key_for_gradient}' has no gradient; call step_pre_backward before, and this after, loss.backward()"
            )
        # To image coordinates in [-1, 1]; and the loss is a mean over cameras.
        half = torch.tensor([info["width"], info["height"]], dtype=pull.dtype, device=pull.device) / 2
        pull = pull * half * info["n_cameras"]
        if packed:
            seen, radii = info["gaussian_ids"], info["radii"]
        else:
            visible = (info["radii"] > 0).all(-1)  # [C, N]
            seen, radii, pull = torch.where(visible)[1], info["radii"][visible], pull[visible]
        count = len(params["means"])
        for name in ("grad2d", "count", "radii"):
            if name in state and state[name] is None:
                state[name] = torch.zeros(count, device=pull.device)
        state["grad2d"].index_add_(0, seen, pull.norm(dim=-1))
        state["count"].index_add_(0, seen, torch.ones_like(seen, dtype=torch.float32))
        if "radii" in state:
            share = radii.amax(-1) / float(max(info["width"], info["height"]))
            state["radii"].scatter_reduce_(0, seen, share, "amax")

    def _size(self, params: Parameters, state: dict[str, Any]) -> Tensor:
        """[N] longest standard deviation in scene scales."""
        return params["scales"].detach().exp().amax(-1) / state["scene_scale"]

    @torch.no_grad()
    def _grow(self, params: Parameters, optimizers: Optimizers, state: dict[str, Any], step: int) -> int:
        pulled = state["grad2d"] / state["count"].clamp_min(1) > self.grow_grad2d
        small = self._size(params, state) <= self.grow_scale3d
        doubled, halved = pulled & small, pulled & ~small
        if step < self.refine_scale2d_stop_iter:
            halved |= state["radii"] > self.grow_scale2d
        added = int(doubled.sum())
        if added:
            duplicate(params, optimizers, state, doubled)
            halved = torch.cat([halved, halved.new_zeros(added)])
        parted = int(halved.sum())
        if parted:
            split(params, optimizers, state, halved, self.revised_opacity)
        return added + parted

    @torch.no_grad()
    def _prune(self, params: Parameters, optimizers: Optimizers, state: dict[str, Any], step: int) -> int:
        gone = torch.sigmoid(params["opacities"].flatten()) < self.prune_opa
        if step > self.reset_every:
            gone |= self._size(params, state) > self.prune_scale3d
            if step < self.refine_scale2d_stop_iter:
                gone |= state["radii"] > self.prune_scale2d
        count = int(gone.sum())
        if count:
            remove(params, optimizers, state, gone)
        return count
