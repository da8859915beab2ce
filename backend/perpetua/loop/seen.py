"""A round that was played and corrected, as evidence for what its physics is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perpetua.identify.identify import Evidence
from perpetua.identify.quantities import Known
from perpetua.loop.resume import Stage
from perpetua.loop.stage_files import load_correction, load_state, load_trajectory
from perpetua.progress import Progress
from perpetua.scene import Scene, State, Trajectory

if TYPE_CHECKING:
    from perpetua.loop.stages import Studio


@dataclass(frozen=True)
class Seen:
    """A round's stages from which its physics can be found out, and the studio that played it."""

    studio: Studio
    start: Stage
    coarse: Stage
    corrected: Stage

    @property
    def moves(self) -> bool:
        """Whether the videos changed its motion."""
        return not load_correction(self.corrected).moves_nothing

    def evidence(self) -> Evidence:
        """The round as simulated and as corrected."""
        studio, trust = self.studio, load_correction(self.corrected).trust

        def simulate(scene: Scene, begin: State, assumed: Known, progress: Progress) -> Trajectory:
            return studio.play(scene, begin, 1.0, progress, assumed).trajectory

        moved, _ = studio.played(self.coarse, self.corrected)
        views = int(trust.any(1).sum())  # a camera that the objects are never in says nothing
        simulated = load_trajectory(self.coarse)
        return Evidence(
            studio.scene, load_state(self.start), simulated, moved, trust.mean(0), views, simulate
        )
