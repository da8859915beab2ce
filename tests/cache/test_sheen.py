"""Colours that depend on the view, in the cache and in what is written from it: those of matter at rest, and how it has turned since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from pxr import Usd

from perpetua.cache.arrays import animated_arrays, gaussians_of, splat_arrays
from perpetua.cache.export_ply import export_ply
from perpetua.cache.export_usd import export_usd
from perpetua.cache.writer import CacheWriter
from perpetua.progress import Progress
from perpetua.reconstruct.existing.file import read_splats
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, Trajectory, deform
from perpetua.scene.presets import PRESETS
from perpetua.scene.rotations import matrix_from_quaternion
from perpetua_protocol.cache import Cache, RoundRecord

FRAMES, COUNT = 3, 12


def test_what_the_cache_plays_is_what_the_loop_drew(make_cache, tmp_path: Path) -> None:
    scene, trajectory = _turning()
    folder = _written(scene, trajectory, Cache(make_cache()).meta, tmp_path / "turning")
    cache, eye = Cache(folder), torch.tensor([0.2, -1.0, 0.5])
    assert (cache.frame(0)["turn"] == [1, 0, 0, 0]).all()
    for frame in range(FRAMES):
        positions, F = (torch.from_numpy(a[frame]) for a in (trajectory.positions, trajectory.F))
        drawn = deform(scene.foreground, scene.binding, positions, F)
        played = gaussians_of(cache.frame(frame))
        torch.testing.assert_close(played.colors_from(eye), drawn.colors_from(eye), atol=1e-4, rtol=0)
    still = gaussians_of(cache.background())
    torch.testing.assert_close(still.colors_from(eye), scene.background.colors_from(eye))


def test_scenes_without_them_have_no_more_files(make_cache, tmp_path: Path) -> None:
    scene, trajectory = _turning()
    plain = [replace(s, sh=s.sh[:, :1]) for s in (scene.background, scene.foreground)]
    scene = replace(scene, background=plain[0], foreground=plain[1])
    folder = _written(scene, trajectory, Cache(make_cache()).meta, tmp_path / "plain")
    names = {path.stem for path in folder.rglob("*.npy")}
    assert names == {"position", "rotation", "scale", "radiance_base"}


@pytest.mark.parametrize("with_background", [False, True])
def test_ply_files_hold_them_as_other_programs_read_them(
    make_cache, tmp_path, monkeypatch, with_background
) -> None:
    monkeypatch.setattr("perpetua.reconstruct.existing.file.FEWEST", 1)
    folder = make_cache(sheen=15)
    cache, paths = Cache(folder), export_ply(folder, tmp_path / "ply", with_background=with_background)
    for frame in (0, 4):
        parts = [gaussians_of(cache.frame(frame)), gaussians_of(cache.background())]
        wanted = Gaussians.cat(parts) if with_background else parts[0]
        torch.testing.assert_close(read_splats(paths[frame]).sh, wanted.sh)


def test_usd_splats_hold_them_turned_in_every_frame(make_cache, tmp_path) -> None:
    folder = make_cache(sheen=8)
    stage = Usd.Stage.Open(str(export_usd(folder, tmp_path / "toy.usdc")))
    cache, name = Cache(folder), "radiance:sphericalHarmonicsCoefficients"
    for path, time, splats in [
        ("Background", None, cache.background()),
        *(("Splats", n, cache.frame(n)) for n in (0, 3, 5)),
    ]:
        prim = stage.GetPrimAtPath(f"/Perpetua/{path}")
        assert prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get() == 2
        found = prim.GetAttribute(name).Get(Usd.TimeCode.Default() if time is None else time)
        np.testing.assert_array_equal(np.array(found).reshape(-1, 9, 3), gaussians_of(splats).sh)
    twin = stage.GetPrimAtPath("/Perpetua/SplatPoints")
    assert not [a.GetName() for a in twin.GetAttributes() if "sh_" in a.GetName()]


def _turning() -> tuple[Scene, Trajectory]:
    """Splats of degree 2 on five particles, each of which turns and stretches by itself."""
    torch.manual_seed(1)
    rest = (0.1 * torch.randn(5, 3)).numpy().astype(np.float32)

    def splats(count: int) -> Gaussians:
        made = Gaussians.from_colors(
            0.1 * torch.randn(count, 3), torch.randn(count, 4), torch.full((count, 3), 0.01), torch.full((count,), 0.9),
            torch.rand(count, 3),
        )  # fmt: skip
        return replace(made, sh=torch.cat([made.sh, 0.1 * torch.randn(count, 8, 3)], 1))

    foreground = splats(COUNT)
    binding = Binding.to_nearest(foreground.means, torch.from_numpy(rest), torch.arange(COUNT) % 5)
    body = Body("lump", PRESETS["clay"], np.eye(4, 3), np.array([[0, 1, 2]]))
    scene = Scene(
        splats(4), foreground, binding, Particles.at_rest(rest, np.zeros(5, np.int32)), [body], 0.01,
        Camera(np.eye(3), np.eye(4), 4, 3), np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4), np.float32), np.zeros(3),
    )  # fmt: skip
    F = matrix_from_quaternion(torch.randn(FRAMES, 5, 4)) @ torch.diag_embed(torch.rand(FRAMES, 5, 3) + 0.5)
    F[0] = torch.eye(3)
    positions = np.stack([rest, rest + 0.1, rest - 0.1])
    return scene, Trajectory(positions, F.numpy().astype(np.float32), np.arange(FRAMES) / 24.0)


def _written(scene: Scene, trajectory: Trajectory, meta, folder: Path) -> Path:
    writer = CacheWriter(folder, msgspec.structs.replace(meta, rounds=[], files={}, foreground=COUNT))
    writer.add_background("b" * 64, lambda: splat_arrays(scene.background))
    record = RoundRecord(0, 0, FRAMES, "", "0" * 64, "0" * 64, 0.0)
    writer.add_round(record, lambda: animated_arrays(scene, trajectory, 0, Progress()))
    writer.finish()
    return folder
