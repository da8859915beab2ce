# mypy: disable-error-code="no-untyped-def"
"""The quadratic B-spline by which particles and nodes see each other."""

import quadrants as qd

REACH_CELLS = 1.5
"""A kernel reaches so far from its node along each axis."""


@qd.func
def spline_weights(fx):
    """Along each axis of a place ``fx`` [3], in cells from the first of the three nodes: rows of the nodes' weights."""
    return qd.Matrix.rows(
        [0.5 * (1.5 - fx) * (1.5 - fx), 0.75 - (fx - 1.0) * (fx - 1.0), 0.5 * (fx - 0.5) * (fx - 0.5)]
    )


@qd.func
def solid_share(distance):
    """Share of a node's kernel behind a plane at ``distance`` cells from the node, negative behind the plane: the integral of the
    spline, exact where the plane lies along the grid's axes."""
    t = qd.min(qd.max(distance, -1.5), 1.5)
    out = 0.5 - 0.75 * t + t * t * t / 3.0
    if t < -0.5:
        out = 1.0 - (1.5 + t) ** 3 / 6.0
    if t > 0.5:
        out = (1.5 - t) ** 3 / 6.0
    return out
