"""The engine itself over the wire, small: baked, killed in the middle, gone on with, fetched and verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from perpetua.cache.writer import verify
from perpetua.take_file import load_take
from perpetua_protocol.cache import Cache
from perpetua_protocol.client import new_job_id
from perpetua_protocol.messages import BakeRequest, ProgressMade, RoundReady, StateChanged
from perpetua_protocol.take import Push, Round

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_clay_ball.yaml"


@pytest.mark.slow
def test_a_bake_survives_its_backend(offline, tmp_path: Path) -> None:
    take, picture_path = load_take(EXAMPLE)
    small = msgspec.structs.replace(
        take.quality, width=96, particles=600, splat_width=128, optimise_renders=6
    )
    push = Push("push", (0.0, 0.0, 0.05), (1.0, 0.0, 0.0), 1.0, 0.05)
    take = msgspec.structs.replace(take, quality=small, rounds=(Round(3, (push,)), Round(3)))
    picture = picture_path.read_bytes()
    request = BakeRequest(take, 2, hashlib.sha256(picture).hexdigest())
    job_id = new_job_id()

    bake = "perpetua.loop.bake:bake"
    offline.start_process(job_function=bake)
    with offline.client() as client:
        client.submit(job_id, request, picture)
        for event in client.follow(job_id):
            if isinstance(event, RoundReady) and event.round == 1:
                break
        client.fetch_files(job_id, client.files(job_id), tmp_path / "copy")
    assert len(verify(tmp_path / "copy").rounds) >= 2, "the reconstruction and round 1 play already"
    offline.process.kill()
    offline.process.wait()

    offline.start_process(job_function=bake)
    with offline.client() as client:
        assert client.status(job_id).state == "interrupted"
        client.submit(job_id, request, picture)
        events = list(client.follow(job_id))
        job = client.outcome(job_id)
        client.fetch_files(job_id, client.files(job_id), tmp_path / "copy")
    assert isinstance(events[-1], StateChanged)
    assert job.summary["rounds"][0]["resumed"], "round 1 was found, not baked again"
    assert any(isinstance(e, ProgressMade) for e in events)
    meta = verify(tmp_path / "copy")
    assert (meta.frames, len(meta.rounds)) == (7, 3)
    assert Cache(tmp_path / "copy").frame(6)["position"].shape[1] == 3
