"""Splats that another program made, as an input.

file.py          reads INRIA's PLY layout and ``.splat``
standpoint.py    which way is up, and where to look from
reconstructor.py a set of splats into a scene: rendered from a ring of cameras, it is a capture with depth whose fit is known
"""
