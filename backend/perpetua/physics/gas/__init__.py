"""Steam and smoke: tracer particles in air that flows on a grid.

    air (the flow: advection, buoyancy, swirl, pressure)  <->  part (its place in a world: tracers, obstacles, forces, lives)

The air is incompressible and everywhere in its box; the tracers make it lighter where they are, it carries them along, solid bodies
part it, and the artist's forces act on the air itself. Its velocities are part of a state, so a restart is exact.
"""
