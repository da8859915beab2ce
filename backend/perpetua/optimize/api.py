"""What the backward pass takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.scene.cameras import Camera


@dataclass(frozen=True)
class ViewTarget:
    """A refined video: what the corrected scene should look like from ``camera``. video: [T+1, H, W, 3] in [0, 1].
    alpha: [T+1, H, W], coverage by objects in that video, where it is known."""

    camera: Camera
    video: NDArray[np.float32]
    weight: float = 1.0
    alpha: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Settings:
    """Parts of the backward pass that can be left out, to see what each is worth, or put in.

    nuisance: whether a video's own colours and warp are estimated and taken out, and views that the others contradict trusted less.
    smooth_knots: whether a correction is smooth in time; otherwise it has a knot in every frame, and bends cost nothing.
    view_colours: whether what is left of a video's own colours is learned with the motion (``own_look.py``); only with ``nuisance``.
    object_warps: the same of its warp, which motion can be mistaken for. Off: it left clay as good as it was and made jam a fifth worse.
    offsets: whether splats may shift on their particles too (``splat_offsets.py``).
    fading: whether splats may be seen more or less in the middle of the round (``scene/fading.py``).
    flow: whether rendered flow is compared with the videos' too (``flow.py``).

    The last three are off: none of them brought clay or jelly nearer to the truth (``docs/benchmarks.md``).
    """

    nuisance: bool = True
    smooth_knots: bool = True
    view_colours: bool = True
    object_warps: bool = False
    offsets: bool = False
    fading: bool = False
    flow: bool = False


@dataclass(frozen=True)
class Correction:
    """Smooth corrections of a round.

    knots: [Q], frame numbers of the round.  displacement: [Q, P, 3] m, added to particles at the knots and
    interpolated smoothly between them (zero at frame 0, which earlier rounds have settled).  sh: [N, K, 3], the
    foreground's corrected colours.  offsets: [N, 3], where on their particles its splats sit (``Binding.offsets``, raw);
    fading: [N], how their opacities change within the round (``scene/fading.py``).  Both are of size 0 where they were not corrected.
    """

    knots: NDArray[np.float32]
    displacement: NDArray[np.float32]
    sh: NDArray[np.float32]
    loss: float = float("nan")
    renders: int = 0
    trust: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """[V, T + 1] in [0, 1]: how far each target was believed in each frame, 0 where it shows no object; empty before any was compared."""
    offsets: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    fading: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def moves_nothing(self) -> bool:
        """Whether it leaves all particles where the simulator put them."""
        return not self.displacement.any()

    def save(self, path: Path) -> None:
        np.savez(
            path,
            knots=self.knots,
            displacement=self.displacement,
            sh=self.sh,
            loss=self.loss,
            renders=self.renders,
            trust=self.trust,
            offsets=self.offsets,
            fading=self.fading,
        )

    @staticmethod
    def load(path: Path) -> Correction:
        """Read what ``save`` wrote; files of earlier versions lack what came later."""
        with np.load(path, allow_pickle=False) as data:
            later = {name: data[name] for name in ("trust", "offsets", "fading") if name in data.files}
            return Correction(
                data["knots"],
                data["displacement"],
                data["sh"],
                float(data["loss"]),
                int(data["renders"]),
                **later,
            )
