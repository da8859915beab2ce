"""Splats that come later: clear before, in the same place in every frame, in the cache and all that is written from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from perpetua.cache.arrays import animated_arrays, splat_arrays
from perpetua.cache.export_ply import export_ply
from perpetua.cache.writer import CacheWriter, verify
from perpetua.progress import Progress
from perpetua.scene import Scene, Trajectory
from perpetua.scene.emission import releases, with_streams
from perpetua_protocol.cache import Cache, RoundRecord
from perpetua_protocol.take import Emitter, MaterialSpec, Round

FRAMES = 3
MILK = MaterialSpec("milk")
TAP = Emitter("tap", (0, 0, 0.2), radius=0.012, speed=0.5, material=MILK, colour=(0.2, 0.4, 0.8))


@pytest.fixture
def cache(make_cache, tmp_path: Path) -> tuple[Path, Scene]:
    """Frame 0, and a round in which a tap runs; the picture has two splats that hang on particles and a shadow."""
    scene = _scene()
    whole = with_streams(scene, Round(FRAMES, (TAP,)), 0, 24.0)
    out = releases(Round(FRAMES, (TAP,)), 0, 24.0, scene.spacing)
    there = np.arange(FRAMES + 1)[:, None] > out.frames
    positions = np.tile(whole.particles.positions, (FRAMES + 1, 1, 1))
    F = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
    F[:, 2:][~there] = 0.0
    meta = Cache(make_cache()).meta
    folder = tmp_path / "tap"
    writer = CacheWriter(
        folder, msgspec.structs.replace(meta, rounds=[], files={}, foreground=len(whole.foreground))
    )
    writer.add_background("b" * 64, lambda: splat_arrays(scene.background))
    for index, (now, frames) in enumerate([(scene, slice(0, 1)), (whole, slice(0, FRAMES + 1))]):
        record = RoundRecord(index, index, max(1, FRAMES * index), "", str(index) * 64, "0" * 64, 0.0)
        writer.add_round(record, lambda now=now, frames=frames: animated_arrays_of(now, frames, positions, F))
    writer.finish()
    return folder, whole


def animated_arrays_of(now, frames, positions, F):
    count = len(now.particles)
    part = Trajectory(positions[frames, :count], F[frames, :count], np.arange(frames.stop) / 24.0)
    return animated_arrays(now, part, int(frames.stop > 1), Progress())


def _scene() -> Scene:
    import torch

    from perpetua.scene import Binding, Body, Camera, Gaussians, Particles
    from perpetua.scene.presets import PRESETS

    rest = np.array([[0, 0, 0.01], [0.01, 0, 0.01]], np.float32)
    body = np.zeros(2, np.int32)
    nothing = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    means = torch.tensor([[0, 0, 0.01], [0.01, 0, 0.01], [0, 0, 0.0]])
    splats = Gaussians.from_colors(
        means, torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1), torch.full((3, 3), 0.004),
        torch.full((3,), 0.9), torch.tensor([[0.9, 0.1, 0.1], [0.8, 0.2, 0.1], [0.1, 0.1, 0.1]]),
    )  # fmt: skip
    particles = torch.from_numpy(rest)
    binding = Binding.to_nearest(means[:2], particles, torch.arange(2)).with_ground(
        torch.zeros(1), torch.ones(1), particles, torch.from_numpy(body)
    )
    camera = Camera(np.eye(3), np.eye(4), 2, 2)
    return Scene(
        splats, splats, binding, Particles.at_rest(rest, body), [Body("ball", PRESETS["jelly"], *nothing)],
        0.01, camera, np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), np.zeros(3),
    )  # fmt: skip


def test_every_frame_has_all_splats_and_those_to_come_are_clear(cache):
    folder, whole = cache
    verify(folder)
    opened = Cache(folder)
    frames = [opened.frame(n) for n in range(FRAMES + 1)]
    assert {len(f["position"]) for f in frames} == {len(whole.foreground)}
    opacity = np.stack([f["radiance_base"][:, 3] for f in frames])
    out = releases(Round(FRAMES, (TAP,)), 0, 24.0, whole.spacing)
    there = np.arange(FRAMES + 1)[:, None] > out.frames
    came = slice(3, 3 + len(out))
    np.testing.assert_array_equal(opacity[:, came] > 0.969, there)
    assert opacity[:, came][~there].max() < 1e-6
    np.testing.assert_allclose(opacity[:, :3], 0.9, atol=1e-6)
    np.testing.assert_array_equal(frames[0]["position"][:3], frames[-1]["position"][:3])
    coming = whole.foreground.colors[2 : 2 + len(out)].numpy()  # below the light
    np.testing.assert_allclose(coming.mean(0), TAP.colour, atol=0.02)
    clear = opacity < 1e-6
    assert max(f["scale"][c].max(initial=0) for f, c in zip(frames, clear, strict=True)) < 1e-5


def test_light_on_what_comes_changes_with_its_motion(cache):
    folder, whole = cache
    opened = Cache(folder)
    assert [opened.radiance_moves(r) for r in opened.meta.rounds] == [False, True]
    out = releases(Round(FRAMES, (TAP,)), 0, 24.0, whole.spacing)
    first = 3 + np.flatnonzero(out.frames < 1)
    colours = [opened.frame(n)["radiance_base"][first, :3] for n in (1, FRAMES)]
    assert np.abs(colours[1] - colours[0]).max() > 0.05
    np.testing.assert_array_equal(
        opened.array("round_001-1111111111111111/colour.npy")[-1][first], colours[1]
    )
    shadow = opened.frame(FRAMES)["radiance_base"][3 + len(out) :]
    np.testing.assert_allclose(0.5 + 0.28209479 * shadow[:, :3], 0.0, atol=1e-6)
    assert 0.02 < shadow[:, 3].max() < 0.99


def test_usd_and_ply_show_what_is_there_and_when(cache, tmp_path: Path):
    pytest.importorskip("pxr")
    from pxr import Usd

    from perpetua.cache.export_usd import export_usd

    folder, _ = cache
    opened = Cache(folder)
    stage = Usd.Stage.Open(str(export_usd(folder, tmp_path / "tap.usdc")))
    for name, attribute in (("Splats", "opacities"), ("SplatPoints", "primvars:radiance:base")):
        prim = stage.GetPrimAtPath(f"/Perpetua/{name}")
        for frame in range(FRAMES + 1):
            shown = np.array(prim.GetAttribute(attribute).Get(frame))
            shown = shown if shown.ndim == 1 else shown[:, 3]
            np.testing.assert_allclose(shown, opened.frame(frame)["radiance_base"][:, 3], atol=1e-6)
    paths = export_ply(folder, tmp_path / "ply")
    assert len(paths) == FRAMES + 2
    size = {path.stat().st_size for path in paths[:-1]}
    assert len(size) == 1
