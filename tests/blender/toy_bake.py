"""A job that stands in for a bake on a real backend: writes the toy cache round by round, and no physics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from toy_cache import write_cache, write_look

from perpetua.errors import SimulationError
from perpetua.progress import Progress
from perpetua_protocol.take import Take

SLOW_S = 60.0
INPUTS = "inputs.txt"
"""Names of the files that a job was given, one a line."""


def bake(
    take: Take, picture: Path, store: Path, output: Path, through_round: int | None, progress: Progress
) -> dict[str, Any]:
    """Bakes at once; a take named ``slow`` stays in its first round, ``failing`` fails in it. None: a look at its input."""
    output.mkdir(parents=True, exist_ok=True)
    files = sorted(
        str(path.relative_to(picture.parent)) for path in picture.parent.rglob("*") if path.is_file()
    )
    (output / INPUTS).write_text("\n".join(files))
    if through_round is None:
        write_look(output)
        return {}
    for index in range(through_round + 1):
        if index == 1 and take.name == "failing":
            raise SimulationError("The matter flew apart in round 1; weaken the force.")
        end = time.monotonic() + (SLOW_S if index == 1 and take.name == "slow" else 0.1)
        started = time.monotonic()
        while time.monotonic() < end:
            progress.of(f"round {index}: simulate")((time.monotonic() - started) / SLOW_S, "stepping")
            time.sleep(0.02)
        write_cache(output, rounds=tuple(r.frames for r in take.rounds[:index]))
    return {"frames": 1 + sum(r.frames for r in take.rounds[:through_round])}
