"""One round, as the paper's figure draws it.

    forces ─> simulate ─> render front ─> refine ─> optimise ─┐
                                                              v
    next round <─ write back <─ optimise <─ refine <─ render sides
                      │
                      └─> cache

The simulator proposes motion; a video model says how it should look; the difference moves the particles; and the moved particles, with
their velocities and deformation, are where the next round's forces begin. Where the artist accepts what the videos say of the physics, the
simulator proposes once more, with what was found, and the same videos correct the little that is left.

Every line below is a stage (``stages.py``): its output is a folder on disk that exists whole or not at all and is named by what went into it.
"""

from __future__ import annotations

from dataclasses import dataclass

from perpetua.loop.resume import Stage
from perpetua.loop.stages import Seen, Studio


@dataclass(frozen=True)
class PlayedRound:
    """The stages a round leaves behind: the simulator's own motion, the correction of it, the next round's start, the refined videos
    of the front and then the sides, what speaks of its physics, and what was found, if it was asked."""

    coarse: Stage
    corrected: Stage
    end: Stage
    refined: list[Stage]
    seen: Seen
    found: Stage | None = None


def play_round(
    studio: Studio, index: int, start: Stage, memory: Stage, before: Seen | None = None
) -> tuple[PlayedRound, Stage]:
    """Play round ``index`` (1-based) from the state in ``start``; ``before`` is what was seen in the round before it. Returns its stages
    and the refiner's memory after it."""
    studio = studio.for_round(index)
    memory = studio.prepare_refiner(start, memory)

    coarse = studio.simulate(start)
    front = studio.render(coarse, None, studio.front)
    refined = studio.refine_all([front], [studio.front], start, memory)
    corrected = studio.optimise(coarse, [studio.front], refined, None)

    sides = [studio.render(coarse, corrected, camera) for camera in studio.sides]
    refined += studio.refine_all(sides, studio.sides, start, memory)
    corrected = studio.optimise(coarse, [studio.front, *studio.sides], refined, corrected)

    memory = studio.remember(memory, refined[0])
    found = studio.identify(start, coarse, corrected, before)
    if found is not None and studio.changed(found, start):
        coarse = studio.simulate(start, found)
        corrected = studio.optimise(coarse, [studio.front, *studio.sides], refined, None, again=True)

    end = studio.write_back(coarse, corrected)
    return PlayedRound(coarse, corrected, end, refined, Seen(studio, start, coarse, corrected), found), memory
