"""Refiners on a made-up data set of which the answers are known: a disc that slides before a wall, filmed by still and moving cameras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perpetua.cli import evaluate_refiner as command
from perpetua.cli.evaluate_refiner import evaluate_refiner, named, spread
from perpetua.clips.clip import Clip
from perpetua.errors import DataError, RefinerError
from perpetua.evaluate.refiner.baselines import kept_background, temporal_filter
from perpetua.evaluate.refiner.report import as_json
from perpetua.evaluate.refiner.suite import evaluate_refiners, over_scenes
from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.store import About, read_split, write_index, write_shard
from perpetua.phys4d.data.unpack import coarse_clip
from perpetua.progress import Progress
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.network import Shape, SpaceTimeUNet

T, H, W = 6, 40, 56
FOCAL, WALL_M, DISC_M, RADIUS, STEP = 50.0, 2.0, 1.0, 8, 2
SIDEWAYS_M = 0.04
"""That the moving camera goes a frame: a pixel of the wall, two of the disc."""
DARKER = 30


def wall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[..., 3]: colours at places of the wall, in pixels."""
    waves = np.sin(0.35 * x) * np.cos(0.27 * y)
    return 128 + 60 * waves[..., None] * np.array([1, 0.6, -0.8])


def filmed(moving_camera: bool, seed: int = 0) -> ClipArrays:
    """The coarse video is darker on the disc, and trembles."""
    y, x = np.mgrid[:H, :W].astype(float)
    drift = 1 if moving_camera else 0
    fine, depth, masks, flow, hidden = [], [], [], [], []
    on = [(x - (18 + (STEP - 2 * drift) * t)) ** 2 + (y - 20) ** 2 <= RADIUS**2 for t in range(T)]
    for t, disc in enumerate(on):
        fine.append(
            np.where(disc[..., None], 220 - wall(x - (STEP - 2 * drift) * t, y) / 3, wall(x + drift * t, y))
        )
        depth.append(np.where(disc, DISC_M, WALL_M))
        masks.append(disc)
        if t + 1 < T:
            flow.append(np.where(disc, STEP - 2 * drift, -drift)[..., None] * np.array([1.0, 0]))
            hidden.append(~disc & on[t + 1])
    rgb, seen = np.stack(fine), np.stack(masks)
    trembling = np.random.default_rng(seed).normal(0, 6, (T, H, W, 1))
    coarse = np.where(seen[..., None], rgb - DARKER, rgb + trembling)
    counts, per_count = counts_of(np.stack(depth))
    poses = np.tile(np.eye(4), (T, 1, 1))
    poses[:, 0, 3] = -SIDEWAYS_M * np.arange(T) * drift
    K = np.tile(np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1]]), (T, 1, 1))
    whole = np.stack(flow).astype(np.float16)
    return ClipArrays(
        rgb.clip(0, 255).astype(np.uint8), counts, whole, np.zeros((T - 1, H, W, 3), np.float16), np.stack(hidden),
        seen.astype(np.uint8), np.zeros((T, 2, 3), np.float32), np.ones((T, 2), bool), K, poses,
        coarse.clip(0, 255).astype(np.uint8), counts, whole, (255 * seen).astype(np.uint8),
        np.array([per_count, per_count], np.float32),
    )  # fmt: skip


def about(scene: str, camera: str, split: str = "test") -> About:
    return About(
        clip=f"{scene}_{camera}", scene=scene, category=scene.split("_")[0], template="fall", camera=camera, path="fixed", seed=0,
        split=split, held_out="", frames=T, width=W, height=H, fps=12.0, things=1, spec="{}", versions="{}", seconds="{}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, scene in enumerate(("soft_000000", "soft_000001", "cloth_000002")):
        clips = [(about(scene, "still"), filmed(False, number))]
        if number == 0:
            clips.append((about(scene, "orbit"), filmed(True, 7)))
        write_shard(folder, scene, clips)
    write_shard(folder, "rope_000003", [(about("rope_000003", "still", "train"), filmed(False))])
    write_index(folder)
    return folder


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that changes nothing yet."""
    path = tmp_path_factory.mktemp("run") / "weights.safetensors"
    weights.save(path, SpaceTimeUNet(Shape((8,), 1)), "{}", half=True)
    return path


@pytest.fixture(scope="module")
def result(data: Path):
    def brighter(said: About, clip: ClipArrays) -> Clip:
        coarse = coarse_clip(said, clip)
        on_disc = clip.coarse_alpha[..., None] > 0
        return replace(coarse, rgb=np.where(on_disc, coarse.rgb + DARKER, coarse.rgb).astype(np.uint8))

    refiners = {"brighter": brighter, "nothing": coarse_clip}
    return evaluate_refiners(read_split(data, "unseen"), refiners, Progress())


def test_what_is_known_of_a_prediction_is_found(result) -> None:
    assert [clip.about.clip for clip in result.clips] == [
        "cloth_000002_still", "soft_000000_orbit", "soft_000000_still", "soft_000001_still",
    ]  # fmt: skip
    same = result.paired("nothing")
    assert set(same) >= {"psnr", "psnr_object", "ssim", "epe", "chamfer_4d", "epe_seen", "flicker"}
    assert all(found.mean == 0 and found.ci95 == (0, 0) for found in same.values())
    perfect = result.means("truth")
    assert (perfect["psnr"].mean, perfect["ssim"].mean) == (100, pytest.approx(1))
    assert perfect["epe"].mean == 0
    assert perfect["chamfer_4d"].mean == 0
    assert perfect["epe_seen"].mean > 0  # DIS is no oracle
    # a disc that is darker by 30 levels of 255, and is put right
    dark = -20 * np.log10(DARKER / 255)
    assert result.means("coarse")["psnr_object"].mean == pytest.approx(dark, abs=0.1)
    assert result.means("brighter")["psnr_object"].mean > dark + 20
    gained = result.paired("brighter")["psnr"]
    assert (gained.scenes, gained.clips) == (3, 4)
    assert gained.ci95[0] > 1
    assert result.paired("brighter")["flicker"].mean == 0


def test_baselines_keep_the_background_and_calm_what_trembles(result) -> None:
    kept, calm = result.paired("kept background"), result.paired("temporal filter")
    assert kept["psnr"].mean > 1
    assert kept["psnr_object"].mean == pytest.approx(0, abs=0.01)
    assert kept["flicker"].mean < -2
    # independent noise of 1 : 2 : 1 has sqrt(3/8) of its deviation, and the difference of neighbours, of the kernel 1 1 -1 -1, sqrt(1/8)
    assert calm["psnr"].mean > 0.5
    coarse = result.means("coarse")["flicker"].mean
    assert (coarse + calm["flicker"].mean) / coarse == pytest.approx(np.sqrt(1 / 8), abs=0.12)
    # the disc keeps its brightness, but for what comes to light; the noise of the first frame stays in the others
    assert result.paired("carried first frame")["psnr_object"].mean > 8
    for filtered in (kept, calm, result.paired("carried first frame")):
        assert filtered["epe"].mean == filtered["chamfer_4d"].mean == 0


@pytest.mark.parametrize("moving_camera", [False, True])
def test_a_kept_background_stays_in_its_place_of_the_room(moving_camera: bool) -> None:
    clip = filmed(moving_camera)
    found = kept_background(about("a", "b"), clip).rgb.astype(float)
    bare = (clip.masks == 0).copy()
    bare[:, :, -T:] = False  # where the first frame sees nothing
    for t in range(1, T):
        bare[t] &= np.roll(clip.masks[0] == 0, -t * moving_camera, 1)
    assert np.abs(found - clip.rgb)[bare].max() <= 2
    assert np.abs(clip.coarse_rgb.astype(float) - clip.rgb)[bare].mean() > 3


def test_the_filter_carries_matter_along_its_flow() -> None:
    """What trembles not and moves evenly is not blurred."""
    clip = filmed(False)
    smooth = replace(clip, coarse_rgb=clip.rgb)
    found = temporal_filter(about("a", "b"), smooth).rgb.astype(float)
    edge = np.zeros_like(clip.masks, bool)
    for shift in (-1, 1):
        for axis in (1, 2):
            edge |= np.roll(clip.masks, shift, axis) != clip.masks
    assert np.abs(found - clip.rgb)[~edge].max() <= 1


def test_a_scene_counts_once_whatever_its_cameras() -> None:
    found = over_scenes([("a", 1.0), ("a", 3.0), ("b", 4.0)])
    assert found is not None
    assert (found.mean, found.scenes, found.clips) == (3.0, 2, 3)
    assert over_scenes([]) is None
    one = over_scenes([("a", 1.0), ("a", 3.0)])
    assert one is not None
    assert one.ci95 is None


def test_the_interval_is_the_normal_one_of_many_scenes() -> None:
    """The bootstrap's standard error of a mean of n is the data's deviation by sqrt(n)."""
    random = np.random.default_rng(2)
    of_scenes = random.normal(5, 2, 400)
    found = over_scenes([(str(i), v + d) for i, v in enumerate(of_scenes) for d in (-9.0, 9.0)])
    assert found is not None
    half = 1.96 * of_scenes.std() / np.sqrt(400)
    assert found.ci95 == pytest.approx((of_scenes.mean() - half, of_scenes.mean() + half), abs=0.04 * half)


def test_json(result) -> None:
    record = json.loads(as_json(result))
    for metric in ("psnr", "psnr_object", "ssim", "epe", "chamfer_4d"):
        assert np.isfinite([record["paired"][metric]["mean"], *record["paired"][metric]["ci95"]]).all()
    assert record["paired"] == record["refiners"]["brighter"]["paired"]
    assert record["against"]["coarse"] == record["paired"]
    apart = [record["refiners"][name]["means"]["psnr"]["mean"] for name in ("brighter", "kept background")]
    assert record["against"]["kept background"]["psnr"]["mean"] == pytest.approx(apart[0] - apart[1])
    assert record["count"] == {"clips": 4, "scenes": 3}
    assert record["categories"]["cloth"]["psnr"]["ci95"] is None
    gains = [
        record["clips"][name]["figures"]["brighter"]["psnr"]
        - record["clips"][name]["figures"]["coarse"]["psnr"]
        for name in record["worst_first"]
    ]
    assert gains == sorted(gains)


def test_the_command(data: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page" / "refiner.html"
    assert evaluate_refiner(data, [untrained], "unseen", 1, 1, page, json=True) == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert record["judged"] == untrained.parent.name
    assert record["paired"]["epe"]["mean"] == pytest.approx(0, abs=1e-4)
    assert record["count"]["clips"] == 1
    assert "less the coarse video" in said.err
    text = page.read_text()
    assert text.count("<img") == text.count("<video") == 1
    assert "kept background" in text


def test_what_is_refused(
    data: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SHIPPED", untrained)
    assert list(named([], 1)) == [untrained.parent.name]
    monkeypatch.setattr(command, "SHIPPED", tmp_path / "none.safetensors")
    with pytest.raises(RefinerError, match="--weights"):
        named([], 1)
    with pytest.raises(RefinerError, match="Two refiners"):
        named([untrained, untrained], 1)
    with pytest.raises(RefinerError, match="cannot be read"):
        named([tmp_path / "none.safetensors"], 1)
    with pytest.raises(DataError, match="index"):
        evaluate_refiner(tmp_path, [untrained], "unseen", 0, 1, None, json=False)
    assert len(spread(read_split(data, "unseen"), 2)) == 2
