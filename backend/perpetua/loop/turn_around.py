"""What one picture does not show, painted by a video model: the scene that the picture gave is filmed by a camera that goes around it to
either side, a refiner paints what is missing or wrong in the films, and the scene's splats take the colours of what was painted.

    coarse scene ──> film to the left,  film to the right ──> refine each ──> repaint ──> scene

The first frame of each film is the picture. The refiners are those of the rounds (``perpetua.refine``): a video model with weights of its
own, or any program by way of files, such as one whose model follows a camera.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from perpetua import registry
from perpetua.errors import CaptureError
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.stage_files import load_video, save_video
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.reconstruct.images import reduced
from perpetua.reconstruct.repaint import STEPS, repainted
from perpetua.refine.api import Layer, Refiner, RenderedVideo, RoundContext, VideoName
from perpetua.scene import Camera, Scene, Trajectory
from perpetua_protocol.take import Take

SIDES = (("turn_left", -1.0), ("turn_right", 1.0))
"""Names of the films, and the sign of their cameras' angles."""
STRIDE = 2
"""Frames of a film from one that is laid on the scene to the next: neighbours show nearly the same."""


def painted_from_its_sides(
    take: Take, coarse: Stage, stages: StageStore, progress: Progress, steps: int = STEPS
) -> Stage:
    """The stage of the scene that ``take``'s view maker makes of the stage of a ``coarse`` one.

    Raises ``RefinerError``, ``WaitingForFiles`` (films are painted elsewhere and not there yet), ``CaptureError`` or
    ``ReconstructionError``.
    """
    scene = Scene.load(coarse.folder)
    spec = take.scene.view_maker
    maker: Refiner = registry.load("refiner", spec.name)(**spec.options)
    painted: dict[str, Stage] = {}
    paths = {name: arc(scene, sign * spec.degrees, spec.frames, take.quality.width) for name, sign in SIDES}
    try:
        for name, cameras in paths.items():
            filmed = _film_stage(stages, coarse, scene, name, cameras, maker, progress)
            painted[name] = _painted_stage(stages, take, filmed, scene, name, cameras, maker, progress)
    finally:
        maker.release()

    def make(folder: Path) -> None:
        views = [
            CapturedView("the picture", scene.camera.resized(take.quality.width), _small_picture(scene, take))
        ]
        for name, cameras in paths.items():
            frames = np.load(painted[name].path("rgb.npy"))
            for index in range(STRIDE, len(cameras), STRIDE):
                rgb = np.rint(frames[index] * 255).clip(0, 255).astype(np.uint8)
                views.append(CapturedView(f"{name} {index}", cameras[index], rgb))
        repainted(scene, views, take.seed, progress.of("repaint"), steps).save(folder)

    return stages.run("repaint", {"coarse": coarse, **painted, "seed": take.seed, "steps": steps}, make)


def arc(scene: Scene, degrees: float, frames: int, width: int) -> list[Camera]:
    """Cameras of ``width`` pixels from the picture's to ``degrees`` around the objects, slow at both ends."""
    front = scene.camera.resized(width)
    share = np.linspace(0.0, 1.0, frames)
    eased = share * share * (3 - 2 * share)
    return [front, *(front.orbited(degrees * s, scene.centre, "turn", "front") for s in eased[1:].tolist())]


def film_along(
    scene: Scene, cameras: list[Camera], layers: frozenset[Layer], progress: Progress
) -> RenderedVideo:
    """The scene at rest, a frame from each of ``cameras``. Flow is that of the camera."""
    state = scene.rest_state()
    still = Trajectory(state.particles.positions[None], state.total_F[None], np.zeros(1))
    shots = []
    for index, camera in enumerate(cameras):
        shots.append(film(scene, still, camera, Progress(), layers - {"flow"}))
        progress((index + 1) / len(cameras), f"frame {index + 1} of {len(cameras)}")
    depth = np.concatenate([shot.depth for shot in shots])
    pairs = zip(depth[:-1], cameras[:-1], cameras[1:], strict=True)
    masks = [shot.masks for shot in shots if shot.masks is not None]
    return RenderedVideo(
        cameras[0],
        np.concatenate([shot.rgb for shot in shots]),
        np.concatenate([shot.alpha for shot in shots]),
        depth,
        np.stack([camera_flow(*pair) for pair in pairs]) if "flow" in layers else None,
        np.concatenate(masks) if masks else None,
    )


def camera_flow(depth: NDArray[np.float32], camera: Camera, after: Camera) -> NDArray[np.float32]:
    """[H, W, 2] pixels right and down that what ``camera`` sees at ``depth`` [H, W] m moves by when ``after`` sees it."""
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = np.stack([u, v], -1).reshape(-1, 2)
    seen, _ = after.project(camera.position + depth.reshape(-1, 1).astype(np.float64) * camera.rays(pixels))
    return (seen - pixels).reshape(*depth.shape, 2).astype(np.float32)


def _small_picture(scene: Scene, take: Take) -> NDArray[np.uint8]:
    small = scene.camera.resized(take.quality.width)
    return reduced(scene.picture, small.width, small.height)


def _film_stage(
    stages: StageStore,
    coarse: Stage,
    scene: Scene,
    name: str,
    cameras: list[Camera],
    maker: Refiner,
    progress: Progress,
) -> Stage:
    inputs = {
        "coarse": coarse,
        "cameras": [[camera.K.tolist(), camera.world_to_camera.tolist()] for camera in cameras],
        "size": [cameras[0].width, cameras[0].height],
        "layers": sorted(maker.needs),
    }

    def make(folder: Path) -> None:
        save_video(folder, film_along(scene, cameras, maker.needs, progress.of(f"film {name}")))

    return stages.run("turn", inputs, make)


def _painted_stage(
    stages: StageStore,
    take: Take,
    filmed: Stage,
    scene: Scene,
    name: str,
    cameras: list[Camera],
    maker: Refiner,
    progress: Progress,
) -> Stage:
    context = RoundContext(scene, scene.rest_state(), 1, _nothing_moves, _nothing_moves, take.name, take.fps)

    def make(folder: Path) -> None:
        listen = progress.of(f"paint {name}")
        video = replace(load_video(filmed, replace(cameras[0], name=name)), cameras=tuple(cameras))
        np.save(folder / "rgb.npy", maker.refine(video, context, maker.prepare(context, {}, listen), listen))

    inputs = {
        "video": filmed,
        "view_maker": take.scene.view_maker,
        "outside": maker.inputs(VideoName(take.name, 1, name, filmed.key)),
    }
    return stages.run("paint", inputs, make)


def _nothing_moves(*_: Any) -> NoReturn:
    raise CaptureError(
        "A view maker paints a scene at rest, and this refiner plays the round's physics; choose a video model, or files."
    )
