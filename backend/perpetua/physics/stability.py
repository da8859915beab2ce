"""How many substeps a frame needs so that the explicit material point method stays stable."""

from __future__ import annotations

import math

from perpetua.errors import SimulationError
from perpetua.scene.materials import Material
from perpetua.scene.scene import Body

COURANT = 0.5
"""Sound may travel this many grid cells a substep. Measured with Genesis 1.4.5: solids fail at 1.2, liquids at 0.9."""

COURANT_LIMIT = 0.8
"""Beyond this a cap on the substeps makes the simulation unstable rather than merely coarse."""

VISCOUS_NUMBER = 1.0 / 6.0
"""Explicit diffusion of momentum in three dimensions: dt eta / (rho dx^2) <= 1/6."""

SNOW_HARDENING_LIMIT = 4.0
"""Packed snow hardens to this many times its fresh stiffness at most (see ``mpm_materials``)."""

CONTROL_STEPS = 4
"""Keys of actions and gravity are sampled this many times a frame; the substeps of a frame are a multiple of it."""

MOTION_COURANT = 0.5
"""Matter may cross this share of a grid cell a substep."""

DOUBLINGS = 3
"""Fast motion may double the substeps this often; faster than that, the frame's checks stop the simulation."""

MOST_SUBSTEPS = 20_000
"""A frame of so many takes minutes for the smallest object; who wants more is told what to change instead."""

CLOTH_SUBSTEP_S = 1.0 / 960.0
"""Longest substep of cloth, which finds what it touches once a substep (its threads take shorter steps of their own)."""

LONGEST_SUBSTEP_S = 1.0 / 480.0
"""Longest substep of any scene."""

RIGID_SUBSTEP_S = 1.0 / 1920.0
"""Longest substep of a scene that holds rigid bodies: a bounce takes some eight (``rigid``), in which a body sinks in by 2 mm
at 1 m/s."""


def wave_speed(material: Material) -> float:
    """Fastest pressure wave in the material, m/s: sqrt((lambda + 2 mu) / rho); liquids carry no shear."""
    lam, _ = material.lame
    if material.model == "liquid":
        return math.sqrt(lam / material.density)
    hardening = SNOW_HARDENING_LIMIT if material.model == "snow" else 1.0
    return material.sound_speed * math.sqrt(hardening)


def largest_substep(material: Material, dx: float, courant: float = COURANT) -> float:
    """Longest stable substep in s on a grid of cell size ``dx`` m; infinite for a rigid body."""
    if material.model == "cloth":
        return CLOTH_SUBSTEP_S * courant / COURANT
    if not material.on_grid:
        return math.inf
    step = courant * dx / wave_speed(material)
    if material.viscosity > 0:
        scale = courant / COURANT
        step = min(step, scale * VISCOUS_NUMBER * material.density * dx * dx / material.viscosity)
    return step


def choose_substeps(
    bodies: list[Body], dx: float, fps: float, speed: float, max_substeps: int | None = None
) -> int:
    """Substeps a frame for ``bodies`` on cells of ``dx`` m, with matter that may reach ``speed`` m/s.

    Depends on the materials first, so that every round of a take runs with the same substep (and the same compiled
    kernels); only motion faster than half a cell a substep doubles it. Raises ``SimulationError`` when
    ``max_substeps`` (``MOST_SUBSTEPS`` if None) is below what the stiffest body needs.
    """
    frame = 1.0 / fps
    kinds = [(body.name, material) for body in bodies for material in (body.material, *body.regions)]
    name, stiffest = min(kinds, key=lambda kind: largest_substep(kind[1], dx))
    step = min(largest_substep(stiffest, dx), LONGEST_SUBSTEP_S)
    if any(body.material.is_rigid for body in bodies):
        step = min(step, RIGID_SUBSTEP_S)
    wanted = _round_up(frame / step)
    for _ in range(DOUBLINGS):
        if speed * frame / wanted <= MOTION_COURANT * dx:
            break
        wanted *= 2
    if max_substeps is None:
        max_substeps = MOST_SUBSTEPS
    if wanted <= max_substeps:
        return wanted
    least = _round_up(frame / largest_substep(stiffest, dx, COURANT_LIMIT))
    if max_substeps < least:
        raise SimulationError(
            f"'{name}' needs {least} substeps a frame to stay stable and only {max_substeps} are allowed; "
            f"lower its Young's modulus ({stiffest.youngs_modulus:g} Pa)"
            + (f" or its viscosity ({stiffest.viscosity:g} Pa s)" if stiffest.viscosity else "")
            + ", use a larger particle spacing, or allow more substeps."
        )
    return max(CONTROL_STEPS, max_substeps - max_substeps % CONTROL_STEPS)


def _round_up(count: float) -> int:
    return max(1, math.ceil(count / CONTROL_STEPS - 1e-9)) * CONTROL_STEPS
