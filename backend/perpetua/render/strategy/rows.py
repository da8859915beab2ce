"""Rows of Gaussian parameters added, replaced and removed together with what their optimisers remember of them.

Parameters are a dictionary of tensors with one row a Gaussian, each with an optimiser of its own (as gsplat has it). An optimiser
knows a tensor by identity, so a tensor with other rows is put in the place of the old one, and the optimiser's per-row state
(Adam's moments) follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.scene.rotations import matrix_from_quaternion

Parameters = MutableMapping[str, torch.nn.Parameter]
Optimizers = MutableMapping[str, torch.optim.Optimizer]

NEEDED = ("means", "quats", "scales", "opacities")
SPLIT_SHRINK = 1.6
"""By how much the halves of a split Gaussian are smaller (Kerbl et al. 2023, section 5.2)."""


def check_parameters(params: Parameters, optimizers: Optimizers) -> None:
    """Refuse parameters and optimisers that a strategy cannot edit."""
    missing = [name for name in NEEDED if name not in params]
    if missing:
        raise RenderError(
            f"a strategy needs the parameters {', '.join(NEEDED)}; {', '.join(missing)} are not there"
        )
    trained = {name for name, p in params.items() if p.requires_grad}
    if trained != set(optimizers):
        raise RenderError(
            "each parameter with a gradient needs an optimiser of its own name: there are parameters "
            f"{sorted(trained)} and optimisers {sorted(optimizers)}"
        )
    for name, optimizer in optimizers.items():
        groups = optimizer.param_groups
        if len(groups) != 1 or len(groups[0]["params"]) != 1 or groups[0]["params"][0] is not params[name]:
            raise RenderError(f"the optimiser '{name}' must hold the parameter '{name}' and nothing else")


def edit_rows(
    params: Parameters,
    optimizers: Optimizers,
    edit: Callable[[str, Tensor], Tensor],
    remember: Callable[[Tensor], Tensor],
    names: Iterable[str] | None = None,
) -> None:
    """Replace parameters, in place of the dictionary.

    Args:
        edit: (name, old tensor) -> new tensor, of any number of rows.
        remember: old per-row state of an optimiser -> new; what is not per row (a step count) stays.
        names: parameters to edit; all when None.
    """
    with torch.no_grad():
        for name in list(params) if names is None else names:
            old = params[name]
            new = torch.nn.Parameter(edit(name, old.detach()), requires_grad=old.requires_grad)
            params[name] = new
            if name not in optimizers:
                continue
            optimizer = optimizers[name]
            state = optimizer.state.pop(old, {})
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == old.shape:
                    state[key] = remember(value)
            optimizer.param_groups[0]["params"] = [new]
            optimizer.state[new] = state


def _running(state: dict[str, Any], edit: Callable[[Tensor], Tensor]) -> None:
    """Edit the rows of a strategy's running sums."""
    for key, value in state.items():
        if isinstance(value, Tensor):
            state[key] = edit(value)


def _with_zeros(value: Tensor, count: int) -> Tensor:
    return torch.cat([value, value.new_zeros(count, *value.shape[1:])])


def duplicate(params: Parameters, optimizers: Optimizers, state: dict[str, Any], mask: Tensor) -> None:
    """Append a copy of each Gaussian in `mask` [N] bool."""
    chosen = torch.where(mask)[0]
    edit_rows(
        params, optimizers, lambda _, p: torch.cat([p, p[chosen]]), lambda v: _with_zeros(v, len(chosen))
    )
    _running(state, lambda v: torch.cat([v, v[chosen]]))


def split(
    params: Parameters, optimizers: Optimizers, state: dict[str, Any], mask: Tensor, revised_opacity: bool
) -> None:
    """Put two smaller Gaussians, drawn from it, in the place of each in `mask` [N] bool; they come last.

    With `revised_opacity` the two let through together what the one did (Rota Bulo et al. 2024): 1 - sqrt(1 - o).
    """
    chosen, kept = torch.where(mask)[0], torch.where(~mask)[0]
    scales = params["scales"].detach()[chosen].exp()
    turn = matrix_from_quaternion(params["quats"].detach()[chosen])
    drawn = torch.randn(2, len(chosen), 3, device=scales.device) * scales
    away = torch.einsum("nij,bnj->bni", turn, drawn)

    def halves(name: str, p: Tensor) -> Tensor:
        if name == "means":
            return (p[chosen] + away).reshape(-1, 3)
        if name == "scales":
            return torch.log(scales / SPLIT_SHRINK).repeat(2, 1)
        twice = p[chosen].repeat(2, *(1 for _ in p.shape[1:]))
        if name == "opacities" and revised_opacity:
            return torch.logit(1 - torch.sqrt(1 - torch.sigmoid(twice)))
        return twice

    edit_rows(
        params,
        optimizers,
        lambda name, p: torch.cat([p[kept], halves(name, p)]),
        lambda v: _with_zeros(v[kept], 2 * len(chosen)),
    )
    _running(state, lambda v: torch.cat([v[kept], v[chosen].repeat(2, *(1 for _ in v.shape[1:]))]))


def remove(params: Parameters, optimizers: Optimizers, state: dict[str, Any], mask: Tensor) -> None:
    """Take away the Gaussians in `mask` [N] bool."""
    kept = torch.where(~mask)[0]
    edit_rows(params, optimizers, lambda _, p: p[kept], lambda v: v[kept])
    _running(state, lambda v: v[kept])


def cap_opacities(params: Parameters, optimizers: Optimizers, opacity: float) -> None:
    """Bring all opacities down to `opacity` at most, and forget the optimiser's momentum of them."""
    most = float(torch.logit(torch.tensor(opacity)))
    edit_rows(params, optimizers, lambda _, p: p.clamp(max=most), torch.zeros_like, names=["opacities"])
