"""Names of the parts that can be swapped, and where each lives.

A part is written ``"module:attribute"`` and imported only when asked for, so listing what exists imports nothing
heavy. Adding a part is one line here and one file in its folder.
"""

from __future__ import annotations

import importlib
from typing import Any

from perpetua.errors import UnknownNameError

PARTS: dict[str, dict[str, str]] = {
    "reconstructor": {
        "embedded": "perpetua.reconstruct.embedded:EmbeddedReconstructor",
        "depth": "perpetua.reconstruct.from_depth:DepthReconstructor",
        "shots": "perpetua.reconstruct.poses.reconstructor:ShotsReconstructor",
        "splats": "perpetua.reconstruct.existing.reconstructor:SplatsReconstructor",
        "views": "perpetua.reconstruct.from_views:ViewsReconstructor",
    },
    "segmenter": {
        "grabcut": "perpetua.reconstruct.segment:GrabCutSegmenter",
        "sam2": "perpetua.reconstruct.learned.sam2:Sam2Segmenter",
    },
    "depth_estimator": {
        "depth_anything_v2": "perpetua.reconstruct.learned.depth_anything:DepthAnythingV2",
        "depth_anything_3": "perpetua.reconstruct.learned.depth_anything_3:DepthAnything3",
        "depth_pro": "perpetua.reconstruct.learned.depth_pro:DepthPro",
        "moge": "perpetua.reconstruct.learned.moge:MoGe",
    },
    "tracker": {"sam2": "perpetua.reconstruct.learned.sam2_video:Sam2Tracker"},
    "engine": {"genesis": "perpetua.physics.genesis_engine:GenesisEngine"},
    "refiner": {
        "none": "perpetua.refine.none:NoRefiner",
        "teacher": "perpetua.refine.teacher:TeacherRefiner",
        "space_time": "perpetua.refine.space_time:SpaceTimeRefiner",
        "files": "perpetua.refine.files.refiner:FilesRefiner",
        "wan": "perpetua.refine.diffusion.refiner:WanRefiner",
        "wan_vace": "perpetua.refine.diffusion.refiner:WanVACERefiner",
        "cogvideox": "perpetua.refine.diffusion.refiner:CogVideoXRefiner",
        "ltx": "perpetua.refine.diffusion.refiner:LTXRefiner",
        "sana_wm": "perpetua.refine.diffusion.refiner:SanaWMRefiner",
    },
}


def names(kind: str) -> list[str]:
    """Registered names of one kind of part."""
    return sorted(PARTS[kind])


def load(kind: str, name: str) -> Any:
    """Import the part registered under ``name``. Raises ``UnknownNameError`` that lists the names there are."""
    try:
        target = PARTS[kind][name]
    except KeyError as error:
        known = ", ".join(names(kind)) if kind in PARTS else "none of that kind"
        raise UnknownNameError(f"There is no {kind} called '{name}'; choose one of: {known}.") from error
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
