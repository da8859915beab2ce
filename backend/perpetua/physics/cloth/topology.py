"""What a triangle mesh becomes as cloth: springs along its edges, a bending energy, masses, and which vertices are held.

Stretch: an edge of length l with the triangle areas A1, A2 beside it is a spring of E t (A1 + A2) / l^2 newtons per metre, which stretches
like a membrane of Young's modulus E and thickness t (Van Gelder 1998, "Approximate simulation of elastic membranes by triangulated
spring meshes"): exact for even triangles, a fifth stiffer for squares with a diagonal. t is the area density over the density of the fibres.

Bending: sum over inner edges (hinges) of B / (2 (A1 + A2)) |K x|^2 with cotangent weights K of the four vertices around the edge (Bergou et al.
2006, "A quadratic bending model for inextensible surfaces"), which is quadratic: its force is a constant sparse matrix times x. The factor
is that of even triangles (Seung and Nelson 1988) and of squares with a diagonal, whose edges across the bend carry all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_matrix

from perpetua.errors import SimulationError
from perpetua.scene.materials import Material

MOST_COLOURS = 24
"""Springs that share no vertex are solved together; a mesh whose vertices have up to 12 neighbours needs at most this many groups."""

SMALLEST_AREA = 1e-3
"""A triangle counts with this share of the mean area at least, so that slivers make no endless stiffness."""


@dataclass(frozen=True)
class Topology:
    """n vertices, e springs in order of their colour, h hinges, f triangles.

    mass: [n] kg.  area: [n] m^2.  edges: [e, 2].  rest: [e] m.  stiffness: [e] N/m.  colours: [c + 1] where each colour's springs
    start.  hinges: [h, n], the weights K.  rigidity: [h] N/m, of each hinge.  faces: [f, 3].
    """

    mass: NDArray
    area: NDArray
    edges: NDArray
    rest: NDArray
    stiffness: NDArray
    colours: NDArray
    hinges: csr_matrix
    rigidity: NDArray
    faces: NDArray

    @property
    def bending(self) -> csr_matrix:
        """[n, n] N/m: minus the force of bending is this times the places."""
        return bending_of(self.hinges, self.rigidity)


def bending_of(hinges: csr_matrix, rigidity: NDArray) -> csr_matrix:
    """[n, n] N/m, for hinges [h, n] of ``rigidity`` [h] N/m."""
    return csr_matrix(hinges.T @ hinges.multiply(rigidity[:, None]).tocsr())


def topology_of(vertices: NDArray, faces: NDArray, material: Material, name: str) -> Topology:
    """The cloth of ``material`` whose rest shape is the mesh ``vertices`` [n, 3] m, ``faces`` [f, 3].

    Raises ``SimulationError`` naming the object if the mesh is no sheet.
    """
    x, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= len(x) or not np.isfinite(x).all():
        raise SimulationError(
            f"'{name}' is cloth but has no surface to be a sheet of; choose it again in the picture or give it another material."
        )
    area = 0.5 * np.linalg.norm(
        np.cross(x[faces[:, 1]] - x[faces[:, 0]], x[faces[:, 2]] - x[faces[:, 0]]), axis=1
    )
    area = np.maximum(area, SMALLEST_AREA * area.mean())
    share = np.bincount(faces.ravel(), np.repeat(area / 3.0, 3), len(x))
    if (share == 0).any():
        raise SimulationError(f"'{name}' has a loose point in its sheet; reconstruct it again.")
    edges, beside = edges_of(faces)
    length = np.linalg.norm(x[edges[:, 0]] - x[edges[:, 1]], axis=1)
    near = area[beside[:, 0]] + np.where(beside[:, 1] >= 0, area[beside[:, 1]], 0.0)
    thickness = material.area_density / material.density
    stiffness = material.youngs_modulus * thickness * near / length**2
    order, colours = coloured(edges, len(x))
    if len(colours) - 1 > MOST_COLOURS:
        raise SimulationError(
            f"'{name}' has a point with too many neighbours in its sheet; reconstruct it again."
        )
    return Topology(
        share * material.area_density, share, edges[order], length[order], stiffness[order], colours,
        *hinges_of(x, faces, area, edges, beside, material.bending_stiffness), faces,
    )  # fmt: skip


def joined(parts: Sequence[Topology]) -> Topology:
    """Several sheets as one; vertices are numbered on."""
    first = np.cumsum([0] + [len(p.mass) for p in parts[:-1]])
    edges = np.concatenate([p.edges + f for p, f in zip(parts, first, strict=True)])
    colour = np.concatenate([np.repeat(np.arange(len(p.colours) - 1), np.diff(p.colours)) for p in parts])
    order = np.argsort(colour, kind="stable")
    counts = np.bincount(colour, minlength=max(len(p.colours) for p in parts) - 1)

    def all_of(name: str) -> NDArray:
        return np.concatenate([getattr(p, name) for p in parts])

    return Topology(
        all_of("mass"), all_of("area"), edges[order], all_of("rest")[order], all_of("stiffness")[order],
        np.concatenate([[0], np.cumsum(counts)]), block_diag([p.hinges for p in parts], format="csr"), all_of("rigidity"),
        np.concatenate([p.faces + f for p, f in zip(parts, first, strict=True)]),
    )  # fmt: skip


def edges_of(faces: NDArray) -> tuple[NDArray, NDArray]:
    """Edges [e, 2] and the two triangles [e, 2] beside each, -1 where there is none."""
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    edges, index = np.unique(sides, axis=0, return_inverse=True)
    index = index.ravel()
    beside = np.full((len(edges), 2), -1)
    order = np.argsort(index, kind="stable")
    start = np.searchsorted(index[order], np.arange(len(edges)))
    count = np.bincount(index, minlength=len(edges))
    beside[:, 0] = owner[order[start]]
    two = count >= 2
    beside[two, 1] = owner[order[start[two] + 1]]
    return edges, beside


def coloured(edges: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """An order of the edges by colour, no two of a colour sharing one of ``count`` vertices, and where each colour starts."""
    taken = [0] * count
    colour = np.zeros(len(edges), np.int64)
    for e, (i, j) in enumerate(edges.tolist()):
        free = ~(taken[i] | taken[j])
        lowest = free & -free
        colour[e] = lowest.bit_length() - 1
        taken[i] |= lowest
        taken[j] |= lowest
    order = np.argsort(colour, kind="stable")
    return order, np.concatenate([[0], np.cumsum(np.bincount(colour))])


def hinges_of(
    x: NDArray, faces: NDArray, area: NDArray, edges: NDArray, beside: NDArray, stiffness: float
) -> tuple[csr_matrix, NDArray]:
    """Weights K [h, n] and rigidity [h] N/m of the inner edges of triangles of ``area`` [f] m^2, for a flexural rigidity in N m."""
    inner = beside[:, 1] >= 0
    a, b = edges[inner].T
    t0, t1 = beside[inner].T
    c = faces[t0].sum(1) - a - b
    d = faces[t1].sum(1) - a - b

    def cot(at: NDArray, one: NDArray, two: NDArray, beneath: NDArray) -> NDArray:
        return ((x[one] - x[at]) * (x[two] - x[at])).sum(1) / (2.0 * area[beneath])

    ac, ad, bc, bd = cot(a, b, c, t0), cot(a, b, d, t1), cot(b, a, c, t0), cot(b, a, d, t1)
    weights = np.stack([bc + bd, ac + ad, -ac - bc, -ad - bd], 1)
    rows = np.repeat(np.arange(len(a)), 4)
    K = csr_matrix((weights.ravel(), (rows, np.stack([a, b, c, d], 1).ravel())), (len(a), len(x)))
    return K, stiffness / (area[t0] + area[t1])
