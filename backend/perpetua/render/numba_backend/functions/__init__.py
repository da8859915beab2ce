"""The stages of the CPU renderer as torch functions with gradients, one file a stage.

    project.py    Gaussians and cameras -> means, depths and covariances in the image, for all cameras at once
    harmonics.py  spherical harmonics -> colours, for one camera
    gather.py     rows of what an image sees, for one image
    composite.py  what was projected -> image and alpha, for one camera

Each allocates the arrays, calls the kernels of the file of the same name in the folder above over ranges of Gaussians
or tiles, and hands torch the gradients. The equations stand with the kernels.
"""
