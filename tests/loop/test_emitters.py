"""A tap runs in the first round and goes on in the second, in a bake that is stopped between them and goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from perpetua.cache.writer import verify
from perpetua.errors import Cancelled
from perpetua.loop.bake import bake
from perpetua.progress import Progress
from perpetua.scene import Scene
from perpetua.scene.emission import releases
from perpetua.scene.looks import shadow_of
from perpetua_protocol.cache import Cache
from perpetua_protocol.take import Emitter, RefinerSpec, Round, Take

TAP = Emitter("tap", (0.0, 0.0, 0.11), radius=0.012, speed=0.6, start=1, end=5)
ROUNDS = (Round(3, (TAP,)), Round(3, (TAP,)))


@pytest.fixture
def pouring(take: Take) -> Take:
    return msgspec.structs.replace(take, rounds=ROUNDS, cameras=take.cameras[:2])


def test_what_a_tap_let_out_stays_and_is_seen(pouring: Take, picture: Path, tmp_path: Path):
    stopped: list[str] = []
    progress = Progress(
        lambda stage, fraction, text: stopped.append(stage), lambda: "round 2: simulate" in stopped
    )
    with pytest.raises(Cancelled):
        bake(pouring, picture, tmp_path / "store", tmp_path / "cache", 2, progress)
    first = Cache(tmp_path / "cache")
    assert verify(tmp_path / "cache").frames == 4
    bake(pouring, picture, tmp_path / "store", tmp_path / "cache", 2, Progress())

    meta = verify(tmp_path / "cache")
    (made,) = (tmp_path / "store" / "stages").glob("reconstruct-*")
    scene = Scene.load(made)
    out = [releases(turn, start, 24.0, scene.spacing) for turn, start in zip(ROUNDS, (0, 3), strict=True)]
    assert meta.particles == len(scene.particles) + len(out[0]) + len(out[1])
    shadows = [len(shadow_of(scene, len(part))) for part in out]
    own = len(scene.foreground)
    assert meta.foreground == own + sum(map(len, out)) + sum(shadows) == first.meta.foreground

    cache = Cache(tmp_path / "cache")
    rows = [own + np.arange(len(out[0])), own + len(out[0]) + shadows[0] + np.arange(len(out[1]))]
    water = np.concatenate(rows)
    came = np.concatenate([part.frames for part in out])
    picture = cache.frame(0)["radiance_base"][:own]
    for frame in range(meta.frames):
        radiance = cache.frame(frame)["radiance_base"]
        np.testing.assert_array_equal(radiance[water, 3] > 0.01, came < frame)  # water is clear
        assert (radiance[:own] <= picture + 1e-6).all(), "water only shades the picture's own"
    assert (cache.frame(1)["radiance_base"][:own] == picture).all(), "nothing has come yet"
    mouth = cache.frame(meta.frames - 1)["position"][water]
    before, after = (cache.frame(f)["position"][rows[0]] for f in (3, 4))
    assert (np.linalg.norm(after - before, axis=1) > 0.005).mean() > 0.5, "the first round's water goes on"
    assert mouth[:, 2].max() < 0.12


@pytest.mark.slow
def test_a_teachers_correction_moves_the_ball_and_leaves_the_stream_whole(
    pouring: Take, picture: Path, tmp_path: Path
):
    """The teacher's ball is softer. The water of a round is not corrected in it and goes on from there in the next without a jump."""
    taught = msgspec.structs.replace(pouring, refiner=RefinerSpec("teacher", {"youngs_modulus_factor": 0.25}))
    made = {}
    for name, played in (("none", pouring), ("teacher", taught)):
        bake(played, picture, tmp_path / "store", tmp_path / name, 2, Progress())
        made[name] = Cache(tmp_path / name)
    (stage,) = (tmp_path / "store" / "stages").glob("reconstruct-*")
    scene = Scene.load(stage)
    own, spacing = len(scene.foreground), scene.spacing
    out = releases(ROUNDS[0], 0, 24.0, spacing)
    water = own + np.arange(len(out))
    ball = slice(0, scene.binding.carried)
    last = made["teacher"].meta.frames - 1
    plain, corrected = (made[name].frame(last)["position"] for name in ("none", "teacher"))
    assert np.abs(corrected[ball] - plain[ball]).max() > 1e-4, "the ball is corrected"
    assert np.isfinite(corrected).all()
    for frame in (1, 2, 3):
        there = out.frames < frame
        plain, corrected = (made[name].frame(frame)["position"][water][there] for name in ("none", "teacher"))
        np.testing.assert_allclose(corrected, plain, atol=0.25 * spacing)
    before, after = (made["teacher"].frame(frame)["position"][water] for frame in (3, 4))
    there = out.frames < 3
    fastest = 0.6 + 9.81 * 4 / 24
    assert np.linalg.norm(after - before, axis=1)[there].max() < fastest / 24 + spacing
