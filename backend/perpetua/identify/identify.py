"""From a round's corrected motion to the physics that would have made the correction unnecessary.

The round and the one before it are simulated again, each from its own start, with other values, and what is compared is where particles are
from frame to frame: with the corrected motion, weighed by how far its videos were believed. One round alone may hardly show a number, such as the
friction of what does not slide, which then follows the videos' errors; the same number must do for both. Where there are many particles a
thinned round (``thinned.py``) says how motion changes with the values, the round itself where it is, and in the end whether what was
found holds. Nothing is compiled anew for other numbers (but for rigid bodies).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.identify.least_squares import Fit, Prior, fit
from perpetua.identify.quantities import (
    UNITS,
    WIND,
    Known,
    Quantity,
    quantities_of,
    start_of,
    value_of,
)
from perpetua.identify.thinned import thinned
from perpetua.progress import Progress
from perpetua.scene.particles import State, present
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory
from perpetua_protocol.cache import Finding, Suggestion

Simulate = Callable[[Scene, State, Known, Progress], Trajectory]
"""A round in a scene from a state with what is assumed known; raises ``SimulationError``."""

MORE_CALLS = 14
"""Simulations of each round beyond one a quantity, at most."""
PARTICLES = 600
"""That are compared of each round, at most about."""
NOISE = 0.1
"""Of a corrected place along an axis, in particle spacings, however good the fit."""
INDEPENDENT = 2
"""Vectors that a soft body's corrected motion is worth, a view: what is wrong with it is a smooth warp of each video that hardly changes
over a round, so thousands of particles in tens of frames err together in a few regions at the round's beginning and end; and a single view's
warp is followed wherever it goes, where several contradict each other."""
INDEPENDENT_RIGID = 1
"""The same of a rigid body: of its place and its turn, at the beginning and the end."""
LEAST_EXPLAINED = 0.1
"""A smaller share of the correction is no reason to doubt the take's physics."""
DOUBT = 0.3
"""Share of a quantity's first uncertainty that no fit takes away, for the simulator is not the world either."""


@dataclass(frozen=True)
class Identified:
    """suggestion: for the artist; without findings if the physics of the take explains the motion as well. known: for the next
    rounds, if accepted."""

    suggestion: Suggestion
    known: Known


@dataclass(frozen=True)
class Evidence:
    """A round that its videos corrected: from ``start``, as ``simulated`` with what is known, and ``corrected``. belief: [T + 1] in [0, 1],
    how far the videos were believed in each frame, or of size 0.  views: how many videos there were.  simulate: plays it again."""

    scene: Scene
    start: State
    simulated: Trajectory
    corrected: Trajectory
    belief: NDArray
    views: int
    simulate: Simulate


def identify(rounds: Sequence[Evidence], before: Known, known: Known, progress: Progress) -> Identified:
    """Values of the scene's physics with which ``rounds``, the latest last, come nearest to their corrected motion.

    before: what was known before the first of them.  known: what was found since; with it all were simulated, and there the search
    begins.  Raises ``Cancelled``.
    """
    last = rounds[-1]
    quantities = quantities_of(last.scene)
    nothing = Identified(Suggestion(), known)
    seen = [each for each in rounds if present(each.corrected.F[0]).any()]
    if not quantities or not seen or seen[-1] is not last:
        return nothing
    prior = _prior(quantities, before)
    begin, _ = start_of(quantities, known)
    most = len(quantities) + MORE_CALLS
    count = _Count(most * len(seen) + 1, progress)
    trials = [_Trial(quantities, each, begin, count) for each in seen]
    if any(trial.base is None for trial in trials):
        return nothing

    def residual(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        left = []
        for trial in trials:
            of_round = trial.residual(x)
            if of_round is None:
                return None
            left.append(of_round.reshape(-1, 3))
        return np.concatenate(left)

    weights = np.concatenate([trial.weights for trial in trials])
    independent = float(sum(trial.independent for trial in trials))
    found = fit(residual, prior, weights, independent, (NOISE * last.scene.spacing) ** 2, most, begin)
    if found is None:
        return nothing
    explains = 0.0 if np.array_equal(found.x, begin) else trials[-1].explained(found.x)
    return Identified(
        _suggestion(last.scene, quantities, begin, found, explains, count.calls), _learnt(quantities, found)
    )


def _prior(quantities: list[Quantity], known: Known) -> Prior:
    mean, spread = start_of(quantities, known)
    return Prior(
        mean,
        spread,
        np.array([q.low for q in quantities]),
        np.array([q.high for q in quantities]),
        np.array([q.step for q in quantities]),
        np.array([-1 if q.name in WIND else index for index, q in enumerate(quantities)]),
    )


@dataclass
class _Count:
    """Of simulations, for the artist."""

    most: int
    progress: Progress
    calls: int = 0

    def next(self) -> Progress:
        """That of one more simulation."""
        number = self.calls
        self.calls += 1

        def report(_: str, fraction: float, text: str) -> None:
            share = min(1.0, (number + fraction) / self.most)
            self.progress(share, f"simulation {number + 1} of at most {self.most}")

        return Progress(report, self.progress.cancelled)


class _Trial:
    """The particles of a round that are compared (``chosen`` [c]), in frames 1 to T [T, c, 3] m: as ``simulated`` with values ``begin``, as
    ``wanted``, and as they would be with other values. base: the thinned round with ``begin``, None if that fails.  weights: [T c].
    independent: vectors that its corrected motion is worth."""

    def __init__(
        self, quantities: list[Quantity], seen: Evidence, begin: NDArray[np.float64], count: _Count
    ) -> None:
        self._quantities, self._seen, self._begin, self._count = quantities, seen, begin, count
        self._few = few = thinned(seen.scene, seen.start)
        # what comes out of emitters is not corrected
        there = np.flatnonzero(present(seen.corrected.F[0, few.kept]))
        self._among = there[np.unique(np.linspace(0, len(there) - 1, PARTICLES).round().astype(int))]
        self._chosen = few.kept[self._among]
        self._wanted, self._simulated = (
            t.positions[1:, self._chosen].astype(np.float64) for t in (seen.corrected, seen.simulated)
        )
        self.base = self._simulated if few.is_whole else self._play(begin)
        trusted = np.ones(len(self._wanted) + 1) if seen.belief.size == 0 else seen.belief.astype(np.float64)
        self.weights = np.repeat(trusted[1:], len(self._chosen))
        self.independent = seen.views * sum(
            INDEPENDENT_RIGID if body.material.is_rigid else INDEPENDENT for body in seen.scene.bodies
        )

    def residual(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """How far the round with values ``x`` is from the corrected one, [T, c, 3] m; None where they are impossible, which is an answer."""
        there = self.base if np.array_equal(x, self._begin) else self._play(x)
        if there is None or self.base is None:
            return None
        return there - self.base + self._simulated - self._wanted

    def explained(self, x: NDArray[np.float64]) -> float:
        """The share of the correction that values ``x`` make unnecessary in the whole round."""
        positions = self._played(x, self._seen.scene, self._seen.start)
        if positions is None:
            return 0.0
        before, after = self._simulated - self._wanted, positions[1:, self._chosen] - self._wanted
        return 1 - float((after**2).sum() / max(float((before**2).sum()), 1e-300))

    def _play(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        positions = self._played(x, self._few.scene, self._few.state)
        return None if positions is None else positions[1:, self._among]

    def _played(self, x: NDArray[np.float64], scene: Scene, state: State) -> NDArray[np.float64] | None:
        try:
            played = self._seen.simulate(scene, state, _known(self._quantities, x), self._count.next())
        except SimulationError:
            return None
        return played.positions.astype(np.float64)


def _known(quantities: list[Quantity], x: NDArray) -> Known:
    return Known({q.key: float(v) for q, v in zip(quantities, x, strict=True)})


def _learnt(quantities: list[Quantity], found: Fit) -> Known:
    """What the next round begins with."""
    return Known(
        _known(quantities, found.x).x,
        dict(zip((q.key for q in quantities), _uncertain(quantities, found), strict=True)),
    )


def _uncertain(quantities: list[Quantity], found: Fit) -> list[float]:
    """[Q]: standard deviations, with the share of each that no fit takes away."""
    return [math.hypot(float(s), DOUBT * q.spread) for q, s in zip(quantities, found.spread, strict=True)]


def _suggestion(
    scene: Scene, quantities: list[Quantity], begin: NDArray, found: Fit, explains: float, simulations: int
) -> Suggestion:
    """Of what differs from the take's physics, and of what did (``begin`` [Q]) and is taken back."""
    if explains < LEAST_EXPLAINED:
        return Suggestion(explains=max(0.0, explains), simulations=simulations)
    findings = []
    spreads = _uncertain(quantities, found)
    fitted = {
        q.key: (q, float(was), float(x), s)
        for q, was, x, s in zip(quantities, begin, found.x, spreads, strict=True)
    }
    for quantity, was, x, spread in fitted.values():
        if x == was == 0 or quantity.name in WIND:
            continue
        name = "" if quantity.body is None else scene.bodies[quantity.body].name
        low, high = max(x - spread, quantity.low), min(x + spread, quantity.high)
        findings.append(
            Finding(
                name,
                quantity.name,
                value_of(quantity, x),
                value_of(quantity, low),
                value_of(quantity, high),
                value_of(quantity, 0.0),
                UNITS[quantity.name],
            )
        )
    if "wind_x" in fitted:
        findings += _wind(fitted["wind_x"][1:], fitted["wind_y"][1:])
    return Suggestion(findings, explains, simulations)


def _wind(along: tuple[float, float, float], across: tuple[float, float, float]) -> list[Finding]:
    """The wind, if there clearly is one or one is taken back, from what x was and is and its standard deviation along both axes."""
    before, strength, spread = (math.hypot(*pair) for pair in zip(along, across, strict=True))
    if strength == before == 0:
        return []
    direction = (along[1] / strength, across[1] / strength, 0.0) if strength > 0 else None
    low, high = max(0.0, strength - spread), strength + spread
    return [Finding("", "wind", strength, low, high, 0.0, UNITS["wind"], direction)]


def sentence(finding: Finding) -> str:
    """A finding in words."""
    what = finding.quantity.replace("_", " ").replace("youngs", "Young's")
    where = f"'{finding.object}': " if finding.object else ""
    unit = f" {finding.unit}" if finding.unit else ""
    if finding.value == finding.taken:
        return f"{where}{what} {finding.value:.3g}{unit}, as the take has it: what was found before does not hold"
    text = f"{where}{what} {finding.value:.3g}{unit} ({finding.low:.3g} to {finding.high:.3g}) where the take has {finding.taken:.3g}"
    if finding.direction is not None:
        text += f", towards ({finding.direction[0]:.2f}, {finding.direction[1]:.2f}, 0)"
    return text
