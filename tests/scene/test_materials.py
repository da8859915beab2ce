"""Materials: presets with the artist's changes, and values outside physics."""

from __future__ import annotations

import pytest

from perpetua.errors import MaterialError
from perpetua.scene.materials import guess, resolve
from perpetua.scene.preset_ranges import DEPARTS, PUBLISHED
from perpetua.scene.presets import PRESETS, SOURCES
from perpetua_protocol.take import MaterialSpec


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_possible(preset: str) -> None:
    material = resolve(MaterialSpec(preset))
    assert material == PRESETS[preset]
    assert len(SOURCES[preset]) > 5
    lam, mu = material.lame
    assert lam > 0
    assert mu > 0
    assert material.sound_speed > 0
    assert material.is_rigid == (material.model == "rigid")


NEEDED = {
    "plastic": {"density", "yield_stress"},
    "elastic": {"density", "youngs_modulus"},
    "snow": {"density", "youngs_modulus"},
    "sand": {"density", "friction_angle"},
    "liquid": {"density", "viscosity"},
    "rigid": {"density", "youngs_modulus", "friction"},
    "cloth": {"density", "area_density", "bending_stiffness", "friction"},
    "gas": {"density", "viscosity"},
}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_what_was_published_or_says_why_not(preset: str) -> None:
    material, ranges = PRESETS[preset], PUBLISHED[preset]
    assert set(ranges) >= NEEDED[material.model]
    for name, (low, high) in ranges.items():
        assert low < high
        inside = low <= getattr(material, name) <= high
        assert inside != ((preset, name) in DEPARTS), name


def test_what_departs_is_a_preset() -> None:
    assert all(name in PUBLISHED[preset] for preset, name in DEPARTS)
    assert set(PUBLISHED) == set(PRESETS)


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
        (MaterialSpec("wet sand", cohesion=-1.0), "cohesion"),
        (MaterialSpec("wood", restitution=1.5), "restitution"),
        (MaterialSpec("cotton", area_density=0.0), "area_density"),
        (MaterialSpec("steam", temperature=-300.0), "temperature"),
        (MaterialSpec("water", contact_angle=200.0), "contact_angle"),
    ],
)
def test_the_impossible_is_refused_by_name(spec: MaterialSpec, named: str) -> None:
    with pytest.raises(MaterialError, match=named):
        resolve(spec)


def test_every_number_of_a_spec_reaches_the_material() -> None:
    numbers = dict.fromkeys((n for n in MaterialSpec.__struct_fields__ if n != "preset"), 0.3)
    changed = resolve(MaterialSpec("clay", **numbers))
    assert {name: getattr(changed, name) for name in numbers} == numbers


def test_two_words_are_one_material() -> None:
    assert guess("my_Wet-Sand castle.png") == "wet sand"
    assert guess("sandcastle") == "wet sand"
    assert guess("sand") == "sand"
