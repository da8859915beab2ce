"""``perpetua run take.yaml``: a bake in this process, with videos and a table at the end."""

from __future__ import annotations

from pathlib import Path

import msgspec
from PIL import Image

from perpetua.cache.export_usd import export_usd
from perpetua.cache.export_video import export_videos
from perpetua.cache.whole_file import whole_file
from perpetua.cli.console import Console, table
from perpetua.identify.identify import sentence
from perpetua.loop.bake import BakeSummary, bake
from perpetua.reconstruct.source import front_picture
from perpetua.take_file import load_take
from perpetua_protocol.errors import InvalidTake


def run_take(
    path: Path,
    picture: Path | None,
    out: Path | None,
    rounds: int | None,
    store: Path,
    videos: bool,
    usd: bool,
) -> int:
    """Bake the take file at ``path``; see the command's help for the options."""
    take, own = load_take(path)
    picture = own if picture is None else picture.resolve()
    through = len(take.rounds) if rounds is None else rounds
    if not 0 <= through <= len(take.rounds):
        raise InvalidTake(f"The take has {len(take.rounds)} rounds; --rounds {through} is not among them.")
    folder = out or path.with_suffix("")
    if folder.exists() and not folder.is_dir():
        raise InvalidTake(f"{folder} is a file; give --out the path of a folder.")
    console = Console()
    made = bake(take, picture, store, folder / "cache", through, console.progress)
    summary = msgspec.convert(made, BakeSummary)
    made_files = export_videos(folder / "cache", folder, console.progress.of("video")) if videos else []
    if usd:
        made_files.append(
            export_usd(folder / "cache", folder / f"{take.name}.usdc", console.progress.of("usd"))
        )
    console.close()
    print(summary_table(summary))
    for made_file in made_files:
        print(made_file)
    return 0


def look_at_take(path: Path, out: Path) -> int:
    """Write the picture that the objects of the take file at ``path`` are clicked in."""
    take, picture = load_take(path, look=True)
    rgb, _ = front_picture(picture, take)
    with whole_file(out) as work:
        Image.fromarray(rgb).save(work)
    print(f"{out}: {rgb.shape[1]} x {rgb.shape[0]} pixels")
    return 0


def summary_table(summary: BakeSummary) -> str:
    """The bake as a short table."""
    rows = [["picture", "1", f"{summary.reconstruct_seconds:.1f}", "", ""]]
    rows += [
        [
            f"round {r.index}",
            str(r.frames),
            f"{r.seconds:.1f}",
            "found" if r.resumed else "baked",
            r.state_sha256[:16],
        ]
        for r in summary.rounds
    ]
    head = (
        f"{summary.frames} frames, {summary.particles} particles, "
        f"{summary.foreground} + {summary.background} gaussians (objects + background)\ncache: {summary.cache}\n"
    )
    idle = [
        f"\n'{name}' reached no object in round {r.index}: move it, widen its reach, or change its targets or its frames."
        for r in summary.rounds
        for name in r.idle
    ]
    return (
        head
        + table(["", "frames", "seconds", "stages", "state digest"], rows)
        + "".join(idle)
        + findings(summary)
    )


def findings(summary: BakeSummary) -> str:
    """What the rounds' videos say of the physics, a line a value."""
    lines = []
    for played in summary.rounds:
        found = played.suggestion
        if found.findings:
            used = "used from this round on" if found.accepted else "set `identify: accept` to use it"
            lines.append(
                f"\nround {played.index}: {found.explains:.0%} of the correction would not be needed with ({used})"
            )
            lines += [f"\n  {sentence(finding)}" for finding in found.findings]
    return "".join(lines)
