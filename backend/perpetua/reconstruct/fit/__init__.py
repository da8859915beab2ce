"""Gaussians from a capture: where they start, how they are trained, and which object each belongs to.

train.py      the fit: read it first
start.py      where the Gaussians start: at known depth, at a sparse cloud, in the hull of the outlines, or at random
identity.py   whose each Gaussian is, learned with the pictures
"""
