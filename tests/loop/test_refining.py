"""How the loop works with refiners: what it renders for them, which one a round has, and what is handed on or made again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import msgspec
import numpy as np
import pytest
import torch

from perpetua import registry
from perpetua.errors import UnknownNameError, WaitingForFiles
from perpetua.loop.bake import bake
from perpetua.loop.film import film
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.stage_files import load_video, save_video
from perpetua.loop.stages import Studio, refiners_of
from perpetua.mp4 import read_video
from perpetua.optimize.api import Correction
from perpetua.physics.api import RoundPlan, Simulation
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
)  # fmt: skip
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, State, Trajectory
from perpetua.scene.presets import PRESETS
from perpetua_protocol.take import RefinerSpec, Round, Take

CAMERA = Camera(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), np.eye(4), 64, 48, "front", "front")


@pytest.fixture
def scene() -> Scene:
    """Two flat squares 2 m away, each of 25 splats on 25 particles, before nothing."""
    line = torch.linspace(-0.1, 0.1, 5)
    x, y = torch.meshgrid(line, line, indexing="xy")
    square = torch.stack([x.reshape(-1), y.reshape(-1), torch.full((25,), 2.0)], -1)
    means = torch.cat([square - torch.tensor([0.4, 0, 0]), square + torch.tensor([0.4, 0, 0])])
    count = len(means)
    foreground = Gaussians.from_colors(
        means, torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1), torch.full((count, 3), 0.03),
        torch.full((count,), 0.95), torch.full((count, 3), 0.6),
    )  # fmt: skip
    none = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    bodies = [Body(name, PRESETS["wood"], *none) for name in ("left", "right")]
    particles = Particles.at_rest(means.numpy(), np.repeat([0, 1], 25).astype(np.int32))
    background = Gaussians(*(torch.zeros(s) for s in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3))))
    binding = Binding.to_nearest(means, means, torch.arange(count))
    picture = np.zeros((48, 64, 3), np.uint8)
    return Scene(
        background, foreground, binding, particles, bodies, 0.05, CAMERA, picture,
        np.zeros((48, 64), np.float32), np.zeros(3),
    )  # fmt: skip


@pytest.fixture
def trajectory(scene: Scene) -> Trajectory:
    """The right square goes 0.05 m to the right and 0.02 m down every frame."""
    positions = np.repeat(scene.particles.positions[None], 3, 0)
    positions[:, 25:] += np.arange(3, dtype=np.float32)[:, None, None] * np.float32([0.05, 0.02, 0])
    F = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
    return Trajectory(positions, F, np.arange(3) / 24)


def test_flow_and_masks_are_drawn_where_they_are_asked_for(scene: Scene, trajectory: Trajectory) -> None:
    layers: frozenset[Layer] = frozenset({"flow", "masks"})
    video = film(scene, trajectory, CAMERA, Progress(), layers)
    assert video.flow is not None
    assert video.masks is not None
    assert video.flow.shape == (2, 48, 64, 2)
    assert video.masks.shape == (3, 48, 64, 2)
    left, right = (video.masks[0, ..., index] > 0.9 for index in (0, 1))
    assert left.any()
    assert right.any()
    assert not (left & right).any()
    np.testing.assert_allclose(video.masks.sum(-1), video.alpha, atol=1e-3)
    assert np.abs(video.flow[0][left]).max() < 0.05
    np.testing.assert_allclose(np.median(video.flow[0][right], 0), [60 * 0.05 / 2, 60 * 0.02 / 2], rtol=0.02)
    assert not video.flow[0][video.alpha[0] < 1e-3].any(), "nothing does not move"

    plain = film(scene, trajectory, CAMERA, Progress())
    assert plain.flow is None
    assert plain.masks is None
    np.testing.assert_allclose(plain.rgb, video.rgb, atol=1e-6)


def test_a_video_is_the_same_from_disk(scene: Scene, trajectory: Trajectory, tmp_path: Path) -> None:
    for layers in (frozenset[Layer](), frozenset[Layer]({"flow", "masks"})):
        folder = tmp_path / str(len(layers))
        folder.mkdir()
        video = film(scene, trajectory, CAMERA, Progress(), layers)
        save_video(folder, video)
        back = load_video(Stage("key", folder, True), CAMERA)
        assert back.key == "key"
        for name in ("rgb", "alpha", "depth", "flow", "masks"):
            np.testing.assert_array_equal(getattr(back, name), getattr(video, name))


class Brighter(Refiner):
    """Adds light; how much lies outside the take."""

    light = 0.1
    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        return {"light": self.light}

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        return memory

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        self.asked.append(video.camera.name)
        return video.rgb + np.float32(self.light)


@pytest.fixture
def studio(
    scene: Scene, trajectory: Trajectory, take: Take, tmp_path: Path
) -> tuple[Studio, Stage, Stage, Stage]:
    """(studio in round 1, a rendered video, the round's start, an empty memory)."""
    store = StageStore(tmp_path / "stages")

    def start(folder: Path) -> None:
        scene.rest_state().save(folder / "state.npz")
        np.save(folder / "sh.npy", scene.foreground.sh.numpy())

    def render(folder: Path) -> None:
        save_video(folder, film(scene, trajectory, CAMERA, Progress()))

    begun = store.run("rest", {}, start)
    made = Studio(
        store, take, scene, begun, CAMERA, [], cast(Any, None), [Brighter(), Brighter()], Progress(), 1
    )
    memory = store.run("memory", {}, lambda folder: np.savez(folder / "memory.npz"))
    return made, store.run("render", {}, render), begun, memory


@pytest.mark.parametrize(("given", "frames", "spent"), [(120, 8, 120), (120, 96, 384), (0, 96, 0)])
def test_a_long_round_is_given_renders_for_each_of_its_frames(
    studio: Any, monkeypatch: pytest.MonkeyPatch, given: int, frames: int, spent: int
) -> None:
    made, video, start, _ = studio
    quality = msgspec.structs.replace(made.take.quality, optimise_renders=given)
    made = replace(made, take=msgspec.structs.replace(made.take, quality=quality, rounds=(Round(frames),)))
    asked: list[int] = []

    def optimise(*arguments: Any) -> Correction:
        asked.append(arguments[4])
        return Correction(np.zeros(2), np.zeros((2, 0, 3)), np.zeros((0, 1, 3)))

    monkeypatch.setattr("perpetua.loop.stages.optimise", optimise)
    monkeypatch.setattr("perpetua.loop.stages.load_trajectory", lambda _: None)
    made.optimise(start, [CAMERA], [video], None)
    assert asked == [spent]


def test_a_refined_video_is_found_until_something_outside_changes(studio: Any) -> None:
    made, video, start, memory = studio
    refiner = made.refiner
    first = made.refine(video, CAMERA, start, memory)
    assert made.refine(video, CAMERA, start, memory).found
    refiner.light = 0.2
    second = made.refine(video, CAMERA, start, memory)
    assert (first.found, second.found, second.key == first.key) == (False, False, False)
    assert refiner.asked == ["front", "front"]


def test_a_round_with_other_options_is_refined_again_and_simulated_once(studio: Any) -> None:
    made, video, start, memory = studio
    first = made.refine(video, CAMERA, start, memory)
    forces = made._forces()
    turns = [msgspec.structs.replace(r, refiner=RefinerSpec("none", {"x": 1})) for r in made.take.rounds]
    other = replace(made, take=msgspec.structs.replace(made.take, rounds=tuple(turns)))
    assert other.refine(video, CAMERA, start, memory).key != first.key
    assert other._forces() == forces


def test_the_next_round_knows_how_the_front_view_ended(studio: Any) -> None:
    made, video, start, memory = studio
    refined = made.refine(video, CAMERA, start, memory)
    with np.load(made.remember(memory, refined).path("memory.npz")) as kept:
        np.testing.assert_array_equal(kept[LAST_REFINED], np.load(refined.path("rgb.npy"))[-1])


def test_all_views_are_asked_for_before_the_bake_waits(studio: Any) -> None:
    made, video, start, memory = studio

    class Elsewhere(Brighter):
        def refine(self, video: RenderedVideo, *_: Any) -> Video:
            self.asked.append(video.camera.name)
            raise WaitingForFiles([f"/{video.camera.name}"])

    waiting = replace(made, refiners=[Elsewhere()])
    views = [CAMERA, replace(CAMERA, name="left")]
    with pytest.raises(WaitingForFiles, match="/front and /left") as told:
        waiting.refine_all([video, video], views, start, memory)
    assert told.value.folders == ["/front", "/left"]


def test_rounds_with_the_same_settings_share_a_refiner(take: Take) -> None:
    strong = RefinerSpec("teacher", {"friction_factor": 2.0})
    rounds = (Round(4), Round(4, refiner=strong), Round(4), Round(4, refiner=RefinerSpec("nobody")))
    played = msgspec.structs.replace(take, rounds=rounds)
    one, two, three = refiners_of(played, 3)
    assert one is three
    assert two is not one
    with pytest.raises(UnknownNameError, match="nobody"):
        refiners_of(played, 4)


class Glide:
    """An engine that moves everything 2 mm to the right a frame; compiles nothing."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        count = plan.round.frames + 1
        way = np.arange(count, dtype=np.float32)[:, None, None] * np.float32([0.002, 0, 0])
        positions = state.particles.positions[None] + way
        F = np.repeat(state.total_F[None], count, 0)
        end = replace(state.with_particles(positions=positions[-1]), time=state.time + (count - 1) / plan.fps)
        return Simulation(Trajectory(positions, F, state.time + np.arange(count) / plan.fps), end, 1)


@pytest.mark.slow
def test_a_bake_waits_for_files_and_goes_on_with_them(
    take: Take, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front view first, then both sides at once; a picture that was brightened elsewhere comes back as a movie."""
    monkeypatch.setenv("PERPETUA_EXCHANGE", str(tmp_path / "exchange"))
    monkeypatch.setitem(registry.PARTS, "engine", {"genesis": f"{__name__}:Glide"})
    one = msgspec.structs.replace(take, rounds=(Round(4),), refiner=RefinerSpec("files"))
    one = msgspec.structs.replace(one, quality=msgspec.structs.replace(one.quality, optimise_renders=20))

    def play() -> dict[str, Any]:
        return bake(one, picture, tmp_path / "store", tmp_path / "cache", 1, Progress())

    waited: list[list[str]] = []
    for _ in range(2):
        with pytest.raises(WaitingForFiles) as told:
            play()
        waited.append([Path(folder).name.split("_")[2] for folder in told.value.folders])
        for folder in map(Path, told.value.folders):
            assert read_video(folder / "coarse.mp4").frames.shape[0] == 5
            (folder / "refined").mkdir()
            for file in (folder / "coarse").iterdir():
                brighter = np.clip(cv2.imread(str(file)).astype(int) + 20, 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / "refined" / file.name), brighter)
    assert waited == [["front"], ["left", "right"]]
    assert play()["frames"] == 5
    (refined, *_) = (tmp_path / "exchange" / "ball").glob("round_01_front_*/refined")
    shutil.rmtree(refined)
    with pytest.raises(WaitingForFiles):
        play()
