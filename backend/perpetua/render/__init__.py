"""Gaussians + camera -> colour, depth, alpha, and any other channel (masks, flow, features).

    rasterization(...)   gsplat's function of that name for CUDA and for CPU tensors, differentiable
    render_frame(...)    one camera of the engine, everything a frame needs in one pass

`api.py` says what a renderer is, `rasterize.py` chooses one by device, `numba_backend/` is the one for CPUs,
`reference.py` is a slow readable twin that the tests hold both against, `bench.py` times them.
"""

from perpetua.render.api import RenderMode
from perpetua.render.frame import RenderedFrame, render_frame
from perpetua.render.rasterize import rasterization

__all__ = ["RenderMode", "RenderedFrame", "rasterization", "render_frame"]
