"""The diffusion refiner: a model's family, a guide, and the way of a video through them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import (
    LAST_REFINED,
    Layer,
    Memory,
    Refiner,
    RenderedVideo,
    RoundContext,
    Video,
    VideoName,
)
from perpetua.refine.check import checked
from perpetua.refine.diffusion import loading
from perpetua.refine.diffusion.backbones.api import Backbone, Images, Shot
from perpetua.refine.diffusion.backbones.cogvideox import CogVideoX
from perpetua.refine.diffusion.backbones.ltx import LTX
from perpetua.refine.diffusion.backbones.sana_wm import SanaWM
from perpetua.refine.diffusion.backbones.wan_ti2v import WanTI2V
from perpetua.refine.diffusion.backbones.wan_vace import WanVACE
from perpetua.refine.diffusion.control import control_video
from perpetua.refine.diffusion.fit import Fit, fit_to, resized
from perpetua.refine.diffusion.guide import Coarse, guide_named
from perpetua.refine.diffusion.options import read_options
from perpetua.refine.diffusion.windows import Window, lay_over, windows_of


class DiffusionRefiner(Refiner):
    """A video model guided by the coarse video. Options: ``options.Options``."""

    name: ClassVar[str]
    backbone: ClassVar[type[Backbone]]

    def __init__(self, **options: Any) -> None:
        card = self.backbone.card
        self.options = read_options(self.name, options, card.controls)
        if self.options.guide not in card.guides:
            raise RefinerError(
                f"Refiner '{self.name}' cannot be guided by '{self.options.guide}'; it has: {', '.join(card.guides)}."
            )
        self.guide = guide_named(self.options.guide)
        self.load = loading.wanted(self.backbone, self.options)

    @property
    def needs(self) -> frozenset[Layer]:
        """The layers that the guide reads."""
        return self.guide.needs

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        """Which weights there are in the folder."""
        return loading.identity(self.load)

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Keep the refined picture that the round before ended with."""
        return {LAST_REFINED: memory[LAST_REFINED]} if LAST_REFINED in memory else {}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The video as the model sees it, in overlapping windows if the round is longer than the model's clips."""
        import torch

        progress(0.0, "loading the model")
        model = loading.held(self.load)
        try:
            refined = self._refine(model, video, context, memory, progress)
        except torch.OutOfMemoryError as error:
            loading.let_go()
            raise RefinerError(
                f"Refiner '{self.name}' ran out of GPU memory; set offload to sequential, tiled to true, or a smaller "
                "width or window."
            ) from error
        finally:
            model.rest()
        return checked(refined, video, self.name)

    def release(self) -> None:
        """Give back the model's memory."""
        loading.let_go()

    def _refine(
        self,
        model: Backbone,
        video: RenderedVideo,
        context: RoundContext,
        memory: Memory,
        progress: Progress,
    ) -> Video:
        frames, height, width = video.alpha.shape
        most = self._most_frames(model)
        windows = windows_of(frames, most, min(self.options.overlap, most - 1), model.stride)
        refined = np.empty_like(video.rgb)
        covered = 0
        for number, window in enumerate(windows):
            share = _share(progress, number, len(windows))
            fit = fit_to(
                (len(window), height, width), self._width(width), model.multiple, model.stride, model.exactly
            )
            if number == 0:
                first = first_picture(video, context, memory)
            else:
                first = refined[window.start]
            seed = seed_of(self.options.seed, context.round_index, video.camera.name, number, context.draw)
            made = self._window(model, video, window, fit, first, seed, context.fps, share)
            covered = lay_over(refined, covered, made, window)
        return refined

    def _window(
        self,
        model: Backbone,
        video: RenderedVideo,
        window: Window,
        fit: Fit,
        first: Images,
        seed: int,
        fps: float,
        progress: Progress,
    ) -> Images:
        span = slice(window.start, window.stop)
        progress(0.0, f"encoding {len(window)} frames at {fit.model_width}x{fit.model_height}")
        clean = model.encode(fit.images(video.rgb[span]))
        levels = model.levels(self.options.steps, tuple(clean.shape), self.guide.imposes)
        flow = None
        if video.flow is not None:
            flow = fit.flows(video.flow[window.start : window.stop - 1])
        objects = video.alpha if video.masks is None else video.masks.sum(-1)  # alpha has shadows in it
        coarse = Coarse(clean, fit.images(objects[span]), flow, model.stride, seed)
        sampling = self.guide.begin(coarse, levels, self.options)
        steps = levels.steps - sampling.first_step
        latents = clean
        if steps > 0:
            control = control_video(self.options.control, video, window) if model.card.controls else None
            shot = Shot(
                fit.image(first),
                None if control is None else fit.images(control),
                fit.model_frames,
                fit.model_height,
                fit.model_width,
                fps,
                seed,
                fit.cameras(video.cameras[span] or (video.camera,) * len(window)),
            )

            def after(k: int, latents: Any) -> Any:
                done = k - sampling.first_step
                progress(0.95 * done / steps, f"step {done} of {steps}")
                return sampling.after(k, latents)

            latents = model.sample(
                sampling.start, sampling.first_step, self.guide.imposes, shot, self.options, after
            )
        progress(0.95, "decoding")
        return fit.back(model.decode(latents))

    def _most_frames(self, model: Backbone) -> int:
        """Frames of a window: a multiple of the latents' stride and one more, for a lone first frame is no video."""
        most = self.options.window or model.card.frames
        return max(1, (most - 1) // model.stride) * model.stride + 1

    def _width(self, video_width: int) -> int:
        return self.options.width or max(video_width, self.backbone.card.width)


class WanRefiner(DiffusionRefiner):
    name, backbone = "wan", WanTI2V


class WanVACERefiner(DiffusionRefiner):
    name, backbone = "wan_vace", WanVACE


class CogVideoXRefiner(DiffusionRefiner):
    name, backbone = "cogvideox", CogVideoX


class LTXRefiner(DiffusionRefiner):
    name, backbone = "ltx", LTX


class SanaWMRefiner(DiffusionRefiner):
    name, backbone = "sana_wm", SanaWM


FAMILIES: tuple[type[DiffusionRefiner], ...] = (
    WanRefiner,
    WanVACERefiner,
    CogVideoXRefiner,
    LTXRefiner,
    SanaWMRefiner,
)


def first_picture(video: RenderedVideo, context: RoundContext, memory: Memory) -> Images:
    """[H, W, 3]: what the model begins with.

    The front view's is the picture itself in the first round (if it is seen from where it was taken) and what the refined video
    of the round before ended with in the others. A side view, which is rendered from the corrected scene, begins with its own first frame.
    """
    camera = video.camera
    if camera.role == "front" and context.round_index == 1:
        taken = context.scene.camera.resized(camera.width)
        same = np.allclose(taken.K, camera.K) and np.allclose(taken.world_to_camera, camera.world_to_camera)
        if same and (taken.width, taken.height) == (camera.width, camera.height):
            seen: Images = context.scene.picture.astype(np.float32)
            return resized(seen, camera.width, camera.height) / np.float32(255)
    if camera.role == "front" and LAST_REFINED in memory:
        kept = memory[LAST_REFINED]
        if kept.shape == video.rgb[0].shape:
            return kept.astype(np.float32)
    return video.rgb[0]


def seed_of(seed: int, round_index: int, view: str, window: int, draw: int = 0) -> int:
    """A seed for each round, its draw, view and window of a take."""
    named = [seed, round_index, zlib.crc32(view.encode()), window, *([draw] if draw else [])]
    words = np.random.SeedSequence(named).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def _share(progress: Progress, number: int, count: int) -> Progress:
    """The part of ``progress`` that belongs to window ``number`` of ``count``."""
    if count == 1:
        return progress

    def report(stage: str, fraction: float, text: str) -> None:
        progress.report(stage, (number + fraction) / count, f"window {number + 1} of {count}: {text}")

    return Progress(report, progress.cancelled, progress.stage)
