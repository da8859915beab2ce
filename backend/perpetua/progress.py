"""How work reports how far it is, and learns that it should stop.

Long functions take a ``Progress`` and call it often. It raises ``Cancelled`` when the artist stopped the job, so a
cancel takes effect at the next report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perpetua.errors import Cancelled

Report = Callable[[str, float, str], None]
"""Called with (stage, fraction done of that stage in [0, 1], a few words)."""


def _ignore(stage: str, fraction: float, text: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Progress:
    """Reports to ``report`` under the name ``stage``; ``cancelled`` is asked at every report."""

    report: Report = _ignore
    cancelled: Callable[[], bool] = field(default=_never)
    stage: str = ""

    def __call__(self, fraction: float, text: str = "") -> None:
        """Say that ``fraction`` of this stage is done. Raises ``Cancelled`` if the job was stopped."""
        if self.cancelled():
            raise Cancelled("The bake was cancelled; everything finished before it is kept.")
        self.report(self.stage, min(max(fraction, 0.0), 1.0), text)

    def of(self, stage: str) -> Progress:
        """The same listener under another stage's name."""
        return Progress(self.report, self.cancelled, stage)
