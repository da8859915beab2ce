"""A jelly that is four times as stiff as the take says, and a wind that nobody told of, found from how it moved."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perpetua.errors import Cancelled
from perpetua.evaluate.worlds import Solid, drum, make_scene
from perpetua.identify.identify import Evidence, Identified, identify, sentence
from perpetua.identify.quantities import WIND_NAME, Known, quantities_of, round_with, scene_with
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua.scene import Scene, State, Trajectory
from perpetua.scene.materials import resolve
from perpetua_protocol.cache import Finding
from perpetua_protocol.take import MaterialSpec, Round, Wind

SPACING = 0.012
ROUND = Round(10, (Wind("gust", (1.0, 0.2, 0.0), 3.0, 1.6),))


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A jelly column of 6 cm."""
    jelly = Solid("jelly", resolve(MaterialSpec("jelly")), drum(0.03, 0.06, (0, 0, 0.03)), (0.8, 0.3, 0.3))
    return make_scene([jelly], SPACING, 64, 48)


def play(scene: Scene, start: State, known: Known, progress: Progress) -> Trajectory:
    plan = RoundPlan(round_with(ROUND, known), 0, 24.0, (0.0, 0.0, -9.81))
    return GenesisEngine().simulate(scene_with(scene, known), start, plan, progress).trajectory


def found_from(scene: Scene, truth: Known, noise: float, views: int = 4) -> Identified:
    """What is found where the truth was seen with errors that are smooth in space, ``noise`` m large."""
    start = scene.rest_state()
    simulated, seen = (play(scene, start, k, Progress()) for k in (Known(), truth))
    rng = np.random.default_rng(0)
    waves = np.sin(scene.particles.positions @ rng.normal(0, 60, (3, 3)) + rng.uniform(0, 6, 3))
    off = noise * np.linspace(0, 1, seen.frames)[:, None, None] * waves
    corrected = replace(seen, positions=(seen.positions + off).astype(np.float32))
    belief = np.ones(seen.frames)
    seen = Evidence(scene, start, simulated, corrected, belief, views, play)
    return identify([seen], Known(), Known(), Progress())


def test_a_jelly_four_times_as_stiff_is_found_within_a_fifth(scene: Scene):
    truth = Known({"jelly/youngs_modulus": math.log(4.0)})
    found = found_from(scene, truth, 0.001)
    assert [f.quantity for f in found.suggestion.findings] == ["youngs_modulus"]
    (stiffness,) = found.suggestion.findings
    assert stiffness.object == "jelly"
    assert stiffness.taken == pytest.approx(1.5e4)
    assert stiffness.value == pytest.approx(6.0e4, rel=0.2)
    assert stiffness.low < stiffness.value < stiffness.high
    assert found.suggestion.explains > 0.8
    assert found.suggestion.simulations <= 24


def test_a_wind_that_nobody_told_of_is_found(scene: Scene):
    truth = Known({"wind_x": -0.4, "wind_y": 0.9})
    found = found_from(scene, truth, 0.0005)
    wind = next(f for f in found.suggestion.findings if f.quantity == "wind")
    assert wind.value == pytest.approx(math.hypot(0.4, 0.9), rel=0.2)
    np.testing.assert_allclose(wind.direction, np.array([-0.4, 0.9, 0]) / math.hypot(0.4, 0.9), atol=0.2)


def test_a_single_view_is_less_sure(scene: Scene):
    truth = Known({"jelly/youngs_modulus": math.log(4.0)})
    one, four = (found_from(scene, truth, 0.001, views).suggestion.findings[0] for views in (1, 4))
    assert one.quantity == four.quantity == "youngs_modulus"
    assert one.high / one.low > 1.1 * four.high / four.low


def test_where_the_take_is_right_nothing_is_suggested(scene: Scene):
    assert found_from(scene, Known(), 0.0005).suggestion.findings == []


def test_it_stops_when_it_is_told_to(scene: Scene):
    start = scene.rest_state()
    rest = play(scene, start, Known(), Progress())
    stop = Progress(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        identify([Evidence(scene, start, rest, rest, np.ones(0), 4, play)], Known(), Known(), stop)


def test_what_is_known_changes_materials_and_adds_the_wind(scene: Scene):
    known = Known({"jelly/friction": math.log(0.5), "wind_x": 3.0, "wind_y": 4.0, "air_drag": 2.0})
    changed = scene_with(scene, known)
    assert changed.bodies[0].material.friction == pytest.approx(0.5 * scene.bodies[0].material.friction)
    assert changed.bodies[0].material.youngs_modulus == scene.bodies[0].material.youngs_modulus
    assert scene_with(scene, Known()) is scene
    *_, wind = round_with(ROUND, known).actions
    assert (wind.name, wind.flow) == (WIND_NAME, 2.0)
    assert wind.strength == pytest.approx(5.0)
    away = -np.array(wind.location) / np.linalg.norm(wind.location)
    np.testing.assert_allclose(away, [0.6, 0.8, 0.0])
    assert round_with(ROUND, Known()) is ROUND


def test_each_material_has_the_quantities_that_show(scene: Scene):
    assert [q.key for q in quantities_of(scene)][:3] == [
        "jelly/youngs_modulus",
        "jelly/viscosity",
        "jelly/friction",
    ]
    water = replace(scene.bodies[0], material=resolve(MaterialSpec("water")))
    assert [q.name for q in quantities_of(replace(scene, bodies=[water]))] == [
        "viscosity",
        "wind_x",
        "wind_y",
        "air_drag",
    ]


def test_a_finding_reads_as_a_sentence():
    found = Finding("jelly", "youngs_modulus", 6e4, 5e4, 7e4, 1.5e4, "Pa")
    assert sentence(found) == "'jelly': Young's modulus 6e+04 Pa (5e+04 to 7e+04) where the take has 1.5e+04"
