"""A refiner in a world that was made without a picture begins with the picture that it is told."""

from __future__ import annotations

from typing import Any

import numpy as np

from perpetua.evaluate.catalogue import loop_world
from perpetua.evaluate.own_refiner import BegunWith
from perpetua.progress import Progress
from perpetua.refine.api import Refiner, RenderedVideo, RoundContext, VideoName
from perpetua.refine.diffusion.refiner import first_picture


class Begins(Refiner):
    """Shows what it begins with in every frame."""

    def inputs(self, video: VideoName) -> dict[str, Any]:
        return {"weights": "these"}

    def prepare(self, context: RoundContext, memory: dict, progress: Progress) -> dict:
        return {"seen": context.scene.picture}

    def refine(self, video: RenderedVideo, context: RoundContext, memory: dict, progress: Progress) -> Any:
        return np.repeat(first_picture(video, context, memory)[None], len(video.rgb), 0)


def test_it_begins_with_the_picture_in_front_and_with_their_own_frame_beside() -> None:
    scene = loop_world("rigid").scene(32, 20)
    rgb = np.random.default_rng(0).random((3, 20, 32, 3)).astype(np.float32)
    picture = np.full((20, 32, 3), 51, np.uint8)
    refiner = BegunWith(Begins(), picture)

    def never(*_: Any) -> Any:
        raise AssertionError("nothing is simulated or rendered")

    context = RoundContext(scene, scene.rest_state(), 1, never, never)
    front = RenderedVideo(scene.camera, rgb, rgb[..., 0], rgb[..., 1])
    assert np.allclose(refiner.refine(front, context, {}, Progress()), 0.2)
    side = RenderedVideo(
        scene.camera.orbited(30.0, scene.centre, "right", "side"), rgb, rgb[..., 0], rgb[..., 1]
    )
    assert np.array_equal(refiner.refine(side, context, {}, Progress())[1], rgb[0])
    assert refiner.prepare(context, {}, Progress())["seen"] is picture
    assert refiner.inputs(VideoName("t", 1, "front", "k")) == {"weights": "these"}
    assert not scene.picture.any()
