"""The figures of reconstructed truth scenes as a table, as JSON and as a page."""

from __future__ import annotations

import html
from dataclasses import asdict

import msgspec

from perpetua.evaluate.page import STYLE, picture_element, table_element
from perpetua.evaluate.reconstruct.measures import Figures
from perpetua.evaluate.reconstruct.suite import SceneResult

TITLES = {
    "psnr_around": "PSNR around, dB", "ssim_around": "SSIM around", "psnr_sides": "PSNR at 20 degrees, dB",
    "ssim_sides": "SSIM at 20 degrees", "mask_iou": "mask IoU", "volume_error": "volume error", "centroid_error": "centroid error",
    "plane_tilt_deg": "plane tilt, degrees", "seconds": "seconds", "peak_gib": "peak GiB",
}  # fmt: skip
"""Headings, by figure."""
BARS = {"psnr_multi_view": 30.0, "psnr_single_view": 24.0, "mask_iou": 0.95, "volume_error": 0.05, "centroid_error": 0.05,
        "plane_tilt_deg": 1.0}  # fmt: skip
"""What a reconstruction is held to; of the errors, at most. ``psnr_multi_view`` and the rest from all views, ``psnr_single_view`` from one
picture with its depth."""


def record_of(result: SceneResult) -> dict[str, float | dict[str, float] | None]:
    """The figures under the names of ``BARS``, and all figures of each way under its name."""
    views, depth = result.figures.get("views"), result.figures.get("depth")
    main: Figures | None = views or depth
    found: dict[str, float | dict[str, float] | None] = {
        "psnr_multi_view": views.psnr_around if views else None,
        "psnr_single_view": depth.psnr_sides if depth else None,
    }
    for name in ("mask_iou", "volume_error", "centroid_error", "plane_tilt_deg", "seconds", "peak_gib"):
        found[name] = getattr(main, name) if main else None
    return {**found, **{way: asdict(figures) for way, figures in result.figures.items()}}


def as_json(results: list[SceneResult]) -> bytes:
    """``scenes.<name>.<figure>`` and ``scenes.<name>.<way>.<figure>``."""
    record = {"bars": BARS, "scenes": {result.name: record_of(result) for result in results}}
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def as_rows(results: list[SceneResult]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, one a scene and way."""
    rows = [
        [result.name, way, *(f"{value:.3g}" for value in asdict(figures).values())]
        for result in results
        for way, figures in result.figures.items()
    ]
    return ["scene", "from", *TITLES.values()], rows


def as_html(results: list[SceneResult]) -> str:
    """A page that needs no other file: the table, and pictures of the truth and of each way."""
    table = table_element(*as_rows(results))
    figures = "".join(
        f"<h2>{html.escape(result.name)}</h2><p>From above: {', '.join(['the truth', *result.figures])}. Left to right: two views held out, "
        f"20 degrees left, 20 degrees right.</p>{picture_element(result.pictures)}"
        for result in results
    )
    return (
        f"<!doctype html><meta charset='utf-8'><title>Reconstruction</title><style>{STYLE}</style>"
        f"<h1>Reconstruction against scenes whose truth is known</h1>{table}{figures}"
    )
