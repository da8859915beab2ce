"""SAM 2.1 on a video: objects that are marked in the first frame, carried through the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SegmentationError
from perpetua.progress import Progress
from perpetua.reconstruct.learned.checkpoint import Learned, pretrained
from perpetua.reconstruct.learned.sam2 import CARD, wrong_kind

KINDS = ("sam2_video",)


class Sam2Tracker(Learned):
    """A ``MaskTracker``. Frames are shown to the model one by one, so memory grows by one frame's pixels and its masks at a time."""

    card = CARD

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        return wrong_kind(config, KINDS)

    def track(
        self, frames: Sequence[NDArray[np.uint8]], first: NDArray[np.int32], progress: Progress
    ) -> list[NDArray[np.int32]]:
        """As ``MaskTracker``. Raises ``SegmentationError`` if the first frame shows no object."""
        import torch
        from transformers import Sam2VideoModel
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        from perpetua.reconstruct.learned.pixels import at_size, prepared

        numbers = [int(number) for number in np.unique(first) if number >= 0]
        if not numbers:
            raise SegmentationError("The video's first frame shows no object; mark each object in it.")
        model = pretrained(Sam2VideoModel, self.folder)
        height, width = first.shape
        session = Sam2VideoInferenceSession(
            video_height=height, video_width=width, inference_device=model.device, dtype=model.dtype
        )
        side = model.image_size
        for number in numbers:
            mask = torch.from_numpy((first == number).astype(np.float32))[None, None]
            whole = torch.nn.functional.interpolate(mask, (side, side), mode="bilinear", antialias=True)
            session.add_mask_inputs(session.obj_id_to_idx(number), 0, (whole >= 0.5).float().to(model.device))
        session.obj_with_new_inputs = list(numbers)
        found = [first.copy()]
        with torch.no_grad():
            for index, frame in enumerate(frames):
                progress(index / len(frames), f"following objects: frame {index + 1} of {len(frames)}")
                shown = prepared(frame, (side, side)).to(model.device, model.dtype)[0]
                seen = model(inference_session=session, frame=shown)
                if index > 0:
                    logits = at_size(seen.pred_masks[:, 0], height, width)
                    order = np.array([int(number) for number in seen.object_ids])
                    found.append(_owners(logits, order))
        return found


def _owners(logits: NDArray[np.float32], numbers: NDArray[np.int64]) -> NDArray[np.int32]:
    """[H, W] the number of the object that is likeliest at each pixel, -1 where none is. logits: [objects, H, W]."""
    best = logits.argmax(0)
    return np.where(logits.max(0) > 0, numbers[best], -1).astype(np.int32)
