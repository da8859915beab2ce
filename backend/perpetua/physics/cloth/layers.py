"""Coarse nets over a sheet: some of its vertices, several spacings apart, joined by threads and hinges of their own.

What a sheet's springs do over a long way, a sweep over them brings on by a spacing a step; a coarse net of the same cloth brings it
on by many (Mueller 2008, "Hierarchical position based dynamics"). Every vertex of the sheet lies in a triangle of the net and moves
with its corners by their shares, so that a net's corner weighs what moves with it and no momentum is lost.

The corners are picked so that none is closer than a distance to another, held vertices first, then the border. Corners whose neighbourhoods
meet are joined, three that meet in a triangle of the sheet are a triangle (the dual of the Voronoi diagram along the sheet).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from perpetua.physics.cloth.topology import (
    MOST_COLOURS,
    SMALLEST_AREA,
    Topology,
    coloured,
    edges_of,
    hinges_of,
)
from perpetua.scene.materials import Material

DETOUR = 1.25
"""Ways over edges and hinges through the cells of two corners are longer by at most this than the shortest on the sheet."""


@dataclass(frozen=True)
class Layer:
    """A net of c corners over a sheet of n vertices.

    at: [c], the vertices that they were picked at.  parents: [n, 3], the corners that each vertex moves with, and shares: [n, 3], by how much.
    means: [c, n], of which vertices a corner is the mean place.  net: what joins them.
    """

    at: NDArray[np.int64]
    parents: NDArray[np.int64]
    shares: NDArray[np.float64]
    means: csr_matrix
    net: Topology


def layer_of(
    vertices: NDArray, sheet: Topology, material: Material, apart: float, held: NDArray
) -> Layer | None:
    """A net over ``sheet`` of ``material``, whose rest shape is ``vertices`` [n, 3] m, with corners at least ``apart`` m from each other;
    ``held`` [n] are among them as far as they may be. None where nothing would be left to join."""
    x = np.asarray(vertices, np.float64)
    edges, beside = edges_of(sheet.faces)
    border = np.zeros(len(x), bool)
    border[edges[beside[:, 1] < 0]] = True
    at = _picked(x, np.lexsort((~border, ~held)), apart)
    way, cell = _cells(x, edges, _opposite(sheet.faces, edges, beside), at)
    threads, along = _threads(edges, x, way, cell)
    if len(threads) == 0:
        return None
    corners = np.sort(cell[sheet.faces], axis=1)
    faces = np.unique(corners[(np.diff(corners, axis=1) > 0).all(1)], axis=0)
    parents, shares = _interpolated(x, at, cell, faces, threads)
    rows = np.repeat(np.arange(len(x)), 3)
    moves = csr_matrix((shares.ravel(), (rows, parents.ravel())), (len(x), len(at)))
    moves.eliminate_zeros()
    mass = moves.T @ sheet.mass
    means = csr_matrix(moves.T.multiply(sheet.mass).multiply(1.0 / mass[:, None]))
    folded = along / (DETOUR * np.linalg.norm(x[at[threads[:, 0]]] - x[at[threads[:, 1]]], axis=1))
    net = _net(means @ x, mass, moves.T @ sheet.area, material, faces, threads, np.maximum(folded, 1.0))
    return Layer(at, parents, shares, means, net)


def _picked(x: NDArray, order: NDArray, apart: float) -> NDArray[np.int64]:
    """Vertices that are at least ``apart`` m from each other while every other is nearer to one of them, the first in ``order`` first."""
    tree, free, picked = cKDTree(x), np.ones(len(x), bool), []
    for v in order.tolist():
        if free[v]:
            picked.append(v)
            free[tree.query_ball_point(x[v], apart)] = False
    return np.sort(np.array(picked))


def _opposite(faces: NDArray, edges: NDArray, beside: NDArray) -> tuple[NDArray, NDArray]:
    """The two vertices [h, 2] across each inner edge and how far apart they are [h, 4]: edge and triangles, to be laid flat."""
    inner = beside[:, 1] >= 0
    ab = edges[inner]
    return ab, faces[beside[inner]].sum(2) - ab.sum(1)[:, None]


def _cells(
    x: NDArray, edges: NDArray, hinges: tuple[NDArray, NDArray], at: NDArray
) -> tuple[NDArray, NDArray]:
    """Of each vertex the way in m along the sheet to the corner nearest on it, and which that is."""
    (a, b), across = hinges[0].T, hinges[1]
    edge = x[b] - x[a]
    length = np.maximum(np.linalg.norm(edge, axis=1), 1e-12)
    arm = x[across] - x[a][:, None]  # [h, 2, 3]
    along = (arm * edge[:, None]).sum(2) / length[:, None]
    high = np.sqrt(np.maximum((arm**2).sum(2) - along**2, 0.0))
    flat = np.hypot(along[:, 0] - along[:, 1], high.sum(1))
    pairs = np.concatenate([edges, across])
    ways = np.concatenate([np.linalg.norm(x[edges[:, 0]] - x[edges[:, 1]], axis=1), flat])
    graph = csr_matrix((np.maximum(ways, 1e-12), (pairs[:, 0], pairs[:, 1])), (len(x), len(x)))
    way, _, source = dijkstra(graph, directed=False, indices=at, return_predecessors=True, min_only=True)
    corner = np.searchsorted(at, np.maximum(source, 0))
    alone = ~np.isfinite(way)  # a piece without a corner
    if alone.any():
        way[alone], corner[alone] = cKDTree(x[at]).query(x[alone])
    return way, corner


def _threads(edges: NDArray, x: NDArray, way: NDArray, cell: NDArray) -> tuple[NDArray, NDArray]:
    """Pairs [t, 2] of corners whose cells meet, and the shortest way in m [t] along the sheet between them."""
    pairs = np.sort(cell[edges], axis=1)
    meets = pairs[:, 0] != pairs[:, 1]
    a, b = edges[meets].T
    through = way[a] + np.linalg.norm(x[a] - x[b], axis=1) + way[b]
    threads, which = np.unique(pairs[meets], axis=0, return_inverse=True)
    along = np.full(len(threads), np.inf)
    np.minimum.at(along, which.ravel(), through)
    return threads, along


def _interpolated(
    x: NDArray, at: NDArray, cell: NDArray, faces: NDArray, threads: NDArray
) -> tuple[NDArray, NDArray]:
    """Of each vertex the three corners [n, 3] that it moves with and their shares: of the triangles, and threads without any, at the
    corner of its cell those that come nearest to it."""
    sides = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    lone = threads[~np.isin(threads @ [len(at), 1], sides @ [len(at), 1])]
    alone = np.setdiff1d(np.arange(len(at)), np.concatenate([sides.ravel(), lone.ravel()]))
    simplices = np.concatenate([faces, lone[:, [0, 1, 1]], np.repeat(alone, 3).reshape(-1, 3)])
    incident = np.repeat(np.arange(len(simplices)), 3)
    by_corner = np.argsort(simplices.ravel(), kind="stable")
    start = np.searchsorted(simplices.ravel()[by_corner], np.arange(len(at) + 1))
    count = (start[1:] - start[:-1])[cell]
    vertex = np.repeat(np.arange(len(x)), count)
    place = np.arange(len(vertex)) - np.repeat(np.cumsum(count) - count, count)
    candidate = incident[by_corner[start[cell][vertex] + place]]
    shares = _shares(x[vertex], x[at][simplices[candidate]])
    miss = np.linalg.norm((shares[..., None] * x[at][simplices[candidate]]).sum(1) - x[vertex], axis=1)
    best = np.lexsort((place, miss, vertex))[np.cumsum(count) - count]
    parents, shares = simplices[candidate[best]], shares[best]
    parents[at], shares[at] = np.arange(len(at))[:, None], [1.0, 0.0, 0.0]
    return parents, shares


def _shares(point: NDArray, corners: NDArray) -> NDArray:
    """[m, 3]: where the points [m, 3] lie in the triangles [m, 3, 3], or nearly so outside; a triangle may be a line or a point."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = point - corners[:, 0]
    aa, ab, bb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
    pa, pb = (p * a).sum(1), (p * b).sum(1)
    det = aa * bb - ab * ab
    flat = det <= 1e-9 * np.maximum(aa * bb, 1e-30)
    det = np.where(flat, 1.0, det)
    u = np.where(flat, pa / np.maximum(aa, 1e-30), (bb * pa - ab * pb) / det)
    v = np.where(flat, 0.0, (aa * pb - ab * pa) / det)
    shares = np.maximum(np.stack([1.0 - u - v, u, v], 1), 0.0)
    return shares / shares.sum(1, keepdims=True)


def _net(
    x: NDArray, mass: NDArray, area: NDArray, material: Material, faces: NDArray, threads: NDArray, folded: NDArray
) -> Topology:  # fmt: skip
    """What joins corners at ``x`` [c, 3] m, as ``topology_of`` has it; a thread without triangles stands for the cloth around it. Laid flat
    a thread is ``folded`` [t] times as long as it is seen."""
    of_face = 0.5 * np.linalg.norm(
        np.cross(x[faces[:, 1]] - x[faces[:, 0]], x[faces[:, 2]] - x[faces[:, 0]]), axis=1
    )
    of_face = np.maximum(of_face, SMALLEST_AREA * area.mean())
    near = area[threads].mean(1)
    hinges, rigidity = csr_matrix((0, len(x))), np.zeros(0)
    if len(faces):
        sides, beside = edges_of(faces)
        around = of_face[beside[:, 0]] + np.where(beside[:, 1] >= 0, of_face[beside[:, 1]], 0.0)
        near[np.searchsorted(threads @ [len(x), 1], sides @ [len(x), 1])] = around  # every side is a thread
        hinges, rigidity = hinges_of(x, faces, of_face, sides, beside, material.bending_stiffness)
    rest = folded * np.linalg.norm(x[threads[:, 0]] - x[threads[:, 1]], axis=1)
    thickness = material.area_density / material.density
    stiffness = material.youngs_modulus * thickness * near / rest**2
    order, colours = coloured(threads, len(x))
    colours = colours[: MOST_COLOURS + 1]
    order = order[: colours[-1]]
    return Topology(
        mass, area, threads[order], rest[order], stiffness[order], colours, hinges, rigidity, faces
    )  # fmt: skip
