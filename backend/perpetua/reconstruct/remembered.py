"""What was found in pictures, kept while the process lives: a bake of the same picture with other materials searches for nothing again,
which was two thirds of the time until it simulates."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua import weights
from perpetua.reconstruct.api import Picture, Segmenter
from perpetua.reconstruct.learned.checkpoint import Learned
from perpetua_protocol.take import MaterialSpec, ObjectSpec

MOST_KEPT = 16
"""Mattes; one of 1280 x 704 pixels takes 3.6 MB."""

_found: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()


def matte(segmenter: Segmenter, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
    """[H, W] coverage in [0, 1], the caller's own: ``segmenter.segment(picture, thing)``. Raises ``SegmentationError``."""
    key = _key(segmenter, picture, thing)
    if key not in _found:
        _found[key] = segmenter.segment(picture, thing)
    _found.move_to_end(key)
    while len(_found) > MOST_KEPT:
        _found.popitem(last=False)
    return _found[key].copy()


def _key(segmenter: Segmenter, picture: Picture, thing: ObjectSpec) -> bytes:
    """Digest of all that a segmenter goes by: its kind and weights, the picture, the artist's marks."""
    kind = type(segmenter)
    made = weights.identity(segmenter.folder) if isinstance(segmenter, Learned) else {}
    marks = msgspec.structs.replace(thing, name="", material=MaterialSpec(), regions=())
    told = [kind.__module__, kind.__qualname__, made, picture.scale, picture.rgb.shape, marks]
    digest = hashlib.sha256(msgspec.json.encode(told))
    for pixels in (picture.rgb, picture.depth):
        if pixels is not None:
            digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.digest()
