"""SAM 2.1 (Ravi et al. 2024): objects of a picture from clicks, clicks on what they are not, and boxes.

The `sam2` package would do the same with the same weights, but reads them pickled only; transformers' classes read safetensors, and
run on CPU and CUDA alike.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SegmentationError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.learned.checkpoint import Card, Learned, pretrained
from perpetua.reconstruct.matte import soften
from perpetua.reconstruct.segment import MAX_SHARE, check_marks
from perpetua_protocol.take import ObjectSpec

CARD = Card(
    "SAM 2.1",
    "facebook/sam2.1-hiera-large (or -base-plus, -small, -tiny): config.json and model.safetensors",
    "Apache 2.0",
    "0.2 to 0.9 GB of weights by size; about 2 GB while it works, on a CPU too",
)
KINDS = ("sam2", "sam2_video")
"""Values of ``model_type``: the published checkpoints hold the video's model, of which the picture's is a part."""
FEWEST_PIXELS = 40
"""Of an object, at the picture's size."""


class Sam2Segmenter(Learned):
    """A ``Segmenter``. The picture is looked at once for all its objects."""

    card = CARD

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        return wrong_kind(config, KINDS)

    def segment(self, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
        """[H, W] coverage in [0, 1]. Clicks and boxes are in pixels of the file. Raises ``SegmentationError``."""
        height, width = picture.rgb.shape[:2]
        check_marks(thing, width / picture.scale, height / picture.scale)
        region = self._logits(picture, thing) > 0
        if region.sum() < FEWEST_PIXELS:
            raise SegmentationError(
                f"SAM 2.1 finds nothing where '{thing.name}' is marked; click on the object itself, or draw a box around it."
            )
        if region.mean() > MAX_SHARE:
            raise SegmentationError(
                f"'{thing.name}' would fill most of the picture; add clicks on what is not the object, or draw a box."
            )
        return soften(picture.rgb, region.astype(np.uint8))

    def _logits(self, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
        """[H, W], above zero where the object is. A single click may mean a part or the whole: of the masks offered for it the one
        that the model rates highest is taken."""
        import torch

        from perpetua.reconstruct.learned.pixels import at_size

        height, width = picture.rgb.shape[:2]
        features = self._features(picture)
        device = features[0].device
        side = self._model.prompt_encoder.input_image_size
        scale = np.array([side / width, side / height]) * picture.scale

        def places(values: Any) -> torch.Tensor:
            return torch.tensor(np.array(values).reshape(-1, 2) * scale, dtype=torch.float32, device=device)

        marks: dict[str, Any] = {}
        if thing.clicks:
            marks["input_points"] = places([(click.x, click.y) for click in thing.clicks])[None, None]
            labels = [int(click.inside) for click in thing.clicks]
            marks["input_labels"] = torch.tensor(labels, dtype=torch.int32, device=device)[None, None]
        if thing.box is not None:
            marks["input_boxes"] = places(thing.box).reshape(1, 1, 4)
        with torch.no_grad():
            seen = self._model(
                image_embeddings=list(features),
                multimask_output=thing.box is None and len(thing.clicks) == 1,
                **marks,
            )
        best = int(seen.iou_scores[0, 0].argmax())
        return at_size(seen.pred_masks[0, 0, best], height, width)

    @cached_property
    def _model(self) -> Any:
        from transformers import Sam2Model

        return pretrained(Sam2Model, self.folder)

    def _features(self, picture: Picture) -> Any:
        """What the encoder makes of a picture, kept for its other objects."""
        import torch

        from perpetua.reconstruct.learned.pixels import prepared

        if getattr(self, "_looked_at", None) is not picture.rgb:
            side = self._model.prompt_encoder.input_image_size
            with torch.no_grad():
                image = prepared(picture.rgb, (side, side)).to(self._model.device)
                self._kept = self._model.get_image_embeddings(image)
            self._looked_at = picture.rgb
        return self._kept


def wrong_kind(config: dict[str, Any], kinds: tuple[str, ...]) -> str | None:
    """Why a checkpoint of transformers is none of ``kinds`` (values of ``model_type``), or None."""
    kind = config.get("model_type")
    return None if kind in kinds else f"it is a '{kind}', not a '{kinds[0]}'"
