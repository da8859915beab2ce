"""How far a whole job is, from how far its present stage is. An estimate for a progress bar, and it never falls.

The loop names its stages ``reconstruct``, ``round <r>: <what>`` and ``cache`` (the round before it). A stage this file does
not know leaves the estimate where it is.
"""

from __future__ import annotations

import re

from perpetua_protocol.take import Take

_WEIGHTS = {"simulate": 30.0, "prepare": 0.2, "render": 1.0, "refine": 0.2, "optimise": 0.5, "cache": 1.0}
"""Rough seconds of a round on two cores by the first word of the stage; only the smoothness of a bar hangs on it."""
_REFINED_WEIGHTS = {"prepare": 30.0, "refine": 10.0, "optimise": 40.0}
"""Where a refiner changes the videos: then there is something to correct."""
_RECONSTRUCT_WEIGHT = 10.0
_ROUND_STAGE = re.compile(r"round (\d+): (.+)")


class Overall:
    """The estimate for one bake."""

    def __init__(self, take: Take, through_round: int) -> None:
        self.fraction = 0.0
        self._round = 0
        self._begin: dict[tuple[int, str], tuple[float, float]] = {}
        plan = [(0, "reconstruct", _RECONSTRUCT_WEIGHT), (0, "cache", _WEIGHTS["cache"])]
        for index in range(1, through_round + 1):
            refines = take.round_refiner(index - 1).name != "none"
            weights = _WEIGHTS | _REFINED_WEIGHTS if refines else _WEIGHTS
            plan += [(index, what, weights[what.split()[0]]) for what in _stages(take)]
        total = sum(weight for _, _, weight in plan)
        done = 0.0
        for index, what, weight in plan:
            self._begin[index, what] = (done / total, weight / total)
            done += weight

    def update(self, stage: str, fraction: float) -> float:
        """The whole job's fraction when ``stage`` is at ``fraction``."""
        match = _ROUND_STAGE.fullmatch(stage)
        if match:
            self._round, what = int(match[1]), match[2]
        else:
            what = stage
        begin, share = self._begin.get((self._round, what), (0.0, 0.0))
        self.fraction = max(self.fraction, min(begin + share * fraction, 1.0))
        return self.fraction


def eta_s(overall: float, elapsed_s: float) -> float | None:
    """Time left if the rest goes as the part done; None below 2 % or in the first two seconds."""
    if overall < 0.02 or elapsed_s < 2.0:
        return None
    return elapsed_s * (1.0 - overall) / overall


def _stages(take: Take) -> list[str]:
    front = [camera.name for camera in take.cameras if camera.role == "front"]
    sides = [camera.name for camera in take.cameras if camera.role != "front"]
    return [
        "simulate",
        "prepare refiner",
        *(f"render {name}" for name in front),
        *(f"refine {name}" for name in front),
        "optimise 1 view",
        *(f"render {name}" for name in sides),
        *(f"refine {name}" for name in sides),
        f"optimise {1 + len(sides)} views",
        "cache",
    ]
