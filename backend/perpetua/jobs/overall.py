"""How far a whole job is and how long it will still take, from how far its present stage is. The bar never falls.

The loop names its stages ``reconstruct`` (and those of a view maker after it), ``round <r>: <what>`` and ``cache`` (the round before it). A stage this file does
not know leaves the estimate where it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from perpetua_protocol.take import Take

_WEIGHTS = {
    "simulate": 30.0, "prepare": 0.2, "render": 1.0, "refine": 0.2, "optimise": 0.5, "identify": 0.1, "write": 0.5, "cache": 1.0,
}  # fmt: skip
"""Rough seconds of a round on two cores by the first word of the stage; a bar's smoothness and the first minute's estimate hang on it."""
_REFINED_WEIGHTS = {"prepare": 30.0, "refine": 10.0, "optimise": 40.0, "identify": 60.0}
"""Where a refiner changes the videos: then there is something to correct."""
_RECONSTRUCT_WEIGHT = 10.0
VIEW_MAKER_WEIGHTS = {
    "film turn_left": 3.0, "paint turn_left": 60.0, "film turn_right": 3.0, "paint turn_right": 60.0, "repaint": 20.0,
}  # fmt: skip
"""Stages of a view maker in their order; how long it paints hangs on the program."""
FIRST_WORDS_S = 2.0
"""Before so many seconds of work nothing is said about the time left."""
SLOW_START = 0.2
"""Share of a stage up to which its first word of progress says that only now it has begun to work: what came before, such as kernels
that are compiled, is not what the rest will be like."""
KNOWN_BY = 0.05
"""Share of a stage after which its own speed says how long it will go on."""
_ROUND_STAGE = re.compile(r"round (\d+): (.+)")


class Overall:
    """The estimates for one bake: how far it is, and how long it will still take.

    What is left is reckoned with the speed of this very run: seconds for a unit of weight, of the same kind of stage where one was
    seen, else of all seen so far. Before a stage works it may get ready; how long is known when stages of its kind were seen twice, for the
    first of them may compile. Stages that an earlier run left cost nothing and say nothing about speed.
    """

    def __init__(self, take: Take, through_round: int) -> None:
        self.fraction = 0.0
        self.left_s: float | None = None
        """Estimated seconds to the end; None until this run has shown how fast it is."""
        self._round = 0
        self._plan = _plan(take, through_round)
        total = sum(self._plan.values())
        self._begin: dict[tuple[int, str], float] = {}
        done = 0.0
        for key, weight in self._plan.items():
            self._begin[key] = done / total
            done += weight
        self._total = total
        self._speeds: dict[str, _Speed] = {}
        self._stage: tuple[int, str] | None = None
        self._entered = self._began = (0.0, 0.0)

    def update(self, stage: str, fraction: float, now: float = 0.0) -> float:
        """The whole job's fraction when ``stage`` is at ``fraction`` at the time ``now`` (s, of any steady clock)."""
        match = _ROUND_STAGE.fullmatch(stage)
        if match:
            self._round, what = int(match[1]), match[2]
        else:
            what = stage
        key = self._round, what
        if key not in self._plan:
            return self.fraction
        weight = self._plan[key]
        self.fraction = max(self.fraction, min(self._begin[key] + weight / self._total * fraction, 1.0))
        if key != self._stage:
            self._leave(now)
            self._stage, self._entered = key, (now, fraction)
            self._began = self._entered
        elif self._began == self._entered and 0 < fraction - self._entered[1] <= SLOW_START:
            self._began = now, fraction
        self.left_s = self._left(key, weight, fraction, now)
        return self.fraction

    def _leave(self, now: float) -> None:
        """Take down how fast the stage was that ends now."""
        if self._stage is not None:
            since, first = self._began
            speed = self._speeds.setdefault(self._stage[1].split()[0], _Speed())
            speed.seconds += now - since
            speed.weight += (1 - first) * self._plan[self._stage]
            speed.starts.append(since - self._entered[0])

    def _left(self, key: tuple[int, str], weight: float, fraction: float, now: float) -> float | None:
        since, first = self._began
        here = _Speed(now - since, (fraction - first) * weight)
        tells = fraction - first >= KNOWN_BY
        seen = [*self._speeds.values(), *([here] if tells else [])]
        everywhere = _Speed(sum(s.seconds for s in seen), sum(s.weight for s in seen))
        if everywhere.seconds < FIRST_WORDS_S or everywhere.weight <= 0:
            return None
        keys = list(self._plan)
        left = 0.0
        for later in keys[keys.index(key) :]:
            speed = self._speeds.get(later[1].split()[0], everywhere)
            share = self._plan[later]
            if later == key:
                share *= 1 - fraction
                if here.seconds >= FIRST_WORDS_S and tells:
                    speed = here
            else:
                left += speed.start
            left += share * (speed if speed.weight > 0 else everywhere).pace
        return left


@dataclass
class _Speed:
    """Of a kind of stage. starts: seconds that each took to get ready."""

    seconds: float = 0.0
    weight: float = 0.0
    starts: list[float] = field(default_factory=list)

    @property
    def pace(self) -> float:
        """Seconds for a unit of weight."""
        return self.seconds / self.weight

    @property
    def start(self) -> float:
        """Seconds that one usually takes to get ready."""
        return min(self.starts) if len(self.starts) > 1 else 0.0


def _plan(take: Take, through_round: int) -> dict[tuple[int, str], float]:
    """The weight of every stage of the bake, in order, by round and name."""
    plan = {(0, "reconstruct"): _RECONSTRUCT_WEIGHT}
    if take.scene.view_maker.name:
        plan |= {(0, what): weight for what, weight in VIEW_MAKER_WEIGHTS.items()}
    plan[0, "cache"] = _WEIGHTS["cache"]
    for index in range(1, through_round + 1):
        weights = dict(_WEIGHTS)
        if _refines(take, index - 1):
            weights |= _REFINED_WEIGHTS
            if index > 1 and _refines(take, index - 2):
                weights["identify"] *= 2  # the round before is played again too
        plan |= {(index, what): weights[what.split()[0]] for what in _stages(take, index - 1)}
    return plan


def _refines(take: Take, index: int) -> bool:
    return take.round_refiner(index).name != "none"


def _stages(take: Take, index: int) -> list[str]:
    front = [camera.name for camera in take.cameras if camera.role == "front"]
    sides = [camera.name for camera in take.cameras if camera.role != "front"]
    asked = take.round_identify(index)
    again = asked == "accept" and _refines(take, index)
    return [
        "simulate",
        "prepare refiner",
        *(f"render {name}" for name in front),
        *(f"refine {name}" for name in front),
        "optimise 1 view",
        *(f"render {name}" for name in sides),
        *(f"refine {name}" for name in sides),
        f"optimise {1 + len(sides)} views",
        *(["identify"] if asked != "off" else []),
        *(["simulate again", "optimise again"] if again else []),
        "write back",
        "cache",
    ]
