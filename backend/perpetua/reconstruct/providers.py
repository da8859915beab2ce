"""The parts of reconstruction that a take chooses by name: who finds objects, carries them through a video, and says how far they are.

Raises ``UnknownNameError`` for a name that is not registered, ``ReconstructionError`` where a provider's weights are missing.
"""

from __future__ import annotations

from typing import Any, cast

from perpetua import registry, weights
from perpetua.errors import ReconstructionError
from perpetua.reconstruct.api import DepthEstimator, MaskTracker, Segmenter
from perpetua.reconstruct.learned.checkpoint import Learned
from perpetua_protocol.take import Provider, Take

EMBEDDED_SEGMENTER = "grabcut"


def segmenter(take: Take) -> Segmenter:
    """Who finds the objects of ``take``."""
    chosen = take.scene.segmenter
    return cast(Segmenter, _made("segmenter", Provider(chosen.name or EMBEDDED_SEGMENTER, chosen.model)))


def tracker(take: Take) -> MaskTracker | None:
    """Who carries the objects of ``take`` through a video: its segmenter, if it can."""
    chosen = take.scene.segmenter
    if chosen.name not in registry.names("tracker"):
        return None
    return cast(MaskTracker, _made("tracker", chosen))


def depth_estimator(take: Take) -> DepthEstimator:
    """Who says how far what the picture of ``take`` shows is."""
    return cast(DepthEstimator, _made("depth_estimator", take.scene.depth_estimator))


def identities(take: Take) -> dict[str, Any]:
    """What tells the weights that ``take`` chooses from others, by the kind of provider; without those that have none."""
    chosen = {"segmenter": take.scene.segmenter, "depth_estimator": take.scene.depth_estimator}
    made = {kind: _made(kind, spec) for kind, spec in chosen.items() if spec.name}
    return {
        kind: weights.identity(provider.folder)
        for kind, provider in made.items()
        if isinstance(provider, Learned)
    }


def _made(kind: str, spec: Provider) -> object:
    part = registry.load(kind, spec.name)
    if issubclass(part, Learned):
        return part(spec.model)
    if spec.model:
        raise ReconstructionError(
            f"The {kind} '{spec.name}' has no weights; leave out its model '{spec.model}'."
        )
    return part()
