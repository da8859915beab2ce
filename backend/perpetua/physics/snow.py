"""Snow whose hardening is bounded, so that packing it cannot outrun the substep."""

from __future__ import annotations

from typing import Any

from perpetua.physics.stability import SNOW_HARDENING_LIMIT

SOFTENING_LIMIT = 0.05
"""Torn snow keeps this share of its stiffness at least."""


def bounded_snow(gs: Any) -> Any:
    """Genesis' Snow (Stomakhin et al. 2013, xi = 10) with exp(xi (1 - Jp)) kept between two limits.

    Unbounded, snow packed to 60 % of its volume is 55 times stiffer and the explicit solver needs 7 times the substeps.
    """
    import quadrants as qd

    @qd.data_oriented
    class BoundedSnow(gs.materials.MPM.Snow):
        def model_post_init(self, context: Any) -> None:
            super().model_post_init(context)
            self.update_stress = self._update_stress_bounded

        @qd.func
        def _update_stress_bounded(self, U, S, V, F_tmp, F_new, J, Jp, actu, m_dir):  # type: ignore[no-untyped-def]
            h = qd.min(qd.max(qd.exp(10.0 * (1.0 - Jp)), SOFTENING_LIMIT), SNOW_HARDENING_LIMIT)
            mu = self.mu * h
            lam = self.lam * h
            r = U @ V.transpose()
            return 2 * mu * (F_new - r) @ F_new.transpose() + qd.Matrix.identity(qd.f32, 3) * lam * J * (
                J - 1
            )

    return BoundedSnow
