"""Inputs of many files over the wire to the engine itself: a capture is looked at; splats are looked at, and baked from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpetua.cache.export_ply import PROPERTIES, write_ply
from perpetua.cache.writer import verify
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.capture.folder import write_capture
from perpetua.scene.cameras import Camera
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.inputs import input_files
from perpetua_protocol.messages import BakeRequest, Job
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, SplatView, Take

VIEW = SplatView(
    (1.0, 0, 0, 0, 0, 0.5, -0.8660254, -0.5, 0, 0.8660254, 0.5, 0.33, 0, 0, 0, 1.0), 40.0, 160, 120
)
"""Looks down 30 degrees at the origin, from in front."""


def capture_at(folder: Path) -> Path:
    """Three grey pictures with masks."""
    views = []
    for index in range(3):
        pose = np.eye(4)
        pose[:3, 3] = 0.3 * index, -1.0, 0.5
        camera = Camera.from_blender(pose, 40.0, 48, 36)
        rgb = np.full((36, 48, 3), 40 + index, np.uint8)
        views.append(CapturedView(f"{index}.png", camera, rgb, None, np.zeros((36, 48), np.int32)))
    write_capture(folder, Capture(tuple(views), objects=("ball",)))
    return folder / "transforms.json"


def splats_at(path: Path) -> Path:
    """A red ball of 5 cm on a grey table, in metres with Z up."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(2500, 3))
    ball = 0.05 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + [0, 0, 0.05]
    table = np.concatenate([rng.uniform(-0.5, 0.5, (5000, 2)), np.zeros((5000, 1))], 1)
    rows = np.zeros((7500, len(PROPERTIES)), np.float32)
    rows[:, :3] = np.concatenate([ball, table])
    rows[:2500, 6:9], rows[2500:, 6:9] = (1.2, -1.2, -1.2), (-0.3, -0.3, -0.3)
    rows[:, 9], rows[:, 13] = 5.0, 1.0
    rows[:2500, 10:13], rows[2500:, 10:13] = np.log(0.003), np.log([0.012, 0.012, 0.0005])
    write_ply(path, rows)
    return path


def job_of(client: Client, take: Take, path: Path, look: bool) -> Job:
    files = client.upload_files(input_files(take, path))
    job_id = new_job_id()
    client.submit(job_id, BakeRequest(take, 0, files[0].sha256, files[1:], look))
    list(client.follow(job_id))
    return client.outcome(job_id)


@pytest.mark.slow
def test_captures_and_splats_reach_the_engine(offline, tmp_path: Path) -> None:
    offline.start_process(job_function="perpetua.loop.bake:bake")
    with offline.client() as client:
        capture = capture_at(tmp_path / "ring")
        job = job_of(client, Take("ring", "ring/transforms.json", ()), capture, look=True)
        client.fetch_files(job.job_id, client.files(job.job_id), tmp_path / "look")
        assert (np.asarray(Image.open(tmp_path / "look/front.png")) == 40).all()
        assert len(verify(tmp_path / "look").cameras) == 1

        scan = splats_at(tmp_path / "scan.ply")
        scene = SceneSettings(view=VIEW, metres_per_unit=1.0)
        bare = Take("scan", "scan.ply", (), scene=scene, quality=Quality(particles=500, splat_width=160))
        job = job_of(client, bare, scan, look=True)
        client.fetch_files(job.job_id, client.files(job.job_id), tmp_path / "seen")
        rgb = np.asarray(Image.open(tmp_path / "seen/front.png")).astype(int)
        rows, columns = np.nonzero(rgb[..., 0] > rgb[..., 1] + 80)
        click = Click(float(np.median(columns)), float(np.median(rows)))
        ball = ObjectSpec("ball", (click,), material=MaterialSpec("clay"))
        take = Take("scan", "scan.ply", (ball,), scene=scene, quality=bare.quality)
        job = job_of(client, take, scan, look=False)
        client.fetch_files(job.job_id, client.files(job.job_id), tmp_path / "baked")
    meta = verify(tmp_path / "baked")
    assert meta.frames == 1
    assert np.subtract(meta.bodies[0].upper, meta.bodies[0].lower) == pytest.approx([0.1, 0.1, 0.1], rel=0.12)
    assert meta.particles == pytest.approx(500, rel=0.15)
