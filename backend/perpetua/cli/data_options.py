"""What ``perpetua data`` does, each with its options. Nothing heavy is imported until it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Generate:
    """Make clips of simulated scenes, coarse and fine. Run again to go on where it stopped."""

    config: Path
    """A data.yaml (docs/data.md)."""
    out: Path
    """Folder of the data set."""
    workers: int = 1
    """Simulator processes; each wants a core and 2 GB."""
    address: str | None = None
    """A Ray cluster to use instead of this machine; it must see the same folder."""

    def run(self) -> int:
        from perpetua.cli.console import Console
        from perpetua.phys4d.data.config import load_config
        from perpetua.phys4d.data.generate import generate

        console = Console()
        made = generate(
            load_config(self.config), self.out, self.workers, self.address, console.progress.of("data")
        )
        console.close()
        print(
            f"{made.clips} clips of {made.scenes} scenes in {self.out}; {made.failed} scenes could not be simulated",
            file=sys.stderr,
        )
        for name in made.left_out:
            print(f"{name} is left out: it ended every worker that tried it", file=sys.stderr)
        return 1 if made.left_out else 0


@dataclass(frozen=True)
class Inspect:
    """Show what is in a data set: a contact sheet and statistics."""

    data: Path
    """Folder of the data set."""
    sheet: Path | None = None
    """Write the contact sheet here, as PNG."""
    clips: int = 12
    """Clips on the sheet, spread over the data."""
    json: bool = False
    """Print the statistics as JSON."""

    def run(self) -> int:
        from perpetua.cli.data import inspect_data

        return inspect_data(self.data, self.sheet, self.clips, self.json)


@dataclass(frozen=True)
class Unpack:
    """Write clips as folders that `perpetua evaluate video` reads: out/truth, out/coarse, and out/refined with --weights."""

    data: Path
    """Folder of the data set."""
    out: Path
    """Where the folders go."""
    split: Literal["train", "test", "unseen", "all"] = "unseen"
    """Which clips: trained on; held out; of these, only those of scenes that no other clip is trained on; every one."""
    weights: Path | None = None
    """Of a trained space_time refiner (docs/refiners.md): refine the coarse videos too."""
    steps: int = 2
    """Of the refiner."""

    def run(self) -> int:
        from perpetua.cli.console import Console
        from perpetua.phys4d.data.store import read_split
        from perpetua.phys4d.data.unpack import unpack

        chosen = read_split(self.data, self.split)
        console = Console()
        refine = None
        if self.weights is not None:
            from perpetua.phys4d.refiner.play import clip_refiner

            refine = clip_refiner(self.weights, self.steps)
        unpack(chosen, self.out, console.progress.of("unpack"), refine)
        console.close()
        return 0


Data = Annotated[
    Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Unpack, tyro.conf.subcommand("unpack")],
    tyro.conf.arg(name=""),
]
