"""One number must do for two rounds: what a round hardly shows is not taken from the errors of its videos.

Physics in one line: a body glides where pull and wind take it, by what of them its friction does not hold, but for a little creep.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perpetua.evaluate.worlds import Solid, drum, make_scene
from perpetua.identify.identify import Evidence, Identified, identify, sentence
from perpetua.identify.quantities import Known, round_with, scene_with
from perpetua.progress import Progress
from perpetua.scene import Scene, State, Trajectory
from perpetua.scene.materials import resolve
from perpetua_protocol.take import Force, MaterialSpec, Round

FRAMES, CREEP, METRES = 8, 0.05, 0.02
STRONG, WEAK = 0.39, 0.3
"""Pulls, in weights, that jelly's friction of 0.4 holds."""
SLIPPERY = Known({"jelly/friction": math.log(0.2 / 0.4)})


@pytest.fixture(scope="module")
def scene() -> Scene:
    jelly = Solid("jelly", resolve(MaterialSpec("jelly")), drum(0.03, 0.06, (0, 0, 0.03)), (0.8, 0.3, 0.3))
    return make_scene([jelly], 0.012, 64, 48)


class Pulled:
    """A round in which everything is pulled so, towards x or y, and halfway through as much back, which no wind does."""

    def __init__(self, x: float, y: float) -> None:
        self.pull, self.played = np.array([x, y, 0.0]), 0

    def __call__(self, scene: Scene, start: State, known: Known, progress: Progress) -> Trajectory:
        self.played += 1
        friction = scene_with(scene, known).bodies[0].material.friction
        blown = np.zeros(3)
        for wind in round_with(Round(FRAMES), known).actions:
            assert isinstance(wind, Force)
            blown = -np.array(wind.location) / np.linalg.norm(wind.location) * wind.strength / 9.81
        there, back = (self.glide(pull + blown, friction) for pull in (self.pull, -self.pull))
        steps = np.array([there] * (FRAMES // 2) + [back] * (FRAMES // 2))
        way = np.concatenate([np.zeros((1, 3)), steps.cumsum(0)])
        positions = (start.particles.positions + way[:, None]).astype(np.float32)
        return Trajectory(
            positions, np.repeat(start.total_F[None], FRAMES + 1, 0), np.arange(FRAMES + 1) / 24
        )

    @staticmethod
    def glide(pull: np.ndarray, friction: float) -> np.ndarray:
        """Metres in a frame."""
        size = float(np.linalg.norm(pull))
        return METRES * CREEP * np.logaddexp(0.0, (size - friction) / CREEP) * pull / size


def seen(scene: Scene, x: float, y: float, truth: Known) -> Evidence:
    """A round that was simulated as the take has it, and whose videos show the truth."""
    play, start = Pulled(x, y), scene.rest_state()
    simulated, true = (play(scene, start, known, Progress()) for known in (Known(), truth))
    play.played = 0
    return Evidence(scene, start, simulated, true, np.ones(0), 4, play)


def friction(found: Identified) -> list[float]:
    return [f.value for f in found.suggestion.findings if f.quantity == "friction"]


def test_friction_stays_where_nothing_slides(scene: Scene):
    """The last round's videos err as if it slid; in the one before it would have slid too, and did not."""
    erring = seen(scene, 0.0, WEAK, SLIPPERY)
    alone = identify([erring], Known(), Known(), Progress())
    assert friction(alone)[0] == pytest.approx(0.2, rel=0.1)
    found = identify([seen(scene, STRONG, 0.0, Known()), erring], Known(), Known(), Progress())
    assert friction(found) == []


def test_friction_is_found_where_things_slide(scene: Scene):
    rounds = [seen(scene, STRONG, 0.0, SLIPPERY), seen(scene, 0.0, WEAK, SLIPPERY)]
    found = identify(rounds, Known(), Known(), Progress())
    assert friction(found)[0] == pytest.approx(0.2, rel=0.1)
    assert found.suggestion.explains > 0.9


def test_what_was_found_in_vain_is_taken_back(scene: Scene):
    wrong = Known({"wind_x": 0.0, "wind_y": -1.05}, {"wind_x": 0.7, "wind_y": 0.7})
    rounds = []
    for x, y in ((STRONG, 0.0), (0.0, WEAK)):
        right = seen(scene, x, y, Known())
        blown = right.simulate(scene, right.start, wrong, Progress())
        rounds.append(replace(right, simulated=blown))
    found = identify(rounds, Known(), wrong, Progress())
    assert found.known.x["wind_y"] == pytest.approx(0.0, abs=0.1)
    (wind,) = found.suggestion.findings
    assert (wind.quantity, wind.value, wind.taken, wind.direction) == ("wind", 0.0, 0.0, None)
    assert sentence(wind) == "wind 0 m/s^2, as the take has it: what was found before does not hold"
    assert found.suggestion.explains > 0.9


def test_every_round_is_played_as_often_and_all_are_counted(scene: Scene):
    rounds = [seen(scene, STRONG, 0.0, SLIPPERY), seen(scene, 0.0, WEAK, SLIPPERY)]
    found = identify(rounds, Known(), Known(), Progress())
    earlier, last = (each.simulate.played for each in rounds if isinstance(each.simulate, Pulled))
    assert last == earlier + 1 > 5  # and once more in the end
    assert found.suggestion.simulations == earlier + last


def test_a_round_that_began_with_nothing_in_the_world_says_nothing(scene: Scene):
    """All of it came out of emitters."""
    full, empty = (seen(scene, x, y, SLIPPERY) for x, y in ((STRONG, 0.0), (0.0, WEAK)))
    empty = replace(empty, corrected=replace(empty.corrected, F=0 * empty.corrected.F))
    alone, both = (identify(rounds, Known(), Known(), Progress()) for rounds in ([full], [empty, full]))
    assert both == alone
    assert identify([full, empty], Known(), Known(), Progress()).suggestion.simulations == 0
