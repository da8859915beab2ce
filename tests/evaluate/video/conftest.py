"""A ball on a known path before a wall, seen by a still camera: every layer of a clip in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from perpetua.clips.clip import Cameras, Clip, Flow

FRAMES, HEIGHT, WIDTH, FPS = 7, 48, 64, 12.0
K = np.array([[60.0, 0, WIDTH / 2], [0, 60.0, HEIGHT / 2], [0, 0, 1]])
WALL_M, RADIUS_M = 4.0, 0.5
START = np.array([-0.5, 0.1, 3.0])
STEP = np.array([0.11, -0.03, -0.06])
"""m a frame."""

WriteClip = Callable[..., Path]


def ball_at(t: int, centre: np.ndarray = START, step: np.ndarray = STEP) -> tuple[np.ndarray, np.ndarray]:
    """(points [H, W, 3] m that the pixels see, whether it is the ball's)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T
    centre = centre + t * step
    a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - RADIUS_M**2
    under = b**2 - a * c
    hit = under > 0
    z = np.where(hit, (b - np.sqrt(np.maximum(under, 0))) / a, WALL_M)
    return rays * z[..., None], hit


def paint(points: np.ndarray, ball: np.ndarray, t: int, step: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8: stripes that stick to the matter."""
    stuck = points - t * step * ball[..., None]
    waves = 0.5 + 0.4 * np.sin(9 * stuck[..., :1] + np.array([0, 1, 2])) * np.cos(7 * stuck[..., 1:2])
    return (255 * np.where(ball[..., None], 1 - 0.6 * waves, 0.6 * waves) + 0.5).astype(np.uint8)


def make_world(step: np.ndarray = STEP, frames: int = FRAMES) -> Clip:
    rgb, depth, flow, scene_flow, occluded, masks = [], [], [], [], [], []
    for t in range(frames):
        points, ball = ball_at(t, step=step)
        rgb.append(paint(points, ball, t, step))
        depth.append(points[..., 2])
        masks.append(ball.astype(np.int32))
        if t == frames - 1:
            break
        moved = points + step * ball[..., None]
        seen = moved @ K.T
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        flow.append(seen[..., :2] / seen[..., 2:] - np.stack([x, y], -1))
        scene_flow.append(step * ball[..., None] * np.ones(3))
        occluded.append(hidden(moved, START + (t + 1) * step))
    cameras = Cameras(np.repeat(K[None], frames, 0), np.repeat(np.eye(4)[None], frames, 0))
    f32 = [np.stack(a).astype(np.float32) for a in (depth, flow, scene_flow)]
    return Clip(
        "ball", Path("ball"), FPS, np.stack(rgb), f32[0], Flow(f32[1], np.stack(occluded)), f32[2],
        np.stack(masks), None, cameras,
    )  # fmt: skip


def hidden(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """[...]: whether the ball at ``centre`` hides points [..., 3] from the camera, by the ray to each."""
    along = points @ centre / (points**2).sum(-1)
    near = np.linalg.norm(points * along[..., None] - centre, axis=-1) < RADIUS_M
    half = np.sqrt(np.maximum(RADIUS_M**2 - ((points * along[..., None] - centre) ** 2).sum(-1), 0))
    entry = along - half / np.linalg.norm(points, axis=-1)
    return near & (entry < 1 - 1e-6)


@pytest.fixture(scope="session")
def world() -> Clip:
    return make_world()


@pytest.fixture
def write_clip(tmp_path) -> WriteClip:
    """``write_clip(clip, "truth/ball", depth=False, ...)`` writes the layers that are not switched off."""

    def write(clip: Clip, name: str, **keep: bool) -> Path:
        folder = tmp_path / name
        pictures = {"rgb": clip.rgb, **({} if clip.take_2 is None else {"take_2": clip.take_2})}
        for which, frames in pictures.items():
            (folder / which).mkdir(parents=True)
            for number, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / which / f"{number:04d}.png")
        (folder / "clip.json").write_bytes(msgspec.json.encode({"fps": clip.fps, "seed": 3}))
        layers = {
            "depth": {"depth": clip.depth},
            "flow": {"forward": clip.flow.forward, "occluded": clip.flow.occluded},
            "scene_flow": {"forward": clip.scene_flow},
            "masks": {"object": clip.masks},
            "cameras": {"K": clip.cameras.K[0], "world_to_camera": clip.cameras.world_to_camera},
        }
        for layer, arrays in layers.items():
            if keep.get(layer, True):
                np.savez(folder / f"{layer}.npz", **arrays)
        return folder

    return write


@pytest.fixture
def scaled(world) -> Clip:
    """All that is predicted a tenth too far away."""
    return replace(world, depth=world.depth * np.float32(1.1))
