"""Values of the Gaussians that an image sees: rows of an array by index, and back.

    out[row] = values[ids[row]],      dL/dvalues[ids[row]] = dL/dout[row]

Within an image a Gaussian has one row at most, so that rows can be written from any thread; torch's own indexing would
add them atomically, in any order.

The readable twin has no packed rows: in its place stands torch's indexing, `values[ids]`, in reference/rasterize.py.
"""

from __future__ import annotations

import numpy as np

from perpetua.render.numba_backend.compile import kernel


@kernel
def gather_rows(begin: int, end: int, values: np.ndarray, ids: np.ndarray, out: np.ndarray) -> None:
    """out [rows, D] from values [N, D], rows begin..end."""
    for row in range(begin, end):
        i = ids[row]
        for k in range(out.shape[1]):
            out[row, k] = values[i, k]


@kernel
def scatter_rows(
    begin: int, end: int, grad_out: np.ndarray, ids: np.ndarray, grad_values: np.ndarray
) -> None:
    """Rows begin..end of grad_out [rows, D] written to their places in grad_values [N, D]."""
    for row in range(begin, end):
        i = ids[row]
        for k in range(grad_out.shape[1]):
            grad_values[i, k] = grad_out[row, k]
