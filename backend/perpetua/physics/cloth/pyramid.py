"""How a sheet and the coarse nets over it share the stiffness of cloth, in steps of a given length.

A sweep over springs brings on no more stiffness than the masses at their ends allow in a step of dt s: a spring of k N/m acts as one of
1 / (1 / k + SWEEP dt^2 (1 / m1 + 1 / m2)), far less at fine spacings. Bending, whose force is that of where a step begins,
is stable while dt^2 times the eigenvalues of force over mass stays below 4. So the sheet takes of both what its vertices can bear, a net
over it of the rest what its heavier corners can, the next net what is left: together they have, over long ways, all that the material has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.cloth.layers import Layer, layer_of
from perpetua.physics.cloth.topology import Topology
from perpetua.scene.materials import Material

SWEEP = 0.6
"""Measured on hanging sheets, see ``tests/physics/test_cloth.py``."""

BENDING = 1.0
"""Largest dt^2 times the row sums of bending over mass, which bound the eigenvalues."""

COARSER = 3.0
"""Spacings of one net over those of the next finer one, about."""

APART = 2.5
"""Corners of a net are at least so many spacings apart; on a lattice they are then three."""

ENOUGH = 0.2
"""What part of the stiffness may be left to nobody."""


def own_share(sheet: Topology, dt: float) -> Topology:
    """``sheet`` with as much of its stiffness as it takes itself in steps of ``dt`` s."""
    return _taken(sheet, (1.0, 1.0), dt)[0]


def pyramid_of(
    vertices: NDArray, sheet: Topology, material: Material, held: NDArray, dt: float
) -> list[Layer]:
    """As many nets as ``sheet`` of ``material`` needs in steps of ``dt`` s, with what they take of its stiffness, the finest first.

    vertices: [n, 3] m at rest.  held: [n] bool, those that do not move freely.
    """
    _, left = _taken(sheet, (1.0, 1.0), dt)
    layers: list[Layer] = []
    apart = APART * float(np.sqrt(sheet.area.mean()))
    while max(left) > ENOUGH:
        layer = layer_of(vertices, sheet, material, apart, held)
        if layer is None:
            break
        net, left = _taken(layer.net, left, dt)
        layers.append(replace(layer, net=net))
        apart *= COARSER
    return layers


def _taken(net: Topology, left: tuple[float, float], dt: float) -> tuple[Topology, tuple[float, float]]:
    """``net`` with what it takes of the parts ``left`` of its springs and its bending, and what is left then."""
    stiffness = left[0] * net.stiffness
    compliance = SWEEP * dt * dt * (1.0 / net.mass[net.edges]).sum(1)
    borne = float((1.0 / (1.0 + stiffness * compliance)).mean())
    if not net.rigidity.any():
        return replace(net, stiffness=stiffness), (
            left[0] * (1.0 - borne),
            left[1] if len(net.rigidity) else 0.0,
        )
    rows = np.asarray(abs(net.bending).sum(1)).ravel()
    bearable = np.minimum(BENDING / (dt * dt) * net.mass / np.maximum(rows, 1e-30), left[1])
    hinges = net.hinges
    share = np.minimum.reduceat(bearable[hinges.indices], hinges.indptr[:-1])
    taken = float(np.average(share, weights=net.rigidity))
    return replace(net, stiffness=stiffness, rigidity=share * net.rigidity), (
        left[0] * (1.0 - borne),
        left[1] - taken,
    )
