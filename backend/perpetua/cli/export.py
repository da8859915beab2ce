"""``perpetua export``: a cache as open formats."""

from __future__ import annotations

from pathlib import Path

from perpetua.cache.export_video import export_videos
from perpetua.cache.writer import verify as verify_cache
from perpetua.cli.console import Console


def export_cache(cache: Path, video: Path | None, verify: bool) -> int:
    """Write what was asked for; see the command's help."""
    console = Console()
    if verify:
        meta = verify_cache(cache)
        print(f"{len(meta.files)} files, {meta.frames} frames: all as they were written.")
    if video is not None:
        for path in export_videos(cache, video, console.progress.of("video")):
            print(path)
    console.close()
    return 0
