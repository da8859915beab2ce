# mypy: disable-error-code="no-untyped-def, valid-type"
"""The coarse nets of a sheet at work, compiled.

In a step the corners are found, hinges and threads move them as though each weighed what moves with it, one sweep over the threads as over the
sheet's springs, and every vertex follows by its shares. A thread only pulls: where the sheet is folded, its ends are nearer to each other than
along the sheet. Hinges act from where the sheet is going, which damps what swings faster than steps can follow.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.cloth.layers import Layer
from perpetua.physics.cloth.sheet import colour_starts, room, write, write_rows
from perpetua.physics.cloth.topology import MOST_COLOURS
from perpetua.physics.shared_kernels import Shared, floats, integer_vectors, integers, shared_kernels, vectors


@shared_kernels
class Net(Shared):
    """The net ``layer`` over the vertices of a sheet from ``first`` on, which have ``mass`` [n] kg; ``held`` [n] do not follow it."""

    def __init__(self, layer: Layer, first: int, mass: NDArray, held: NDArray) -> None:
        net, bending = layer.net, layer.net.bending
        c, t, n = len(layer.at), len(net.edges), len(mass)
        self.first, self.n = integers(), integers()
        self.first[None], self.n[None] = first, n
        self.corners = integers()
        self.x = vectors(3, room(c))
        self.way = vectors(3, room(c))
        self.mean_start = integers(room(c) + 1)
        self.mean_vertex = integers(room(layer.means.nnz))
        self.mean_part = floats(room(layer.means.nnz))
        self.weight = floats(room(c))
        self.shift = vectors(3, room(c))
        self.thread = integer_vectors(2, room(t))
        self.rest = floats(room(t))
        self.stiffness = floats(room(t))
        self.colour = integers(MOST_COLOURS + 1)
        self.bend_start = integers(room(c) + 1)
        self.bend_column = integers(room(bending.nnz))
        self.bend_value = floats(room(bending.nnz))
        self.parent = integer_vectors(3, room(n))
        self.share = vectors(3, room(n))
        self.corners[None] = c
        free = np.where(held, 0.0, mass)
        moved = np.bincount(layer.parents.ravel(), (layer.shares * free[:, None]).ravel(), c)
        weight = np.where(held[layer.at], 0.0, 1.0 / np.maximum(moved, mass[layer.at]))
        for field, values in (
            (self.weight, weight), (self.thread, net.edges), (self.rest, net.rest),
            (self.stiffness, net.stiffness), (self.colour, colour_starts(net)), (self.parent, layer.parents),
            (self.share, layer.shares),
        ):  # fmt: skip
            write(field, values)
        write_rows(self.bend_start, self.bend_column, self.bend_value, bending)
        write_rows(self.mean_start, self.mean_vertex, self.mean_part, layer.means)

    @qd.kernel
    def find(self, sheet: qd.template()):
        """Find the corners as a substep of ``sheet`` begins."""
        for c in range(self.corners[None]):
            x = qd.Vector.zero(qd.f32, 3)
            for k in range(self.mean_start[c], self.mean_start[c + 1]):
                x += self.mean_part[k] * sheet.x[self.first[None] + self.mean_vertex[k]]
            self.x[c] = x

    @qd.kernel
    def pull(self, sheet: qd.template(), dt: qd.f32):
        """Move ``sheet``, which has set out on a step of ``dt`` s."""
        for c in range(self.corners[None]):
            way = qd.Vector.zero(qd.f32, 3)
            for k in range(self.mean_start[c], self.mean_start[c + 1]):
                way += self.mean_part[k] * sheet.way[self.first[None] + self.mean_vertex[k]]
            self.way[c] = way
        for c in range(self.corners[None]):
            force = qd.Vector.zero(qd.f32, 3)
            for k in range(self.bend_start[c], self.bend_start[c + 1]):
                o = self.bend_column[k]
                force -= self.bend_value[k] * ((self.x[o] - self.x[c]) + (self.way[o] - self.way[c]))
            self.shift[c] = dt * dt * self.weight[c] * force
        for colour in qd.static(range(MOST_COLOURS)):
            for t in range(self.colour[colour], self.colour[colour + 1]):
                a, b = self.thread[t][0], self.thread[t][1]
                d = (self.x[a] - self.x[b]) + (self.way[a] - self.way[b]) + (self.shift[a] - self.shift[b])
                length = d.norm()
                together = self.weight[a] + self.weight[b]
                if together > 0.0 and length > self.rest[t]:
                    pull = (length - self.rest[t]) / (together + 1.0 / (self.stiffness[t] * dt * dt)) / length
                    # not +=, which is an atomic sum and several times slower: threads of a colour share no corner
                    self.shift[a] = self.shift[a] - self.weight[a] * pull * d
                    self.shift[b] = self.shift[b] + self.weight[b] * pull * d
        for m in range(self.n[None]):
            i = self.first[None] + m
            if sheet.weight[i] > 0.0:
                share, parent = self.share[m], self.parent[m]
                sheet.way[i] = (
                    sheet.way[i]
                    + share[0] * self.shift[parent[0]]
                    + share[1] * self.shift[parent[1]]
                    + share[2] * self.shift[parent[2]]
                )
