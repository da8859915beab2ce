"""Clips as they are trained on: cut, scaled, in an order that follows from the seed, and refused in a sentence."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from perpetua.errors import ClipError, DataError, TrainingError
from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.store import About, write_index, write_shard
from perpetua.phys4d.train.batches import endless, in_order
from perpetua.phys4d.train.clips import ClipFolders, TrainingClip, check_plan, cut, source_of
from perpetua.phys4d.train.config import DataPlan

T, H, W = 6, 20, 40


def world(frames: int = T) -> TrainingClip:
    """A plane that recedes by 1 cm a frame, seen by a still camera; the picture's brightness is the frame's number."""
    rgb = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, H, W, 3))
    depth = np.broadcast_to(2 + 0.01 * np.arange(frames, dtype=np.float32)[:, None, None], (frames, H, W))
    scene = np.broadcast_to(np.float32([0, 0, 0.01]), (frames - 1, H, W, 3))
    flow = np.broadcast_to(np.float32([4, 2]), (frames - 1, H, W, 2))
    K = np.tile(np.array([[50.0, 0, W / 2], [0, 50.0, H / 2], [0, 0, 1]]), (frames, 1, 1))
    poses = np.tile(np.eye(4), (frames, 1, 1))
    return TrainingClip("plane", rgb, depth, flow, np.zeros((frames - 1, H, W), bool), scene, K, poses)


def test_a_cut_is_consecutive_frames_of_every_layer():
    starts = set()
    for seed in range(12):
        item = cut(world(), DataPlan(folder="", frames=3, width=W, height=H), np.random.default_rng(seed))
        frames = ((item["rgb"][0, :, 0, 0] + 1) * 127.5).round().int().tolist()
        assert frames == [frames[0], frames[0] + 1, frames[0] + 2]
        assert torch.allclose(item["depth"][:, 0, 0], 2 + 0.01 * torch.tensor(frames).float())
        assert torch.allclose(item["rise"], torch.tensor(0.01), atol=1e-6)
        starts.add(frames[0])
    assert starts == {0, 1, 2, 3}


def test_scaling_keeps_flow_and_cameras_in_pixels():
    item = cut(world(), DataPlan(folder="", frames=2, width=16, height=10), np.random.default_rng(0))
    assert item["flow"].shape == (1, 2, 10, 16)
    assert torch.allclose(item["flow"][0, :, 3, 3], torch.tensor([2.0, 1.0]))
    K = item["K"][0]
    assert torch.allclose(
        K, torch.tensor([[25.0, 0, 8], [0, 25.0, 5], [0, 0, 1]])
    )  # the middle of a picture cropped to 16 of 20
    assert bool(item["posed"])


def test_a_layer_that_is_not_there_is_unknown():
    bare = TrainingClip("bare", world().rgb)
    item = cut(bare, DataPlan(folder="", frames=3, width=W, height=H), np.random.default_rng(0))
    for name in ("flow_known", "rise_known", "occluded_known", "posed"):
        assert not bool(item[name].any())
    assert float(item["depth"].max()) == 0


def test_the_order_follows_from_the_seed_and_goes_on_in_the_middle(clips):
    source, plan = ClipFolders(clips), DataPlan(folder="", frames=3, width=64, height=32)
    whole = list(islice(endless(source, plan, 5, 2, 0, 0), 6))
    later = list(islice(endless(source, plan, 5, 2, 4, 0), 2))
    for a, b in zip(whole[4:], later):
        assert all(torch.equal(a[key], b[key]) for key in a)
    order = torch.cat([batch["clip"] for batch in whole]).tolist()
    assert all(sorted(order[k : k + 3]) == [0, 1, 2] for k in range(0, 12, 3))
    assert order != torch.cat([b["clip"] for b in islice(endless(source, plan, 6, 2, 0, 0), 6)]).tolist()
    # two processes share what one would see
    halves = [list(islice(endless(source, plan, 5, 1, 0, 0, rank, 2), 6)) for rank in (0, 1)]
    assert [int(b["clip"]) for pair in zip(*halves) for b in pair] == order
    assert [int(b["clip"]) for b in in_order(source, plan, 2)] == [0, 1]


def test_generated_data_is_read_by_split(tmp_path):
    clip = world()
    assert clip.depth is not None
    assert clip.flow is not None
    assert clip.scene_flow is not None
    counts, per_count = counts_of(clip.depth)
    arrays = ClipArrays(
        rgb=clip.rgb, inverse_depth=counts, flow=clip.flow.astype(np.float16),
        scene_flow=clip.scene_flow.astype(np.float16), occluded=np.zeros((T - 1, H, W), bool),
        masks=np.zeros((T, H, W), np.uint8), track_position=np.zeros((T, 1, 3), np.float32),
        track_visible=np.zeros((T, 1), bool), K=clip.K, world_to_camera=clip.world_to_camera, coarse_rgb=clip.rgb,
        coarse_inverse_depth=counts, coarse_flow=clip.flow.astype(np.float16),
        coarse_alpha=np.zeros((T, H, W), np.uint8), inverse_depth_per_count=np.array([per_count] * 2, np.float32),
    )  # fmt: skip
    for scene, split in (("one", "train"), ("two", "test")):
        about = About(
            clip=f"{scene}_a", scene=scene, category="soft", template="fall", camera="a", path="fixed", seed=0, split=split,
            held_out="", frames=T, width=W, height=H, fps=24.0, things=1, spec="{}", versions="{}", seconds="{}",
        )  # fmt: skip
        write_shard(tmp_path, scene, [(about, arrays)])
    write_index(tmp_path)
    plan = DataPlan(folder=str(tmp_path), frames=T, width=W, height=H)
    source = source_of(plan)
    assert source.names == ["one_a"]
    item = cut(source.read(0), plan, np.random.default_rng(0))
    assert torch.allclose(item["depth"][:, 0, 0], torch.tensor(clip.depth[:, 0, 0]), atol=1e-3)
    assert torch.allclose(item["rise"], torch.tensor(0.01), atol=1e-4)
    (tmp_path / "shards" / "one.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"one\.parquet is damaged"):
        source.read(0)


def test_what_cannot_be_trained_on_is_said(clips, tmp_path):
    with pytest.raises(TrainingError, match="There is no folder"):
        source_of(DataPlan(folder=str(tmp_path / "nowhere")))
    with pytest.raises(TrainingError, match="holds no clips"):
        source_of(DataPlan(folder=str(tmp_path)))
    with pytest.raises(
        TrainingError, match=r"'plane' has 6 frames and 9 are asked for; set data\.frames to 6"
    ):
        cut(world(), DataPlan(folder="", frames=9, width=W, height=H), np.random.default_rng(0))
    with pytest.raises(
        TrainingError, match=r"data.frames is 48; the model takes 8 k [+] 1 of them: set it to 41 or 49"
    ):
        check_plan(DataPlan(folder="", frames=48), 8, 16)
    with pytest.raises(TrainingError, match=r"data.width is 700; .* multiples of 16: set it to 688 or 704"):
        check_plan(DataPlan(folder="", frames=49, width=700), 8, 16)


def test_a_clip_with_wrong_numbers_is_named(clips, tmp_path):
    import shutil

    bad = tmp_path / "bad"
    shutil.copytree(clips / "left", bad)
    depth = np.load(bad / "depth.npz")["depth"]
    depth[2, 3, 4] = np.nan
    np.savez(bad / "depth.npz", depth=depth)
    with pytest.raises(ClipError, match=r"depth\.npz holds NaN in frame 2"):
        source_of(DataPlan(folder=str(tmp_path))).read(0)
