# mypy: disable-error-code="no-untyped-def, valid-type"
"""Constitutive laws of soft matter: from a trial deformation to the new one and its stress.

Every law takes the trial elastic deformation F = U S V^T [3, 3] of a substep, the plastic memory and the numbers of its material, and returns
the new F, the new memory and the Kirchhoff stress tau = J sigma, Pa. With F = U S V^T and Hencky strains e = ln S:

elastic  tau = mu (F F^T - I) + lambda ln J I                                   neo-Hookean (Bonet and Wood 2008, 6.29)
plastic  tau = U (2 mu e + lambda tr e) U^T, |dev e| <= sqrt(2/3) s / (2 mu)    von Mises with tensile yield s (Simo 1992)
snow     stretches clamped, stiffness times exp(xi (1 - Jp))                    Stomakhin et al. 2013, hardening bounded
sand     2 mu |dev e| <= alpha (3 lambda + 2 mu) (e_t - tr e)                   Drucker-Prager (Klar et al. 2016) with cohesion,
                                                                                between Mohr and Coulomb's cones for plane strain
                                                                                and compression: a heap fails in both
liquid   tau = lambda J (J - 1) I, only J is kept                               Tampubolon et al. 2017

All of them take a viscosity eta on top: tau += 2 eta dev D with D the rate of strain. In a liquid that is Newton's law, in
a solid that of Kelvin and Voigt: it ends a wobble, and neither resists a rigid motion nor a slow squeeze of the volume.

The numbers come from arrays, so changing a material compiles nothing anew. Sand's memory is the volume it gained by loosening (ln);
Klar's correction, which packs it again before it bears load. Cohesion fades as it loosens and comes back when packed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.stability import SNOW_HARDENING_LIMIT
from perpetua.scene.materials import Material

ELASTIC, PLASTIC, SNOW, SAND, LIQUID = range(5)
LAW = {"elastic": ELASTIC, "plastic": PLASTIC, "snow": SNOW, "sand": SAND, "liquid": LIQUID}

SNOW_COMPRESSION, SNOW_STRETCH, SNOW_XI = 2.5e-2, 7.5e-3, 10.0
"""Stomakhin et al. 2013, table 2."""
SNOW_SOFTENING_LIMIT = 0.05
"""Torn snow keeps this share of its stiffness at least."""

DEBONDING = 0.03
"""Volume that wet sand has gained where its liquid bridges are all torn: 3 % opens the gaps between grains by their breaking
length, a tenth of the grain at common water contents (Scheel et al. 2008)."""

SMALLEST_STRETCH = 0.05
"""Keeps logarithms finite until the frame's checks name what was crushed."""


@dataclass(frozen=True)
class Constants:
    """The numbers of M materials as the kernels read them, each [M] float32. lam, mu, eta: Pa, Pa, Pa s.  limit: plastic:
    largest |dev e|.  slope: sand: alpha (3 lambda + 2 mu) / (2 mu).  tip: sand: volume strain where cohesion gives way.
    density: kg/m^3.  law: [M] int32."""

    law: NDArray[np.int32]
    density: NDArray[np.float32]
    lam: NDArray[np.float32]
    mu: NDArray[np.float32]
    eta: NDArray[np.float32]
    limit: NDArray[np.float32]
    slope: NDArray[np.float32]
    tip: NDArray[np.float32]


def constants(materials: list[Material]) -> Constants:
    """Raises ``SimulationError`` for a material that particles cannot be made of."""
    rows = [_row(material) for material in materials]
    columns = [np.array(column, np.float32) for column in zip(*(row[1:] for row in rows), strict=True)]
    return Constants(np.array([row[0] for row in rows], np.int32), *columns)


def _row(material: Material) -> tuple[float, ...]:
    if material.model not in LAW:
        raise SimulationError(
            f"A material of the model '{material.model}' is not simulated by particles; "
            "use elastic, plastic, snow, sand or liquid."
        )
    lam, mu = material.lame
    limit = slope = tip = 0.0
    if material.model == "plastic":
        if material.yield_stress <= 0:
            raise SimulationError(
                f"The plastic material '{material.preset}' has no yield stress, so it could not hold any shape; "
                "give it one above zero, or choose a liquid."
            )
        limit = math.sqrt(2.0 / 3.0) * material.yield_stress / (2.0 * mu)
    if material.model == "sand":
        sine = math.sin(math.radians(material.friction_angle))
        plane_strain = math.sqrt(2.0) * sine / 3.0
        compression = math.sqrt(2.0 / 3.0) * 2.0 * sine / (3.0 - sine)
        alpha = 0.5 * (plane_strain + compression)
        slope = alpha * (3.0 * lam + 2.0 * mu) / (2.0 * mu)
        if material.cohesion > 0:  # the cone's tip lies at the tension c / tan(phi)
            tangent = max(math.tan(math.radians(material.friction_angle)), 0.1)
            tip = material.cohesion / tangent / (lam + 2.0 * mu / 3.0)
    return LAW[material.model], material.density, lam, mu, material.viscosity, limit, slope, tip


def default_memory(material: Material) -> float:
    """Plastic memory of matter that never yielded: 0 for sand (it gained no volume), 1 otherwise."""
    return 0.0 if material.model == "sand" else 1.0


@qd.func
def identity():
    return qd.Matrix.identity(qd.f32, 3)


@qd.func
def diagonal(d):
    return qd.Matrix([[d[0], 0.0, 0.0], [0.0, d[1], 0.0], [0.0, 0.0, d[2]]])


@qd.func
def elastic(F, lam, mu):
    J = qd.max(F.determinant(), 1e-6)
    return mu * (F @ F.transpose() - identity()) + lam * qd.log(J) * identity()


@qd.func
def liquid(F, lam):
    J = qd.max(F.determinant(), 1e-3)
    return qd.pow(J, 1.0 / 3.0) * identity(), lam * J * (J - 1.0) * identity()


@qd.func
def plastic(F, U, S, V, lam, mu, limit):
    e = qd.Vector([qd.log(qd.max(S[i, i], SMALLEST_STRETCH)) for i in qd.static(range(3))])
    volume = e.sum()
    shear = e - volume / 3.0
    norm = shear.norm()
    F_new = F
    if norm > limit:
        e = shear * (limit / norm) + volume / 3.0
        F_new = U @ diagonal(qd.exp(e)) @ V.transpose()
    return F_new, U @ diagonal(2.0 * mu * e + lam * volume) @ U.transpose()


@qd.func
def snow(U, S, V, Jp, lam, mu):
    s = qd.Vector([S[i, i] for i in qd.static(range(3))])
    kept = qd.min(qd.max(s, 1.0 - SNOW_COMPRESSION), 1.0 + SNOW_STRETCH)
    hardening = qd.exp(SNOW_XI * (1.0 - Jp))
    hardening = qd.min(qd.max(hardening, SNOW_SOFTENING_LIMIT), SNOW_HARDENING_LIMIT)
    J = kept[0] * kept[1] * kept[2]
    memory = Jp * (s[0] * s[1] * s[2]) / J
    principal = hardening * (2.0 * mu * (kept - 1.0) * kept + lam * J * (J - 1.0))
    return U @ diagonal(kept) @ V.transpose(), memory, U @ diagonal(principal) @ U.transpose()


@qd.func
def sand(U, S, V, gained, lam, mu, slope, tip):
    e = qd.Vector([qd.log(qd.max(S[i, i], 1e-4)) for i in qd.static(range(3))])
    e += gained / 3.0  # what was gained must be packed away before the grains touch
    volume = e.sum()
    shear = e - volume / 3.0
    norm = shear.norm()
    apex = tip * qd.max(0.0, 1.0 - qd.max(gained, 0.0) / DEBONDING)
    memory = 0.0
    if volume >= apex:
        memory = volume - apex
        e = qd.Vector([apex / 3.0, apex / 3.0, apex / 3.0])
    else:
        most = slope * (apex - volume)
        if norm > most:
            e = shear * (most / norm) + volume / 3.0
    principal = 2.0 * mu * e + lam * e.sum()
    return U @ diagonal(qd.exp(e)) @ V.transpose(), memory, U @ diagonal(principal) @ U.transpose()
