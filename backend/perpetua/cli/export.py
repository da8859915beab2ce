"""``perpetua export``: a cache as open formats."""

from __future__ import annotations

from pathlib import Path

from perpetua.cache.writer import verify as verify_cache
from perpetua.cli.console import Console
from perpetua.errors import CacheError


def export_cache(
    cache: Path,
    usd: Path | None,
    ply: Path | None,
    video: Path | None,
    refined: Path | None,
    verify: bool,
    with_background: bool,
) -> int:
    """Check and write what was asked for, checks first; see the command's help."""
    if not (verify or usd or ply or video or refined):
        raise CacheError(
            "Nothing to export; give --usd FILE, --ply FOLDER, --video FOLDER, --refined FOLDER or --verify."
        )
    if with_background and ply is None:
        raise CacheError("--with-background belongs to --ply FOLDER; give both.")
    console = Console()
    if verify:
        meta = verify_cache(cache)
        print(f"{len(meta.files)} files, {meta.frames} frames: all as they were written.")
    if usd is not None:
        from perpetua.cache.export_usd import export_usd

        print(export_usd(cache, usd, console.progress.of("usd")))
    if ply is not None:
        from perpetua.cache.export_ply import export_ply

        written = export_ply(cache, ply, console.progress.of("ply"), with_background)
        print(f"{ply}: {len(written)} PLY files")
    if video is not None:
        from perpetua.cache.export_video import export_videos

        for path in export_videos(cache, video, console.progress.of("video")):
            print(path)
    if refined is not None:
        from perpetua.cache.export_video import export_refined

        for path in export_refined(cache, refined):
            print(path)
    console.close()
    return 0
