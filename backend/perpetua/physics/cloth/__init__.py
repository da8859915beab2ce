"""Cloth: a sheet of particles that are the vertices of a triangle mesh.

    topology (springs, bending, masses)     ->  sheet (kernels: forces, stretch, contact)  ->  part (its place in a world)
    layers (coarse nets), pyramid (shares)  ->  nets (their kernels)  ----------------------------^

Genesis has a cloth of its own (position based dynamics). This one is ours because that one reads its mesh from a file, has neither
friction against rigid bodies nor stiffness in SI units, keeps state that cannot be loaded, and ends the process when light cloth meets
grains. Here positions and velocities are the whole state, so a restart is exact.
"""
