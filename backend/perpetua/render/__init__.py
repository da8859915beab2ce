"""Gaussians + camera -> colour, depth, alpha, and any other channel (masks, flow, features).

    rasterization(...)        gsplat's function of that name for CUDA and for CPU tensors, differentiable
    rasterization_2dgs(...)   the same for flat discs, on CUDA only
    render_layers(...)        one camera of the engine: colour, alpha, depth, normals, flow, masks in one pass
    Motion                    what the flow follows: the matter of the Gaussians between two frames
    strategy                  where Gaussians are added, moved and removed while a scene is fitted

`api.py` says what a renderer is, `rasterize.py` chooses one by device, `numba_backend/` is the one for CPUs,
`reference/` is a slow readable twin that the tests hold both against, `bench/` times them.
"""

from perpetua.render.api import RenderMode
from perpetua.render.layers import NOTHING_DEPTH, Layers, render_layers
from perpetua.render.motion import Motion
from perpetua.render.rasterize import rasterization
from perpetua.render.surfels import rasterization_2dgs

__all__ = [
    "NOTHING_DEPTH",
    "Layers",
    "Motion",
    "RenderMode",
    "rasterization",
    "rasterization_2dgs",
    "render_layers",
]
