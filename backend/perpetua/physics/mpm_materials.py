"""From an artist's material to the constitutive model that Genesis runs it with."""

from __future__ import annotations

import math
from typing import Any

from perpetua.errors import SimulationError
from perpetua.scene.materials import Material

UNIAXIAL_TO_DEVIATORIC = math.sqrt(2.0 / 3.0)
"""A bar yields at the tensile stress s where the norm of its deviatoric stress is sqrt(2/3) s (von Mises), and Genesis
compares that norm."""


def genesis_material(gs: Any, material: Material, substep: float) -> Any:
    """The Genesis MPM material for ``material``; ``substep`` in s turns a viscosity into Genesis' terms.

    Genesis' viscous liquid has the stress 2 mu (F - R) F^T of one substep's strain, which is 2 (mu dt) D with D the rate of
    strain: a Newtonian liquid of dynamic viscosity mu dt. Hence mu = viscosity / dt.
    """
    E, nu, rho = material.youngs_modulus, material.poisson_ratio, material.density
    mpm = gs.materials.MPM
    if material.model == "elastic":
        return mpm.Elastic(E=E, nu=nu, rho=rho, model="neohooken", sampler="regular")
    if material.model == "plastic":
        if material.yield_stress <= 0:
            raise SimulationError(
                f"The plastic material '{material.preset}' has no yield stress, so it could not hold any shape; "
                "give it one above zero, or choose a liquid."
            )
        return mpm.ElastoPlastic(
            E=E,
            nu=nu,
            rho=rho,
            von_mises_yield_stress=UNIAXIAL_TO_DEVIATORIC * material.yield_stress,
            sampler="regular",
        )
    if material.model == "snow":
        from perpetua.physics.snow import bounded_snow

        return bounded_snow(gs)(E=E, nu=nu, rho=rho, sampler="regular")
    if material.model == "sand":
        return mpm.Sand(E=E, nu=nu, rho=rho, friction_angle=material.friction_angle, sampler="regular")
    if material.model == "liquid":
        lam, _ = material.lame
        viscous = material.viscosity > 0
        mu = material.viscosity / substep if viscous else 0.0
        return mpm.Liquid(E=E, nu=nu, rho=rho, lam=lam, mu=mu, viscous=viscous, sampler="regular")
    raise SimulationError(
        f"A material of the model '{material.model}' is not simulated by particles; "
        "use elastic, plastic, snow, sand or liquid."
    )


def default_plastic(material: Material) -> float:
    """Genesis' plastic memory Jp of matter that never yielded: 0 for sand (its volume correction), 1 otherwise."""
    return 0.0 if material.model == "sand" else 1.0
