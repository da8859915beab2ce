"""Tiny checkpoints of real families, and clips of a disc that slides over a wall, with every layer in closed form."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from perpetua.phys4d.train.checkpoint import read_tensors, save_weights
from perpetua.phys4d.train.config import DataPlan, HeadPlan
from perpetua.progress import Progress

FRAMES, HEIGHT, WIDTH = 9, 32, 64
WALL_M, DISC_M, RADIUS_PX = 4.0, 2.0, 7
K = np.array([[60.0, 0, WIDTH / 2], [0, 60.0, HEIGHT / 2], [0, 0, 1]])


def _tiny_models() -> ModuleType:
    path = Path(__file__).parents[2] / "refine" / "tiny_models.py"
    spec = importlib.util.spec_from_file_location("tiny_models_for_training", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose time, not win it, by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def checkpoint(models: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The name of a family's tiny checkpoint in the models folder: cogvideox, cogvideox15 or wan."""
    monkeypatch.setenv("PERPETUA_MODELS", str(models))
    tiny = _tiny_models()
    makers = {
        "cogvideox": tiny.cogvideox, "cogvideox15": lambda folder: tiny.cogvideox(folder, 1.5), "wan": tiny.wan_ti2v,
        "wan_text": tiny.wan_text_to_video, "ltx": tiny.ltx,
    }  # fmt: skip

    def made(name: str) -> str:
        if not (models / name).exists():
            tiny.seeded(makers[name], models / name)
        return name

    return made


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
