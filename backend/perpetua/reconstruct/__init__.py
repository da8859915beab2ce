"""Reconstruction: a picture becomes a scene of splats and particles."""
