"""``perpetua evaluate loop``: the loop, and what others do, against worlds whose truth is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from perpetua.cli.console import Console, table
from perpetua.cli.reports import print_json, write_page
from perpetua.errors import CacheError
from perpetua.evaluate.catalogue import LOOP_WORLDS, loop_world
from perpetua.evaluate.report import as_html, as_json, as_rows
from perpetua.evaluate.suite import LoopSettings, evaluate_scene
from perpetua.evaluate.variants import VARIANTS, variant
from perpetua.loop.resume import StageStore
from perpetua_protocol.errors import InvalidTake


def evaluate_loop(
    scenes: Sequence[str],
    variants: Sequence[str],
    settings: LoopSettings,
    json: bool,
    page: Path | None,
    out: Path,
) -> int:
    """Play ``scenes`` (all if empty) through ``variants`` (all if empty); see the command's help for the rest."""
    if settings.rounds < 1 or settings.frames < 3:
        raise InvalidTake(
            "The benchmark needs at least one round of three frames; raise --rounds or --frames."
        )
    if settings.renders < 1:
        raise InvalidTake(
            "The benchmark needs at least one render and one pass; raise --renders or --passes."
        )
    scenes, variants = list(scenes) or list(LOOP_WORLDS), list(variants) or list(VARIANTS)
    for name in scenes:
        loop_world(name)
    for name in variants:
        variant(name)
    for folder in (out, *([] if page is None else [page.parent])):
        _writable(folder)
    console = Console()
    store = StageStore(out / "stages")
    results = []
    for name in scenes:
        result = evaluate_scene(name, variants, settings, store, console.progress)
        console.close()
        print(f"\n{name}: in truth {result.world.truth.says}\n{table(*as_rows(result))}", file=sys.stderr)
        results.append(result)
        (out / "loop.json").write_bytes(as_json(results, settings))
        write_page(page, lambda: as_html(results, settings))
    print_json(json, lambda: as_json(results, settings))
    return 0


def _writable(folder: Path) -> None:
    """Make ``folder``, before hours are spent on what is to go there. Raises ``CacheError``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"{folder} cannot be made ({error.strerror}); give another folder.") from error
