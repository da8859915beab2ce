"""What ``perpetua evaluate`` can measure, each with its options. Nothing heavy is imported until it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class EvaluateLoop:
    """Measure how well the loop follows worlds whose truth is known. Run again to go on where it stopped."""

    json: bool = False
    """Print the figures as JSON."""
    scene: tuple[str, ...] = ()
    """Names of the scenes to play: clay, jelly, sand, jam, rigid, cloth; all if none is given."""
    variant: tuple[str, ...] = ()
    """Ways of closing the loop to compare; all if none is given."""
    rounds: int = 4
    """Rounds of each scene."""
    frames: int = 16
    """Frames of a round."""
    renders: int = 300
    """Renders that each of the loop's two passes over a round may spend."""
    html: Path | None = None
    """Write a page with tables, curves and videos here."""
    out: Path = Path("out/evaluate")
    """Folder for finished stages and loop.json."""

    def run(self) -> int:
        from perpetua.cli.evaluate import evaluate_loop
        from perpetua.evaluate.suite import LoopSettings

        settings = LoopSettings(rounds=self.rounds, frames=self.frames, renders=self.renders)
        return evaluate_loop(self.scene, self.variant, settings, self.json, self.html, self.out)


@dataclass(frozen=True)
class EvaluateVideo:
    """Measure predicted videos, with their depth and motion if they have them, against the truth."""

    pred: Path
    """A folder of predicted clips, or one clip (docs/evaluation.md says what a clip is)."""
    truth: Path
    """A folder of true clips of the same names, or one clip."""
    baseline: Path | None = None
    """Another prediction of the same clips: differences to it are measured too, clip by clip."""
    html: Path | None = None
    """Write a page with tables, curves and videos here."""
    json: bool = False
    """Print the figures as JSON."""
    lpips: Path | None = None
    """LPIPS as TorchScript; without it LPIPS is unavailable."""
    fvd: Path | None = None
    """An I3D as TorchScript; without it FVD is unavailable."""
    resample: bool = False
    """Where frame rates differ, blend the truth's picture to the prediction's rate and measure the picture only."""

    def run(self) -> int:
        from perpetua.cli.evaluate_video import evaluate_video
        from perpetua.evaluate.video.suite import Weights

        weights = Weights(self.lpips, self.fvd)
        return evaluate_video(
            self.pred, self.truth, self.baseline, weights, self.resample, self.html, self.json
        )


@dataclass(frozen=True)
class EvaluateTake:
    """Judge a baked take by itself: 3D consistency between views, camera error, flicker."""

    cache: Annotated[Path, tyro.conf.Positional]
    """The folder of a cache."""
    videos: Path | None = None
    """Judge these videos of it, round_<n>_<camera>.mp4, in place of what the cache itself shows."""
    width: int = 480
    """Pixels across at which the cache is drawn; videos have their own size."""
    html: Path | None = None
    """Write a page with the table, curves and videos here."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> int:
        from perpetua.cli.evaluate_take import evaluate_take

        return evaluate_take(self.cache, self.videos, self.width, self.html, self.json)


@dataclass(frozen=True)
class EvaluateReconstruct:
    """Measure reconstructions of scenes whose truth is known, rendered by Blender when first asked for."""

    json: bool = False
    """Print the figures as JSON."""
    scene: tuple[str, ...] = ()
    """Names of the scenes; all five if none is given."""
    way: tuple[str, ...] = ()
    """views (all views), depth (one picture with its depth), embedded (one picture); all if none is given."""
    width: int = 200
    """Pixels across of the pictures."""
    gaussians: int = 7000
    """Most gaussians of a fit to all views."""
    steps: int = 900
    """Steps of such a fit."""
    device: str = "cpu"
    """Where the fit runs: cpu or cuda."""
    html: Path | None = None
    """Write a page with the table and pictures here."""
    out: Path = Path("out/evaluate")
    """Folder for the rendered scenes and reconstruct.json."""

    def run(self) -> int:
        from perpetua.cli.evaluate_reconstruct import evaluate_reconstruct
        from perpetua.evaluate.reconstruct.ways import WaySettings
        from perpetua.reconstruct.fit.train import FitSettings

        settings = WaySettings(FitSettings(self.gaussians, self.steps, device=self.device))
        return evaluate_reconstruct(
            self.scene, self.way, settings, self.width, self.json, self.html, self.out
        )


@dataclass(frozen=True, kw_only=True)
class _OnClips:
    """What refiners are measured on, and how that is told."""

    data: Path
    """Folder of a data set (`perpetua data generate`)."""
    split: Literal["train", "test", "unseen", "all"] = "unseen"
    """Which clips; unseen: of scenes that no clip of is trained on."""
    clips: int = 0
    """At most so many, spread over the scenes; 0 for all."""
    steps: int = 1
    """Of the refiners."""
    html: Path | None = None
    """Write a page with tables, and the worst clips side by side, here."""
    json: bool = False
    """Print the figures as JSON."""


@dataclass(frozen=True, kw_only=True)
class EvaluateRefiner(_OnClips):
    """Measure space_time refiners on simulated clips, against the coarse video, a kept background and a filter over time."""

    weights: tuple[Path, ...] = ()
    """Of refiners, each named by its folder; the first is judged. Without any, the refiner that comes with Perpetua."""

    def run(self) -> int:
        from perpetua.cli.evaluate_refiner import evaluate_refiner

        return evaluate_refiner(
            self.data, self.weights, self.split, self.clips, self.steps, self.html, self.json
        )


@dataclass(frozen=True, kw_only=True)
class EvaluateStages(_OnClips):
    """Train a space_time network through all stages, with ablations, seeds and an equal-compute control, and compare them. Run again to go
    on where it stopped."""

    config: Path
    """A YAML file; docs/training.md describes its fields."""
    out: Path
    """Folder for the runs."""

    def run(self) -> int:
        from perpetua.cli.evaluate_stages import evaluate_stages

        return evaluate_stages(
            self.config, self.out, self.data, self.split, self.clips, self.steps, self.html, self.json
        )


Evaluation = Annotated[
    Annotated[EvaluateLoop, tyro.conf.subcommand("loop")]
    | Annotated[EvaluateVideo, tyro.conf.subcommand("video")]
    | Annotated[EvaluateTake, tyro.conf.subcommand("take")]
    | Annotated[EvaluateRefiner, tyro.conf.subcommand("refiner")]
    | Annotated[EvaluateStages, tyro.conf.subcommand("stages")]
    | Annotated[EvaluateReconstruct, tyro.conf.subcommand("reconstruct")],
    tyro.conf.arg(name=""),
]
