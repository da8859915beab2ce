"""Materials: presets with the artist's changes, and values outside physics."""

from __future__ import annotations

import pytest

from perpetua.errors import MaterialError
from perpetua.scene.materials import PRESETS, resolve
from perpetua_protocol.take import MaterialSpec


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_possible(preset: str) -> None:
    material = resolve(MaterialSpec(preset))
    assert material == PRESETS[preset]
    lam, mu = material.lame
    assert lam > 0
    assert mu > 0
    assert material.sound_speed > 0
    assert material.is_rigid == (material.model == "rigid")


def test_changes_are_taken_and_the_rest_kept() -> None:
    soft = resolve(MaterialSpec("clay", youngs_modulus=5e4, friction=0.0))
    assert (soft.youngs_modulus, soft.friction) == (5e4, 0.0)
    assert soft.yield_stress == PRESETS["clay"].yield_stress


def test_lame_and_sound_speed_of_a_known_solid() -> None:
    steelish = resolve(MaterialSpec("wood", youngs_modulus=200e9, poisson_ratio=0.3, density=7850))
    lam, mu = steelish.lame
    assert lam == pytest.approx(115.4e9, rel=1e-3)
    assert mu == pytest.approx(76.9e9, rel=1e-3)
    assert steelish.sound_speed == pytest.approx(5856, rel=1e-3)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (MaterialSpec("cheese"), "cheese"),
        (MaterialSpec("clay", density=0.0), "density"),
        (MaterialSpec("clay", youngs_modulus=-1.0), "youngs_modulus"),
        (MaterialSpec("clay", youngs_modulus=float("nan")), "youngs_modulus"),
        (MaterialSpec("clay", youngs_modulus=float("inf")), "youngs_modulus"),
        (MaterialSpec("clay", poisson_ratio=0.5), "Poisson"),
        (MaterialSpec("clay", yield_stress=-3.0), "yield_stress"),
        (MaterialSpec("honey", viscosity=-1.0), "viscosity"),
        (MaterialSpec("honey", viscosity=float("nan")), "viscosity"),
        (MaterialSpec("clay", friction=-0.1), "friction"),
        (MaterialSpec("sand", friction_angle=120.0), "friction_angle"),
    ],
)
def test_the_impossible_is_refused_by_name(spec: MaterialSpec, named: str) -> None:
    with pytest.raises(MaterialError, match=named):
        resolve(spec)
