"""Tiny checkpoints of real families, and clips of a disc that slides over a wall, with every layer in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.store import About, write_index, write_shard
from perpetua.phys4d.train.checkpoint import read_tensors, save_weights
from perpetua.phys4d.train.config import DataPlan, HeadPlan
from perpetua.progress import Progress

FRAMES, HEIGHT, WIDTH = 9, 32, 64
WALL_M, DISC_M, RADIUS_PX = 4.0, 2.0, 7
K = np.array([[60.0, 0, WIDTH / 2], [0, 60.0, HEIGHT / 2], [0, 0, 1]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose time, not win it, by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def disc_clip(step_px: tuple[int, int], frames: int) -> dict[str, Any]:
    """A disc that slides by whole pixels before a wall; a still camera at the origin."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgb, depth, flow, scene, hidden = [], [], [], [], []
    discs = []
    for t in range(frames + 1):
        cx, cy = 16 + step_px[0] * t, 14 + step_px[1] * t
        discs.append((x - cx) ** 2 + (y - cy) ** 2 <= RADIUS_PX**2)
    for t in range(frames):
        disc = discs[t]
        stripes = 128 + 80 * np.sin(0.9 * (x - step_px[0] * t * disc))[..., None] * np.array([1, 0.5, -1])
        rgb.append(np.where(disc[..., None], 255 - stripes, stripes * 0.6).astype(np.uint8))
        depth.append(np.where(disc, DISC_M, WALL_M).astype(np.float32))
        flow.append(disc[..., None] * np.array(step_px, np.float32))
        scene.append(disc[..., None] * np.array([*step_px, 0], np.float32) * DISC_M / 60)
        hidden.append(~disc & discs[t + 1])
    return {
        "rgb": np.stack(rgb), "depth": np.stack(depth), "flow": np.stack(flow[:-1]),
        "scene_flow": np.stack(scene[:-1]), "occluded": np.stack(hidden[:-1]),
    }  # fmt: skip


def write_disc_clip(folder: Path, step_px: tuple[int, int], frames: int = FRAMES) -> Path:
    layers = disc_clip(step_px, frames)
    (folder / "rgb").mkdir(parents=True)
    for t, frame in enumerate(layers["rgb"]):
        Image.fromarray(frame).save(folder / "rgb" / f"{t:04d}.png")
    np.savez(folder / "depth.npz", depth=layers["depth"])
    np.savez(folder / "flow.npz", forward=layers["flow"], occluded=layers["occluded"])
    np.savez(folder / "scene_flow.npz", forward=layers["scene_flow"])
    np.savez(folder / "cameras.npz", K=K, world_to_camera=np.eye(4))
    (folder / "clip.json").write_bytes(msgspec.json.encode({"fps": 12.0}))
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three clips."""
    folder = tmp_path_factory.mktemp("clips")
    for name, step in (("right", (3, 0)), ("down", (1, 2)), ("left", (-2, 1))):
        write_disc_clip(folder / name, step)
    return folder


@pytest.fixture
def settings(clips: Path) -> dict[str, Any]:
    """What the stages' configurations have in common in the tests."""
    plan = DataPlan(folder=str(clips), frames=FRAMES, width=WIDTH, height=HEIGHT)
    return {
        "data": plan, "prompt": "a ball", "steps": 3, "batch": 2, "learning_rate": 1e-3, "head": HeadPlan(channels=8),
        "checkpoint_every": 1, "sampling_steps": 3, "device": "cpu",
    }  # fmt: skip


@pytest.fixture
def silent() -> Progress:
    return Progress()


@pytest.fixture
def see_motion() -> Callable[[Path], None]:
    """Changes a run's weights so that the heads see everything move, at a depth that depends on the video: else all are judged alike."""

    def change(path: Path) -> None:
        weights, about = read_tensors(path)
        weights["motion.project.bias"].fill_(3.0)
        weights["depth.out.weight"].mul_(300)
        save_weights(path, weights, about["stage"], about["config"])

    return change


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated data set of two clips: the coarse disc is darker, a twentieth nearer, and half as fast to the right."""
    folder = tmp_path_factory.mktemp("pairs")
    for number, step in enumerate(((2, 0), (2, 1))):
        fine, coarse = disc_clip(step, FRAMES), disc_clip((1, step[1]), FRAMES)
        dark = np.where(coarse["depth"][..., None] == DISC_M, coarse["rgb"] // 2, coarse["rgb"])
        counts, per_count = counts_of(fine["depth"])
        rough, per_rough = counts_of(coarse["depth"] / 1.05)
        arrays = ClipArrays(
            fine["rgb"], counts, fine["flow"].astype(np.float16), fine["scene_flow"].astype(np.float16), fine["occluded"],
            (fine["depth"] == DISC_M).astype(np.uint8), np.zeros((FRAMES, 1, 3), np.float32), np.ones((FRAMES, 1), bool),
            np.tile(K, (FRAMES, 1, 1)), np.tile(np.eye(4), (FRAMES, 1, 1)), dark, rough, coarse["flow"].astype(np.float16),
            (255 * (coarse["depth"] == DISC_M)).astype(np.uint8), np.array([per_count, per_rough], np.float32),
        )  # fmt: skip
        about = About(
            clip=f"rigid_{number}_fixed", scene=f"rigid_{number}", category="rigid", template="slide", camera="fixed", path="fixed",
            seed=number, split="train", held_out="", frames=FRAMES, width=WIDTH, height=HEIGHT, fps=12.0, things=1, spec="{}",
            versions="{}", seconds="{}",
        )  # fmt: skip
        write_shard(folder, about.scene, [(about, arrays)])
    write_index(folder)
    return folder
