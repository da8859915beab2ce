"""The commands and their options. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from perpetua.cli.data_options import Data
from perpetua.cli.evaluate_options import Evaluation
from perpetua.cli.train_options import Training
from perpetua.paths import default_store


def demo(
    picture: Path | None = None,
    click: str | None = None,
    material: str | None = None,
    out: Path = Path("out/demo"),
) -> int:
    """Play the whole path once, through the Blender add-on: picture, click, two rounds of forces, bake, render.

    Args:
        picture: An image; the project's own clay ball if not given.
        click: A pixel inside the object, as "x,y"; needed with a picture of your own.
        material: A material preset; guessed from the known pictures, else clay.
        out: Where scene.blend, the cache, the videos and the contact sheet go.
    """
    from perpetua.demo.play import play_demo

    return play_demo(picture, click, material, out)


def serve(
    store: Path | None = None,
    address: str = "127.0.0.1",
    connection_file: Path | None = None,
    parent_pid: int | None = None,
) -> int:
    """Run a backend that the Blender add-on and other clients connect to, until it is stopped.

    Args:
        store: Folder for jobs and finished stages.
        address: Network address to listen on; loopback unless you mean otherwise.
        connection_file: Where to write the address and keys that a client needs.
        parent_pid: End when the process with this id ends.
    """
    from perpetua.server import serve as run_server

    run_server(
        store or default_store(), address=address, connection_file=connection_file, parent_pid=parent_pid
    )
    return 0


def run(
    take: Annotated[Path, tyro.conf.Positional],
    picture: Path | None = None,
    out: Path | None = None,
    rounds: int | None = None,
    store: Path | None = None,
    videos: bool = True,
    usd: bool = True,
) -> int:
    """Bake a take file without Blender: cache, videos and a table. Run again to go on where it stopped.

    Args:
        take: A take.yaml.
        picture: The take's picture (video, splats, or transforms.json), if it lies elsewhere than the take says.
        out: Where the cache and videos go; a folder beside the take by default.
        rounds: Bake only this many rounds; 0 reconstructs the picture only.
        store: Folder for finished stages.
        videos: Render each round from each camera to MP4.
        usd: Write the take as OpenUSD.
    """
    from perpetua.cli.run import run_take

    return run_take(take, picture, out, rounds, store or default_store(), videos, usd)


def look(take: Annotated[Path, tyro.conf.Positional], out: Path = Path("front.png")) -> int:
    """Write the picture that a take's objects are clicked in: of splats, a video or a capture. The take may lack objects.

    Args:
        take: A take.yaml.
        out: The picture to write.
    """
    from perpetua.cli.run import look_at_take

    return look_at_take(take, out)


def batch(
    shots: Annotated[list[Path], tyro.conf.Positional],
    out: Path | None = None,
    frames: str = "",
    rounds: int | None = None,
    scene: str = "",
    bake: bool = True,
    render: bool = True,
    again: bool = False,
    save: bool = True,
    blender: Path | None = None,
    store: Path | None = None,
    json: bool = False,
) -> int:
    """Bake and render many shots (.blend files) without a window, with one backend. Run again to go on where it stopped.

    Args:
        shots: The .blend files.
        out: Where the frames go, each shot in a folder of its own; "renders" beside each file by default.
        frames: Frames to render, such as 1-48 or 1,5,10-20; each shot's own range by default.
        rounds: Bake only this many rounds of each shot.
        scene: Name of the scene to bake and render; by default the one that was shown when the file was saved.
        bake: Bake what is not baked as the file stands.
        render: Render the frames that are missing, or were made from something else.
        again: Render all frames anew.
        save: Save a file after its bake, so that it opens with what was baked.
        blender: A Blender program that has the add-on; this checkout's own by default.
        store: Folder for jobs and finished stages, where no backend runs yet.
        json: Print the results as JSON.
    """
    from perpetua.cli.batch import BatchPlan, run_batch

    plan = BatchPlan(out, frames, rounds, scene, bake, render, again, save, blender, store or default_store())
    return run_batch(shots, plan, json)


def doctor(json: bool = False) -> int:
    """Say what this machine can do, and what each missing extra would bring.

    Args:
        json: Print the findings as JSON.
    """
    from perpetua.cli.doctor import report

    return report(json)


def export(
    cache: Annotated[Path, tyro.conf.Positional],
    usd: Path | None = None,
    ply: Path | None = None,
    video: Path | None = None,
    refined: Path | None = None,
    verify: bool = False,
    with_background: bool = False,
) -> int:
    """Turn a cache into open formats.

    Args:
        cache: The folder of a cache.
        usd: An OpenUSD file (.usdc): splats over time, the same as points for Blender 4.5 to 5.2, and the cameras.
        ply: Folder for a sequence of splat PLY files, one a frame, and background.ply.
        video: Folder for one MP4 per round and camera.
        refined: Folder for the videos of the refiner that the rounds were corrected by.
        verify: Check every file of the cache against its digest.
        with_background: Put the splats that never move into every PLY file of the sequence.
    """
    from perpetua.cli.export import export_cache

    return export_cache(cache, usd, ply, video, refined, verify, with_background)


def bench(
    what: Annotated[Literal["raster", "physics", "backward", "playback"], tyro.conf.Positional],
    json: bool = False,
    plot: Path | None = None,
    frames: int = 49,
    views: int = 3,
    width: int = 320,
    gaussians: int = 20_000,
    renders: int = 300,
    compare: bool = False,
) -> int:
    """Measure speed on this machine.

    Args:
        what: What to measure.
        json: Print the figures as JSON.
        plot: Of raster and physics: also measure how the cost grows, and write a picture of it here.
        frames: Of backward: frames of the round.
        views: Of backward: cameras that see it.
        width: Of backward: pixels of their videos.
        gaussians: Of backward: splats of the object, about.
        renders: Of backward: rendered frames that each of its two passes may spend.
        compare: Of backward: also play PerpetualWonder's schedule on the same videos, which takes long.
    """
    if what == "backward":
        from perpetua.cli.console import Console
        from perpetua.evaluate.backward import BackwardPlan
        from perpetua.evaluate.backward import run as bench_backward

        console = Console()
        plan = BackwardPlan(frames, views, width, gaussians, renders, compare)
        bench_backward(plan, json, console.progress)
        console.close()
    elif what == "physics":
        from perpetua.physics.bench import run as bench_physics

        bench_physics(json=json, plot=plot)
    elif what == "playback":
        from perpetua.cli.bench_playback import bench_playback

        return bench_playback(json)
    else:
        from perpetua.render.bench import run as bench_raster

        bench_raster(json=json, plot=plot)
    return 0


def evaluate(what: Evaluation) -> int:
    """Measure how well the loop follows known truths, how good videos are, or how a baked take holds together."""
    return what.run()


def data(what: Data) -> int:
    """Make, look at or unpack clips of simulated scenes, of which everything is known."""
    return what.run()


def train(what: Training) -> int:
    """Train a video model of yours on clips whose world is known, in three stages. On many GPUs: torchrun -m perpetua train ..."""
    return what.run()


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "serve": serve,
    "run": run,
    "look": look,
    "batch": batch,
    "export": export,
    "doctor": doctor,
    "bench": bench,
    "evaluate": evaluate,
    "data": data,
    "train": train,
}
