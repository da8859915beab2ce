"""A slow, readable twin of the renderers: the equations in plain torch, any float type, gradients by autograd.

    project.py     3D Gaussian -> 2D mean, depth, covariance, compensation     twin of numba_backend/project*.py
    harmonics.py   spherical harmonics + view direction -> colour              twin of numba_backend/harmonics.py
    composite.py   what is seen, nearest first -> image, alpha                 twin of numba_backend/{bin,composite}*.py
    rasterize.py   the stages in order                                         twin of numba_backend/rasterize.py

Every Gaussian is evaluated at every pixel, so memory grows as N x H x W: it is for small scenes, in tests, and for
reading. The fast kernels must agree with it up to the rounding of float32.
"""

from perpetua.render.reference.project import covariances
from perpetua.render.reference.rasterize import rasterize_reference

__all__ = ["covariances", "rasterize_reference"]
