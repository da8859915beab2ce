"""A bake that is stopped in the middle of every stage, by a cancel or by a kill, goes on and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from perpetua.cache.writer import verify
from perpetua.errors import Cancelled
from perpetua.loop.bake import bake
from perpetua.progress import Progress
from perpetua_protocol.take import RefinerSpec, Round, Take, Wind

EXPECTED = (
    "reconstruct", "cache", "round 1: prepare refiner", "round 1: simulate", "round 1: render front",
    "round 1: refine front", "round 1: optimise 1 view", "round 1: render left", "round 1: render right",
    "round 1: refine left", "round 1: refine right", "round 1: optimise 3 views", "round 1: identify",
    "round 1: write back",
)  # fmt: skip


@dataclass
class Listener:
    """Remembers the stages it hears of, and stops the bake, in its way, at the second word of stage ``stop_in``."""

    stop_in: str = ""
    kill: bool = False
    heard: dict[str, int] = field(default_factory=dict)

    @property
    def progress(self) -> Progress:
        def report(stage: str, fraction: float, text: str) -> None:
            self.heard[stage] = self.heard.get(stage, 0) + 1
            if self.kill and self.due():
                os.kill(os.getpid(), signal.SIGKILL)

        return Progress(report, lambda: not self.kill and self.due())

    def due(self) -> bool:
        return self.heard.get(self.stop_in, 0) >= 2


@pytest.fixture(scope="module")
def taught(take: Take) -> Take:
    """One short round with a stiffer teacher, whose stiffness is asked for."""
    quality = msgspec.structs.replace(
        take.quality, particles=200, splat_width=96, width=96, optimise_renders=24
    )
    return msgspec.structs.replace(
        take,
        rounds=(Round(4, (Wind("gust", (1.0, 0.0, 0.0), 2.0, drag=4.0),)),),
        refiner=RefinerSpec("teacher", {"youngs_modulus_factor": 3.0}),
        quality=quality,
        identify="accept",
    )


@dataclass(frozen=True)
class Whole:
    """A bake that nothing stopped. words: how often each stage was heard of."""

    summary: dict[str, Any]
    files: dict[str, Any]
    words: dict[str, int]

    @property
    def stages(self) -> list[str]:
        """In the order in which they end; the cache's second word is of the last round."""
        return sorted(self.words, key=lambda stage: stage == "cache")


@pytest.fixture(scope="module")
def whole(taught: Take, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    listener = Listener()
    summary = bake(taught, picture, folder / "store", folder / "cache", 1, listener.progress)
    return Whole(summary, verify(folder / "cache").files, listener.heard)


def same(summary: dict[str, Any], cache: Path, whole: Whole) -> None:
    assert [r["state_sha256"] for r in summary["rounds"]] == [
        r["state_sha256"] for r in whole.summary["rounds"]
    ]
    assert verify(cache).files == whole.files


@pytest.mark.slow
def test_every_stage_says_how_far_it_is(whole: Whole):
    assert set(EXPECTED) <= set(whole.words)
    assert min(whole.words[stage] for stage in EXPECTED) >= 2
    assert whole.summary["rounds"][0]["suggestion"]["simulations"] > 0


@pytest.mark.slow
def test_cancelled_in_every_stage_it_goes_on_and_ends_the_same(
    whole: Whole, taught: Take, picture: Path, tmp_path: Path
):
    for stage in whole.stages:
        listener = Listener(stage)
        with pytest.raises(Cancelled):
            bake(taught, picture, tmp_path / "store", tmp_path / "cache", 1, listener.progress)
        assert listener.heard[stage] == 2, "it stopped at the next word"
    same(
        bake(taught, picture, tmp_path / "store", tmp_path / "cache", 1, Progress()),
        tmp_path / "cache",
        whole,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_killed_in_every_stage_it_goes_on_and_ends_the_same(
    whole: Whole, taught: Take, picture: Path, tmp_path: Path
):
    (tmp_path / "take.json").write_bytes(msgspec.json.encode(taught))
    for stage in whole.stages:
        done = subprocess.run(
            [sys.executable, __file__, str(tmp_path), str(picture), stage], capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    same(
        bake(taught, picture, tmp_path / "store", tmp_path / "cache", 1, Progress()),
        tmp_path / "cache",
        whole,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    asked = msgspec.json.decode((folder / "take.json").read_bytes(), type=Take)
    listener = Listener(sys.argv[3], kill=True)
    bake(asked, Path(sys.argv[2]), folder / "store", folder / "cache", 1, listener.progress)
