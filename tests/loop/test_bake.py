"""The loop on a real (small) picture with the real engine: identity changes nothing, a teacher is followed, a stopped bake goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perpetua.cache.export_video import export_refined
from perpetua.cache.writer import verify
from perpetua.errors import CacheError, CameraError, Cancelled, MaterialError, SimulationError
from perpetua.loop.bake import bake
from perpetua.mp4 import read_video
from perpetua.progress import Progress
from perpetua.refine.teacher import unpack_state
from perpetua.scene import Scene, State
from perpetua.take_file import load_take, save_take
from perpetua_protocol.cache import Cache
from perpetua_protocol.take import (
    CameraSpec,
    MaterialSpec,
    Pin,
    Push,
    RefinerSpec,
    RegionSpec,
    Round,
    Take,
    Wind,
)


@dataclass(frozen=True)
class Baked:
    summary: dict[str, Any]
    store: Path
    cache: Path

    def stage(self, name: str) -> list[Path]:
        return list((self.store / "stages").glob(f"{name}-*"))


@pytest.fixture(scope="module")
def identity(take: Take, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Baked:
    folder = tmp_path_factory.mktemp("identity")
    return Baked(
        bake(take, picture, folder / "store", folder / "cache", 2, Progress()),
        folder / "store",
        folder / "cache",
    )


def test_a_bake_leaves_a_cache_that_plays(identity: Baked):
    meta = verify(identity.cache)
    assert meta.frames == 17
    assert [r.start for r in meta.rounds] == [0, 1, 9]
    with pytest.raises(CacheError, match="without a refiner"):
        export_refined(identity.cache, identity.cache / "refined")
    for record in meta.rounds[1:]:
        lower, upper = np.array(record.bounds)
        assert (upper - lower > meta.particle_spacing).all()
    cache = Cache(identity.cache)
    first, last = (cache.frame(f)["position"] for f in (0, 8))
    moved = np.linalg.norm(last - first, axis=1)
    assert 0.001 < moved.mean() < 0.1, "the gust moves the ball, and not out of the room"
    assert np.isfinite(np.asarray(last)).all()
    gap = np.abs(cache.frame(9)["position"] - cache.frame(8)["position"]).max()
    assert gap < 0.03, "the second round goes on where the first ended"


def test_without_a_refiner_the_simulators_motion_is_kept_exactly(identity: Baked):
    for back in identity.stage("write_back"):
        coarse = next(
            c
            for c in identity.stage("simulate")
            if c.name.split("-")[1]
            == msgspec.json.decode((back / "stage.json").read_bytes())["inputs"]["coarse"][:20]
        )
        own, written = State.load(coarse / "end.npz"), State.load(back / "state.npz")
        for name in ("positions", "velocities", "F", "plastic"):
            np.testing.assert_array_equal(getattr(written.particles, name), getattr(own.particles, name))


def test_the_same_bake_again_finds_every_stage(identity: Baked, take: Take, picture: Path):
    before = sorted((identity.store / "stages").iterdir())
    again = bake(take, picture, identity.store, identity.cache, 2, Progress())
    assert all(r["resumed"] for r in again["rounds"])
    assert sorted((identity.store / "stages").iterdir()) == before


def test_a_round_is_asked_for_its_physics_together_with_the_one_before(
    identity: Baked, take: Take, picture: Path, tmp_path: Path
):
    asking = msgspec.structs.replace(take, identify="offer")
    bake(asking, picture, identity.store, tmp_path / "cache", 2, Progress())
    asked = [
        msgspec.json.decode((stage / "stage.json").read_bytes())["inputs"]
        for stage in identity.stage("identify")
    ]
    first, second = sorted(asked, key=lambda inputs: "before" in inputs)
    assert "before" not in first
    assert second["before"] == [first[name] for name in ("start", "coarse", "corrected")]


def test_a_stopped_bake_goes_on_and_gives_the_same_bytes(
    identity: Baked, take: Take, picture: Path, tmp_path: Path
):
    seen: list[str] = []
    progress = Progress(lambda stage, fraction, text: seen.append(stage), lambda: "round 2: simulate" in seen)
    with pytest.raises(Cancelled):
        bake(take, picture, tmp_path / "store", tmp_path / "cache", 2, progress)
    assert verify(tmp_path / "cache").frames == 9, "the finished round is there and plays"
    resumed = bake(take, picture, tmp_path / "store", tmp_path / "cache", 2, Progress())
    assert [r["resumed"] for r in resumed["rounds"]] == [True, False]
    wanted = [r["state_sha256"] for r in identity.summary["rounds"]]
    assert [r["state_sha256"] for r in resumed["rounds"]] == wanted


def test_an_exploding_round_is_named_and_what_was_baked_stays(identity: Baked, take: Take, picture: Path):
    blast = Push("blast", (0, 0, 0.03), (0, 0, 1), 1e9, reach=0.05, start=2)
    mad = msgspec.structs.replace(take, rounds=(Round(8, (blast,)),))
    with pytest.raises(SimulationError, match=r"'ball' exploded in frame 3.*2 good frames are kept in"):
        bake(mad, picture, identity.store, identity.cache, 1, Progress())
    assert verify(identity.cache).frames == 17
    (stopped,) = identity.stage("stopped")
    positions, last = np.load(stopped / "positions.npy"), State.load(stopped / "end.npz")
    assert len(positions) == 3
    np.testing.assert_array_equal(positions[-1], last.particles.positions)


@pytest.mark.parametrize(
    ("camera", "sentence"),
    [
        (CameraSpec("back", "side", 170.0), "behind what the picture shows"),
        (
            CameraSpec("off", "side", matrix_world=(1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 5, 0, 0, 0, 1)),
            "does not see any object",
        ),
    ],
)
def test_a_camera_that_sees_nothing_is_named(identity: Baked, take: Take, picture: Path, camera, sentence):
    wrong = msgspec.structs.replace(take, cameras=(take.cameras[0], camera))
    with pytest.raises(CameraError, match=sentence):
        bake(wrong, picture, identity.store, identity.cache, 1, Progress())
    assert verify(identity.cache).frames == 17


def test_the_next_round_starts_nearer_to_the_teacher(take: Take, picture: Path, tmp_path: Path):
    """A teacher whose table is more slippery plays the video model; its truth is known."""
    ball = msgspec.structs.replace(take.objects[0], material=MaterialSpec("dough", friction=0.15))
    taught = msgspec.structs.replace(
        take,
        objects=(ball,),
        rounds=(Round(12, (Wind("breeze", (1.0, 0.0, 0.0), 0.7, drag=4.0),)),),
        refiner=RefinerSpec("teacher", {"friction_factor": 0.5}),
    )
    bake(taught, picture, tmp_path / "store", tmp_path / "cache", 1, Progress())
    made = Baked({}, tmp_path / "store", tmp_path / "cache")
    (prepared,), (coarse,), (back,) = (made.stage(name) for name in ("prepare", "simulate", "write_back"))
    with np.load(prepared / "memory.npz") as memory:
        truth = unpack_state({name: memory[name] for name in memory.files})
    own, written = State.load(coarse / "end.npz"), State.load(back / "state.npz")

    def away(state: State, name: str) -> float:
        return float(
            np.linalg.norm(getattr(state.particles, name) - getattr(truth.particles, name), axis=1).mean()
        )

    print("positions", away(own, "positions"), "->", away(written, "positions"))
    print("velocities", away(own, "velocities"), "->", away(written, "velocities"))
    assert away(written, "positions") < 0.5 * away(own, "positions")
    assert away(written, "velocities") < 0.8 * away(own, "velocities")
    exported = export_refined(made.cache, tmp_path / "refined")
    assert [p.name for p in exported] == [f"round_1_{c}_refined.mp4" for c in ("front", "left", "right")]
    meant = [255 * np.load(folder / "rgb.npy")[1:] for folder in made.stage("refine")]
    for film in (read_video(path).frames for path in exported):
        apart = sorted(np.abs(film - video).mean() for video in meant)
        assert apart[0] < 4 < apart[1], "each film is one of the three videos"


def test_regions_of_a_take_file_reach_the_particles_and_impossible_ones_are_refused(
    take: Take, picture: Path, tmp_path: Path
):
    """The lower half of the ball is of plasticine; a region of cloth or gas, or in them, has no place."""
    lower = RegionSpec("foot", box=(100.0, 108.0, 220.0, 190.0), material=MaterialSpec("plasticine"))
    marked = msgspec.structs.replace(
        take, objects=(msgspec.structs.replace(take.objects[0], regions=(lower,)),), picture=str(picture)
    )
    save_take(marked, tmp_path / "take.yaml")
    read, found = load_take(tmp_path / "take.yaml")
    bake(read, found, tmp_path / "store", tmp_path / "cache", 0, Progress())
    scene = Scene.load(next((tmp_path / "store" / "stages").glob("reconstruct-*")))
    kinds, of = scene.materials()
    firm = np.array([kinds[i].preset == "plasticine" for i in of])
    height = scene.particles.positions[:, 2]
    assert 0.3 < firm.mean() < 0.7
    assert height[firm].mean() < height[~firm].mean() - 0.02
    for preset in ("silk", "steam"):
        wrong = msgspec.structs.replace(lower, material=MaterialSpec(preset))
        thing = msgspec.structs.replace(take.objects[0], regions=(wrong,))
        with pytest.raises(MaterialError, match=f"'foot' is of {preset} in 'ball'.* must be soft"):
            bake(
                msgspec.structs.replace(take, objects=(thing,)),
                picture,
                tmp_path / "s",
                tmp_path / "c",
                0,
                Progress(),
            )


def test_a_pin_that_cannot_hold_its_object_is_refused_before_anything_is_made(
    take: Take, picture: Path, tmp_path: Path
):
    steam = msgspec.structs.replace(take.objects[0], material=MaterialSpec("steam"))
    pin = Pin("hand", (0.0, 0.0, 0.05), targets=(steam.name,))
    impossible = msgspec.structs.replace(take, objects=(steam,), rounds=(Round(2, (pin,)),))
    with pytest.raises(SimulationError, match="'hand' cannot hold 'ball'"):
        bake(impossible, picture, tmp_path / "store", tmp_path / "cache", 1, Progress())
    assert not list((tmp_path / "store").glob("stages/*"))
