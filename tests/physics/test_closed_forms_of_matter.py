"""What soft matter does against closed forms: internal friction, viscosity, bending, repose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from physics_scenes import box_points, material, scene_of
from scipy.optimize import curve_fit

from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Round

SPACING = 0.01
NO_GRAVITY = (0.0, 0.0, 0.0)


def moving(scene, velocities):
    """The scene some time after the picture, so that nothing settles, with ``velocities`` [P, 3] m/s."""
    return replace(scene.rest_state().with_particles(velocities=velocities.astype(np.float32)), time=1.0)


def simulate(scene, state, frames, fps, gravity=NO_GRAVITY):
    plan = RoundPlan(Round(frames), 0, fps, gravity)
    return GenesisEngine().simulate(scene, state, plan, Progress())


def test_a_free_jelly_bar_rings_and_fades_as_its_viscosity_says():
    """Longitudinal mode of a free bar: w = pi / L sqrt(E / rho) (Rao, Mechanical Vibrations, 8.3), amplitude exp(-w tan(d) t / 2)
    with the loss factor of stretching tan(d) = w eta / E dE/dmu, dE/dmu = 27 K^2 / (3 K + mu)^2 (E = 9 K mu / (3 K + mu))."""
    length, jelly = 0.2, material("jelly")
    scene = scene_of([("bar", jelly, box_points((length, 0.04, 0.04), SPACING, (-0.1, -0.02, 0.3)))], SPACING)
    x = scene.particles.positions[:, 0].astype(float)
    mode = np.sin(np.pi * x / length)
    omega = np.pi / length * np.sqrt(jelly.youngs_modulus / jelly.density)
    lam, mu = jelly.lame
    K = lam + 2 * mu / 3
    fading = 0.5 * omega**2 * jelly.viscosity * 27 * K**2 / (jelly.youngs_modulus * (3 * K + mu) ** 2)
    sim = simulate(scene, moving(scene, 0.1 * np.outer(mode, [1, 0, 0])), 80, 240.0)
    swing = ((sim.trajectory.positions - sim.trajectory.positions[0])[..., 0] @ mode) / (mode @ mode)
    (_, rate, found), _ = curve_fit(
        lambda t, a, g, w: a * np.exp(-g * t) * np.sin(w * t),
        np.arange(81) / 240.0,
        swing,
        p0=(0.1 / omega, fading, omega),
    )
    assert found == pytest.approx(omega, rel=0.04)
    assert rate == pytest.approx(fading, rel=0.12)


def test_honey_stops_shearing_at_its_kinematic_viscosity():
    """A free layer sheared as cos(pi z / H) decays at nu (pi / H)^2 (the heat equation; Batchelor, 4.3)."""
    thick, honey = 0.1, material("honey")
    points = box_points((0.5, 0.1, thick), SPACING, (-0.25, -0.05, 0.3))
    scene = scene_of([("layer", honey, points)], SPACING)
    mode = np.cos(np.pi * (scene.particles.positions[:, 2] - 0.3) / thick)
    sim = simulate(scene, moving(scene, 0.1 * np.outer(mode, [1, 0, 0])), 3, 48.0)
    middle = np.abs(scene.particles.positions[:, 0]) < 0.08
    steps = np.diff(sim.trajectory.positions[:, middle, 0].astype(float), axis=0)
    slip = steps @ mode[middle]  # each frame's displacement decays as the velocity does
    rate = np.log(slip[1] / slip[2]) * 48.0
    assert rate == pytest.approx(honey.viscosity / honey.density * (np.pi / thick) ** 2, rel=0.12)


def test_an_upright_beam_leans_as_euler_and_bernoulli_say():
    """A cantilever under a lateral load w per metre leans w h^4 / (8 E I) at its tip; let go at once it swings to twice that. Its shear
    adds 4 E I / (5/6 G A h^2), and its own weight divides by 1 - q h^3 / (7.84 E I) (Timoshenko and Gere 1961, 1.11 and 2.12)."""
    height, width, E, side = 0.25, 0.05, 2.0e5, 0.015
    stuff = material("jelly", youngs_modulus=E, viscosity=0.0, friction=10.0)
    points = box_points((width, width, height), SPACING, (-width / 2, -width / 2, 0))
    scene = scene_of([("beam", stuff, points)], SPACING)
    expected = 1.5 * stuff.density * side * height**4 / (E * width**2)
    period = 2 * np.pi * height**2 / 3.516 / (np.sqrt(E / stuff.density) * width / np.sqrt(12))
    shear = (1 + stuff.poisson_ratio) * 4 / 5 * (width / height) ** 2
    weight = 12 * stuff.density * 1.0 * height**3 / (7.84 * E * width**2)
    sim = simulate(scene, moving(scene, np.zeros_like(points)), 16, float(24 / period), (side, 0.0, -1.0))
    top = scene.particles.positions[:, 2] > height - SPACING
    lean = (sim.trajectory.positions - sim.trajectory.positions[0])[:, top, 0].mean(1)
    assert lean.max() / 2 == pytest.approx(expected, rel=0.10)
    assert lean.max() / 2 == pytest.approx(expected * (1 + shear) / (1 - weight), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "steeper"), [("sand", 8.0), ("wet sand", 14.0)])
def test_dry_sand_slides_to_its_angle_and_wet_sand_stands(preset, steeper):
    """A dry slope rests at its friction angle (Coulomb 1776); cohesion c holds up to 4 c tan(45 + phi/2) / (rho g) high at any angle
    (Taylor 1948), 45 cm of wet sand."""
    spacing, radius, phi = 0.005, 0.06, 33.0
    stuff = material(preset, friction_angle=phi, friction=1.0)
    points = box_points((0.12, 0.12, 0.14), spacing, (-0.06, -0.06, 0))
    away = np.hypot(points[:, 0], points[:, 1])
    points = points[points[:, 2] < (radius - away) * np.tan(np.radians(phi + steeper))]
    scene = scene_of([("heap", stuff, points)], spacing)
    sim = simulate(scene, scene.rest_state(), 20, 24.0, (0.0, 0.0, -9.81))
    before, after = (_slope(sim.trajectory.positions[frame]) for frame in (0, -1))
    if preset == "sand":
        assert after == pytest.approx(phi, abs=5.0)
    else:
        assert after == pytest.approx(before, abs=1.0)


def _slope(positions):
    """Degrees between the horizontal and the flank of a heap around the vertical axis."""
    away = np.hypot(positions[:, 0], positions[:, 1])
    rings = np.arange(0.012, 0.05, 0.004)
    top = [positions[np.abs(away - ring) < 0.004, 2].max() for ring in rings]
    return np.degrees(np.arctan(-np.polyfit(rings, top, 1)[0]))
