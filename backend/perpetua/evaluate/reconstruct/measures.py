"""What is measured of a reconstructed scene. Its world is laid over the true one by the front camera, which both know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from perpetua.evaluate.reconstruct.truth import TruthScene
from perpetua.evaluate.video.picture import psnr_by_frame, ssim_by_frame
from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.render import render_layers
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.scene import Scene

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Of one scene reconstructed in one way. Errors are of the worst object."""

    psnr_around: float
    """dB, in held-out views all around."""
    ssim_around: float
    psnr_sides: float
    """dB, 20 degrees to the sides of the front view."""
    ssim_sides: float
    mask_iou: float
    """Objects' masks in held-out views (from one picture: in the views to its sides), mean over views, worst object."""
    volume_error: float
    """Of particles times their volume (of cloth, the sheet's area times the true thickness), relative."""
    centroid_error: float
    """Of the particles' mean, in cube roots of the volume."""
    plane_tilt_deg: float
    seconds: float
    peak_gib: float


def measure(truth: TruthScene, scene: Scene, one_picture: bool, seconds: float, peak_gib: float) -> Figures:
    """The figures of ``scene``."""
    around, sides = truth.tests, truth.sides
    frames = {view.name: seen(truth, scene, view) for view in (*around, *sides)}
    shown = {key: _picture(frames, views) for key, views in (("around", around), ("sides", sides))}
    volume, centroid = zip(*(_matter(truth, scene, name) for name in truth.solids), strict=True)
    return Figures(
        shown["around"][0], shown["around"][1], shown["sides"][0], shown["sides"][1],
        _mask_iou(truth, frames, sides if one_picture else around),
        max(volume), max(centroid), _tilt(truth, scene), seconds, peak_gib,
    )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """rgb: [H, W, 3] uint8; masks: [H, W, objects] bool of a reconstructed scene."""

    rgb: NDArray[np.uint8]
    masks: NDArray[np.bool_]


@torch.no_grad()
def seen(truth: TruthScene, scene: Scene, view: CapturedView) -> Seen:
    """The reconstructed scene from where a true view was taken."""
    front = truth.capture.front_view.camera
    pose = view.camera.world_to_camera @ front.camera_to_world @ scene.camera.world_to_camera
    camera = Camera(view.camera.K, pose, view.camera.width, view.camera.height)
    body = torch.from_numpy(scene.particles.body.astype(np.int64))[scene.binding.particle]
    body[scene.binding.carried :] = -1
    whose = torch.cat([torch.full((len(scene.background),), -1), body])
    layers = render_layers(
        Gaussians.cat([scene.background, scene.foreground]),
        camera,
        objects=whose,
        object_count=len(scene.bodies),
    )
    assert layers.masks is not None
    rgb = (layers.rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    return Seen(rgb, layers.masks.numpy() > 0.5)


def _picture(frames: dict[str, Seen], views: list[CapturedView]) -> tuple[float, float]:
    """PSNR, dB, and SSIM, means over views."""
    ours = np.stack([frames[view.name].rgb for view in views])
    true = np.stack([view.rgb for view in views])
    return float(psnr_by_frame(ours, true).mean()), float(ssim_by_frame(ours, true).mean())


def _mask_iou(truth: TruthScene, frames: dict[str, Seen], views: list[CapturedView]) -> float:
    worst = 1.0
    for index in range(len(truth.capture.objects)):
        shares = []
        for view in views:
            assert view.objects is not None
            ours, true = frames[view.name].masks[..., index], view.objects == index
            shares.append((ours & true).sum() / max(1, (ours | true).sum()))
        worst = min(worst, float(np.mean(shares)))
    return worst


def _matter(truth: TruthScene, scene: Scene, name: str) -> tuple[float, float]:
    """Errors of volume and of centroid of one object."""
    solid = truth.solids[name]
    index = next(i for i, body in enumerate(scene.bodies) if body.name == name)
    points = scene.particles.positions[scene.particles.body == index].astype(np.float64)
    volume = len(points) * scene.spacing**3
    thickness = truth.record.objects[name].thickness
    if thickness is not None and scene.bodies[index].material.model == "cloth":
        sheet = trimesh.Trimesh(scene.bodies[index].vertices, scene.bodies[index].faces, process=False)
        volume = float(sheet.area) * thickness
    camera = truth.capture.front_view.camera.world_to_camera
    expected = camera[:3, :3] @ solid.center_mass + camera[:3, 3]
    ours = scene.camera.world_to_camera
    found = ours[:3, :3] @ points.mean(0) + ours[:3, 3]
    size = float(solid.volume) ** (1 / 3)
    return abs(volume / float(solid.volume) - 1), float(np.linalg.norm(found - expected)) / size


def _tilt(truth: TruthScene, scene: Scene) -> float:
    """Degrees between the true plane's normal and the scene's up, both in the front camera's axes."""
    expected = truth.capture.front_view.camera.world_to_camera[:3, :3] @ truth.up
    found = scene.camera.world_to_camera[:3, 2]
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(expected, found)), expected @ found)))
