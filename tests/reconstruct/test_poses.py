"""Cameras are found from pictures and from a video, and pictures that cannot be of one still scene are refused in a sentence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_captures import Ball, Box, grained, looking, seen_by
from PIL import Image

from perpetua.errors import CaptureError
from perpetua.mp4 import write_video
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.reconstruct.fit.train import FitSettings
from perpetua.reconstruct.from_views import ViewsReconstructor
from perpetua.reconstruct.poses.colmap import Placed, Poses, find_poses
from perpetua.reconstruct.poses.frames import chosen_frames, first_frame, spread
from perpetua.reconstruct.poses.reconstructor import ShotsReconstructor, capture_of, marked_in
from perpetua.reconstruct.poses.shot import Shot
from perpetua.reconstruct.poses.shots import ShotFiles
from perpetua.reconstruct.source import front_picture, open_source
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

SOLIDS: dict = {
    "ball": [Ball((-0.07, 0.02, 0.05), 0.05)],
    "box": [Box((0.03, -0.04, 0), (0.12, 0.05, 0.06))],
}
MIDDLE = np.array([0, 0, 0.04])
SIZE = (240, 180)
DISTANCE = 0.5
FRAMES = 12


def walked(
    count: int, degrees: float, solids: dict = SOLIDS, size: tuple[int, int] = SIZE
) -> list[CapturedView]:
    """Views on an arc that begins in front."""
    views = []
    for index in range(count):
        angle, up = np.radians(-90 + degrees * index / count), np.radians(32 + 6 * np.sin(1.7 * index))
        away = np.array([np.cos(angle) * np.cos(up), np.sin(angle) * np.cos(up), np.sin(up)])
        camera = looking(MIDDLE + DISTANCE * away, MIDDLE, *size)
        views.append(seen_by(camera, f"{index}.png", solids, grained))
    return views


def shots_of(views: list[CapturedView]) -> list[Shot]:
    return [Shot(view.name, view.rgb) for view in views]


def from_truth(poses: Poses, views: list[CapturedView]) -> tuple[float, float, float]:
    """(metres a unit; largest errors of place, m, and of direction, degrees) after the best similarity (Umeyama 1991)."""
    found = [np.linalg.inv(p.world_to_camera) for p in poses.placed if p is not None]
    truth = [view.camera.camera_to_world for view in views]
    a, b = (np.array([pose[:3, 3] for pose in poses_]) for poses_ in (found, truth))
    a0, b0 = a - a.mean(0), b - b.mean(0)
    U, S, Vt = np.linalg.svd(b0.T @ a0)
    flip = np.diag([1, 1, np.linalg.det(U @ Vt)])
    turn, scale = U @ flip @ Vt, np.trace(np.diag(S) @ flip) / (a0**2).sum()
    off = np.linalg.norm(scale * a0 @ turn.T - b0, axis=1).max()
    cosines = [(np.trace(t[:3, :3].T @ turn @ f[:3, :3]) - 1) / 2 for f, t in zip(found, truth, strict=True)]
    return float(scale), float(off), float(np.degrees(np.arccos(np.clip(min(cosines), -1, 1))))


@pytest.fixture(scope="module")
def views() -> list[CapturedView]:
    return walked(8, 130.0)


@pytest.fixture(scope="module")
def poses(views: list[CapturedView]) -> Poses:
    return find_poses(shots_of(views), False, None, 0, Progress())


def test_cameras_of_pictures_with_an_unknown_lens(views: list[CapturedView], poses: Poses) -> None:
    scale, off, turned = from_truth(poses, views)
    assert off < 0.005 * DISTANCE
    assert turned < 0.8
    assert scale == pytest.approx(DISTANCE, rel=0.15)  # the unit is about the cameras' distance
    placed = poses.placed[0]
    assert placed is not None
    assert placed.K[0, 0] == pytest.approx(views[0].camera.K[0, 0], rel=0.02)
    assert abs(placed.distortion) < 0.02
    assert len(poses.points) > 200
    assert poses.colors.shape == poses.points.shape


def test_a_known_lens_is_kept(views: list[CapturedView]) -> None:
    shots = shots_of(views[:6])
    found = find_poses(shots, False, 40.0, 0, Progress())
    placed = found.placed[0]
    assert placed is not None
    assert placed.K[0, 0] == pytest.approx(views[0].camera.K[0, 0])
    assert placed.distortion == 0
    assert from_truth(found, views[:6])[1] < 0.005 * DISTANCE


@pytest.mark.slow
def test_a_found_capture_becomes_a_scene() -> None:
    views = walked(16, 360.0)
    poses = find_poses(shots_of(views), True, None, 0, Progress())
    rows, columns = np.nonzero(views[0].objects == 0)
    click = Click(2 * (float(np.median(columns)) + 0.5), 2 * (float(np.median(rows)) + 0.5))
    thing = ObjectSpec("ball", (click,), material=MaterialSpec("clay"), height=0.1)
    shot = replace(shots_of(views)[0], scale=0.5)  # as if its file were twice as large
    assert poses.placed[0] is not None
    take = Take(
        "t",
        "0.png",
        marked_in(shot, poses.placed[0], (thing,)),
        quality=Quality(particles=500, splat_width=120),
    )
    made = ViewsReconstructor(FitSettings(3000, 400), 32).reconstruct(
        capture_of(shots_of(views), poses), take, Progress()
    )
    ball = made.bodies[0].vertices
    assert np.ptp(ball, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.25)
    pitch = np.degrees(np.arcsin(-made.camera.world_to_camera[2, 2]))
    assert pitch == pytest.approx(32, abs=2)


def test_distortion_is_taken_out_of_pictures_and_clicks() -> None:
    K = np.array([[200.0, 0, 120], [0, 200, 90], [0, 0, 1]])
    placed = Placed(K, 0.2, np.eye(4))
    point = np.array([0.4, 0.25])  # x / z, y / z
    seen = 200 * point * (1 + 0.2 * point @ point) + [120, 90]
    shot = Shot("a.png", np.zeros((180, 240, 3), np.uint8), 0.5)
    thing = ObjectSpec("ball", (Click(*(2 * seen).tolist()),), box=(*(2 * seen).tolist(), 240.0, 180.0))
    straight = marked_in(shot, placed, (thing,))[0]
    assert (straight.clicks[0].x, straight.clicks[0].y) == pytest.approx((200, 140), abs=0.01)
    assert straight.box == pytest.approx((200, 140, 120, 90), abs=0.01)
    bright = shot.rgb.copy()
    x, y = np.floor(seen).astype(int)
    bright[y - 1 : y + 2, x - 1 : x + 2] = 255
    capture = capture_of([replace(shot, rgb=bright)], Poses((placed,), np.empty((0, 3)), np.empty((0, 3))))
    rows, columns = np.nonzero(capture.front_view.rgb[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((200, 140), abs=1.5)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "turn.mp4"
    write_video(path, [view.rgb for view in walked(FRAMES, 60.0)], 12, SIZE)
    return path


def test_frames_of_a_video_are_chosen_and_placed(video: Path) -> None:
    files = ShotFiles((video,), 8)
    shots = files.read(Progress())
    assert len(shots) == 8
    assert shots[0].name == "frame_00000.png"
    assert (first_frame(video) == shots[0].rgb).mean() > 0.9
    truth = walked(FRAMES, 60.0)
    numbers = [int(re.findall(r"\d+", shot.name)[0]) for shot in shots]
    assert numbers == sorted(set(numbers))
    found = find_poses(shots, files.in_sequence, 40.0, 0, Progress())
    assert all(p is not None for p in found.placed)
    assert from_truth(found, [truth[number] for number in numbers])[1] < 0.02 * DISTANCE


def test_frames_are_sharp_and_evenly_spread() -> None:
    way = np.concatenate([np.linspace(0, 1, 11), np.ones(40), np.linspace(1, 2, 11)])  # it stops on its way
    sharp = np.ones(len(way))
    sharp[[3, 20, 57]] = 5
    chosen = spread(way, sharp, 4)
    assert chosen[0] == 0
    assert len(chosen) == 4
    assert {20, 57} <= set(chosen)
    assert np.diff(way[chosen]).max() < 0.9


def test_a_take_opens_its_pictures_and_its_video(
    video: Path, tmp_path: Path, views: list[CapturedView]
) -> None:
    for view in views[:3]:
        Image.fromarray(view.rgb).save(tmp_path / view.name)
    things = (ObjectSpec("ball", (Click(5, 5),)),)
    take = Take("t", "0.png", things, scene=SceneSettings(views=("1.png", "2.png")))
    source = open_source(tmp_path / "0.png", take)
    assert source.reconstructor == "shots"
    assert [path.name for path in source.files] == ["0.png", "1.png", "2.png"]
    assert [shot.name for shot in source.given.read(Progress())] == ["0.png", "1.png", "2.png"]
    film = Take("t", "turn.mp4", things)
    source = open_source(video, film)
    assert source.given == ShotFiles((video,), film.scene.video_frames)
    assert (front_picture(video, film)[0] == first_frame(video)).all()


def refused(shots: list[Shot], sentence: str, fov: float | None = 40.0) -> None:
    with pytest.raises(CaptureError, match=sentence):
        find_poses(shots, False, fov, 0, Progress())


def test_pictures_without_texture_are_refused(views: list[CapturedView]) -> None:
    plain = [Shot(view.name, np.full_like(view.rgb, 120)) for view in views[:4]]
    refused(plain, r"0\.png has too little texture .* newspaper")


def test_pictures_with_nothing_in_common_are_refused(views: list[CapturedView]) -> None:
    noise = np.random.default_rng(0)
    strange = [
        Shot(f"{i}.png", np.kron(noise.integers(0, 255, (45, 60, 3)), np.ones((4, 4, 1))).astype(np.uint8))
        for i in range(4)
    ]
    refused(strange, r"0\.png and 3 others share too little .* smaller steps")


def test_a_camera_that_turns_on_the_spot_is_refused() -> None:
    place = MIDDLE + np.array([0, -0.45, 0.25])
    views = [
        seen_by(looking(place, MIDDLE + np.array([x, 0, 0]), *SIZE), f"{i}.png", SOLIDS, grained)
        for i, x in enumerate((-0.06, -0.02, 0.02, 0.06))
    ]
    refused(shots_of(views), "turned on the spot")


def test_something_that_moves_is_refused() -> None:
    """The ball goes round the other way, and fills much of the picture."""
    views = []
    for index, view in enumerate(walked(6, 60.0)):
        ball = Ball((-0.05 + 0.012 * index, -0.08, 0.05 + 0.008 * index), 0.07)
        solids = {"ball": [ball], "box": [Box((0.03, 0.04, 0), (0.12, 0.09, 0.06))]}
        moved = {"ball": [Ball((0, 0, 0), 0.07)]}
        drawn = seen_by(view.camera, view.name, solids, grained)
        inside = drawn.objects == 0
        # its pattern moves with it
        shifted = looking(view.camera.position - np.array(ball.centre), MIDDLE - np.array(ball.centre), *SIZE)
        alone = seen_by(shifted, view.name, moved, grained)
        views.append(replace(drawn, rgb=np.where(inside[..., None], alone.rgb, drawn.rgb)))
    refused(shots_of(views), r"Something moves between the pictures, in \d\.png around")


@pytest.mark.slow
def test_strangers_among_the_pictures_are_named(views: list[CapturedView]) -> None:
    strangers = walked(3, 40.0, {"other": [Box((-0.2, -0.2, 0), (0.2, 0.2, 0.1))]})
    mixed = shots_of(views[:5]) + [Shot(f"other_{v.name}", v.rgb) for v in strangers]
    refused(mixed, r"(Only 5 of 8 pictures fit together; other_0|other_0\.png and 2 others share)")


def test_pictures_of_several_sizes_have_no_common_lens(views: list[CapturedView]) -> None:
    shots = shots_of(views[:3])
    shots[1] = replace(shots[1], rgb=shots[1].rgb[:160])
    refused(shots, "differ in size")


def test_videos_that_are_refused(tmp_path: Path, views: list[CapturedView]) -> None:
    still = tmp_path / "still.mp4"
    write_video(still, [views[0].rgb] * 12, 12, SIZE)
    with pytest.raises(CaptureError, match=r"camera hardly moves in still\.mp4"):
        chosen_frames(still, 8, 640, Progress())
    short = tmp_path / "short.mp4"
    write_video(short, [view.rgb for view in views[:3]], 12, SIZE)
    with pytest.raises(CaptureError, match=r"short\.mp4 has 3 frames"):
        chosen_frames(short, 8, 640, Progress())
    (tmp_path / "torn.mp4").write_bytes(b"no video at all")
    with pytest.raises(CaptureError, match=r"torn\.mp4 is no video that can be read"):
        chosen_frames(tmp_path / "torn.mp4", 8, 640, Progress())
    with pytest.raises(CaptureError, match="no video at"):
        first_frame(tmp_path / "gone.mp4")


def test_an_unmarked_object_is_refused_before_the_work_begins(video: Path) -> None:
    take = Take("t", "turn.mp4", (ObjectSpec("ball"),))
    with pytest.raises(CaptureError, match="'ball' no click"):
        ShotsReconstructor().reconstruct(ShotFiles((video,), 8), take, Progress())
