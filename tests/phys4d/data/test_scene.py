"""One whole scene: drawn, simulated twice, filmed, kept, and again."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from perpetua.evaluate.video.suite import Weights, evaluate_set
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.scene_job import film_again, make_scene
from perpetua.phys4d.data.store import read_clip, read_index, write_index
from perpetua.phys4d.data.unpack import unpack
from perpetua.physics import worlds
from perpetua.progress import Progress

CONFIG = DataConfig(
    scenes=1,
    categories=("soft",),
    frames=4,
    width=48,
    height=32,
    coarse_particles=100,
    fine_particles=300,
    samples=2,
)


@pytest.mark.slow
def test_a_scene_becomes_five_clips_and_the_same_again(tmp_path: Path) -> None:
    for name in ("first", "again"):
        worlds.discard()
        said = make_scene(CONFIG, 0, tmp_path / name)
        assert "failed" not in said
        assert write_index(tmp_path / name) == 5
    first, again = (read_index(tmp_path / name) for name in ("first", "again"))
    for one, other in zip(first, again, strict=True):
        a, b = read_clip(one), read_clip(other)
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.coarse_rgb, b.coarse_rgb)
        assert np.array_equal(a.flow, b.flow)
        assert np.array_equal(a.track_position, b.track_position)
    clips = [read_clip(entry) for entry in first]
    made_again, _ = film_again(tmp_path / "first", first[0].about.scene)  # from the motion that is kept
    for about, clip in made_again:
        before = next(read_clip(entry) for entry in first if entry.about.clip == about.clip)
        assert all(np.array_equal(getattr(clip, f.name), getattr(before, f.name)) for f in fields(ClipArrays))
    assert max(float(np.abs(clip.flow).max()) for clip in clips) > 0.3
    assert all((clip.masks > 0).any() for clip in clips)
    assert sum(entry.about.path == "fixed" for entry in first) == 3
    unpack(first[:2], tmp_path / "clips", Progress())
    found = evaluate_set(
        tmp_path / "clips" / "coarse", tmp_path / "clips" / "truth", None, Weights(), False, Progress()
    )
    assert found.means["picture.psnr"].mean > 15
    assert found.means["flow.epe"].mean < 3
    assert found.means["depth.abs_rel"].mean < 0.1
