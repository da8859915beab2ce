"""``perpetua evaluate reconstruct``: reconstructions against scenes whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perpetua.cli.console import Console
from perpetua.cli.doctor import blender_python
from perpetua.cli.reports import print_json, print_tables, write_page
from perpetua.errors import UnknownNameError
from perpetua.evaluate.reconstruct.report import as_html, as_json, as_rows
from perpetua.evaluate.reconstruct.suite import SceneResult, evaluate_scene
from perpetua.evaluate.reconstruct.truth import SCENES, rendered
from perpetua.evaluate.reconstruct.ways import WAYS, WaySettings


def evaluate_reconstruct(
    scenes: Sequence[str],
    ways: Sequence[str],
    settings: WaySettings,
    width: int,
    json: bool,
    page: Path | None,
    out: Path,
) -> int:
    """Reconstruct ``scenes`` in ``ways`` (all if empty); see the command's help for the rest."""
    scenes, ways = list(scenes) or list(SCENES), list(ways) or list(WAYS)
    for kind, names, known in (("scene", scenes, SCENES), ("way", ways, tuple(WAYS))):
        for name in names:
            if name not in known:
                raise UnknownNameError(
                    f"There is no {kind} called '{name}'; choose one of: {', '.join(known)}."
                )
    console = Console()
    results: list[SceneResult] = []
    for name in scenes:
        console.progress.of("render")(scenes.index(name) / len(scenes), name)
        folder = rendered(name, out / "truth", width, blender_python())
        results.append(evaluate_scene(name, folder, ways, settings, console.progress))
        console.close()
        print_tables(as_rows(results[-1:]))
        (out / "reconstruct.json").write_bytes(as_json(results))
        write_page(page, lambda: as_html(results))
    print_json(json, lambda: as_json(results))
    return 0
