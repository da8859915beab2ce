"""The CPU renderer: numba kernels for each stage of Gaussian splatting, forward and backward.

    project.py             3D Gaussian -> 2D mean, conic, depth, extent
    project_backward.py    gradient of the projection, the camera's matrix too
    harmonics.py           spherical harmonics + view direction -> colour          (and its gradient)
    gather.py              rows of the Gaussians that an image sees                (and its gradient)
    bin.py                 depth order, list of Gaussians for each 16 x 16 tile
    composite.py           tile lists -> colour, alpha
    composite_backward.py  gradient of the composite, summed without atomics
    lanes.py               sixteen numbers in a register, the type in which the composite calculates
    compile.py             how kernels are compiled and kept;   threads.py  how they run on several threads
    functions/             these stages as torch functions, one file a stage
    rasterize.py           the stages in order: gsplat's `rasterization` for CPU tensors
    meta.py                what it says about what it drew, as gsplat does

The same scene gives the same bytes on one machine for any number of threads and in every run.
"""
