"""Videos handed to another program and taken back from it, and what is put right or refused on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from perpetua.errors import RefinerError, WaitingForFiles
from perpetua.mp4 import read_video, write_video
from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo, RoundContext, VideoName
from perpetua.refine.files.hand_over import mask_folders, write_picture
from perpetua.refine.files.refiner import FilesRefiner, folder_of
from perpetua.scene import Camera, Scene

FRAMES, HEIGHT, WIDTH, FPS = 7, 48, 80, 24.0


@pytest.fixture(autouse=True)
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERPETUA_EXCHANGE", str(tmp_path))
    return tmp_path


@pytest.fixture
def video() -> RenderedVideo:
    """A disc that moves over a table with a pattern, and its flow."""
    camera = Camera(np.array([[70.0, 0, 40], [0, 70, 24], [0, 0, 1]]), np.eye(4), WIDTH, HEIGHT, "left")
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    table = 0.5 + 0.3 * np.sin(x / 5) * np.cos(y / 4)
    rgb = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.float32)
    alpha = np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
    for frame in range(FRAMES):
        disc = (x - 25 - 2 * frame) ** 2 + (y - 24) ** 2 < 100
        alpha[frame] = disc
        rgb[frame] = np.where(disc[..., None], np.float32([0.9, 0.5, 0.1]), table[..., None])
    flow = np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = 2 * alpha[:-1]
    masks = np.stack([alpha, np.zeros_like(alpha)], -1)
    return RenderedVideo(camera, rgb, alpha, 3 - alpha, flow, masks, "0123456789abcdef")


@pytest.fixture
def context(scene: Scene, context_from: Callable[..., RoundContext]) -> RoundContext:
    return replace(context_from(scene, scene.rest_state(), 2), take="shot", fps=FPS)


@pytest.fixture
def folder(video: RenderedVideo, context: RoundContext) -> Path:
    """Where the view is handed over: what a first bake leaves."""
    with pytest.raises(WaitingForFiles) as waiting:
        refined(video, context)
    (named,) = waiting.value.folders
    assert named in str(waiting.value)
    return Path(named)


def refined(
    video: RenderedVideo, context: RoundContext, said: list[str] | None = None, **options: str
) -> np.ndarray:
    progress = Progress(lambda _, __, text: None if said is None else said.append(text))
    return FilesRefiner(**options).refine(video, context, {}, progress)


def give_pictures(folder: Path, frames: np.ndarray, name: str = "frame_{:04d}.png") -> None:
    for number, frame in enumerate(frames):
        write_picture(folder / "refined" / name.format(number), (frame * 255 + 0.5).astype(np.uint8))


def give_movie(folder: Path, frames: np.ndarray, fps: float = FPS, name: str = "refined.mp4") -> None:
    size = frames.shape[2], frames.shape[1]
    write_video(folder / name, ((f * 255 + 0.5).astype(np.uint8) for f in frames), fps, size)


def test_a_camera_that_moves_is_told_frame_by_frame(
    exchange: Path, video: RenderedVideo, context: RoundContext
) -> None:
    way = tuple(video.camera.orbited(float(k), np.zeros(3), "turn", "front") for k in range(len(video.rgb)))
    with pytest.raises(WaitingForFiles):
        refined(replace(video, cameras=way, key="turning"), context)
    (path,) = exchange.rglob("request.json")
    told = json.loads(path.read_text())["cameras"]
    for camera, given in zip(way, told, strict=True):
        np.testing.assert_allclose(given["world_to_camera_opencv"], camera.world_to_camera)


def test_all_that_another_program_may_want_is_handed_over(
    exchange: Path, video: RenderedVideo, context: RoundContext
) -> None:
    with pytest.raises(WaitingForFiles, match=r"README\.txt"):
        refined(video, context, prompt="a clay disc")
    folder = exchange / "shot" / "round_02_left_0123456789"
    assert folder == folder_of(VideoName("shot", 2, "left", video.key))
    request = json.loads((folder / "request.json").read_text())
    assert (request["frames"], request["width"], request["height"], request["fps"]) == (7, 80, 48, 24)
    assert request["prompt"] == "a clay disc"
    assert request["objects"] == request["mask_folders"] == ["jelly", "block"]
    np.testing.assert_array_equal(request["camera"]["K"], video.camera.K)

    frame = cv2.imread(str(folder / "coarse" / "frame_0003.png"))[..., ::-1]
    np.testing.assert_allclose(frame / 255, video.rgb[3], atol=0.5 / 255 + 1e-6)
    movie = read_video(folder / "coarse.mp4")
    assert movie.frames.shape == video.rgb.shape
    assert movie.fps == 24
    assert np.abs(movie.frames / 255 - video.rgb).mean() < 0.02

    near = cv2.imread(str(folder / "depth" / "frame_0000.png"), cv2.IMREAD_UNCHANGED)
    assert near.dtype == np.uint16
    assert (near[24, 25], near[2, 2]) == (65535, 0), "the disc is nearer than the table"
    np.testing.assert_array_equal(np.load(folder / "depth.npz")["depth"], video.depth)

    data = (folder / "flow" / "frame_0001.flo").read_bytes()
    assert data[:4] == b"PIEH"
    assert tuple(np.frombuffer(data[4:12], "<i4")) == (80, 48)
    np.testing.assert_array_equal(np.frombuffer(data[12:], "<f4").reshape(48, 80, 2), video.flow[1])
    mask = cv2.imread(str(folder / "masks" / "jelly" / "frame_0002.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, video.alpha[2] * 255)
    assert f"{FRAMES} pictures" in (folder / "README.txt").read_text()
    assert not list((exchange / "shot").glob(".*")), "nothing half written stays"


def test_masks_stay_in_the_folder_whatever_objects_are_called() -> None:
    names = ["jelly", "../../jelly", "a/b", "Jelly", "..", "cup of tea"]
    assert mask_folders(names) == ["jelly", "object_1", "object_2", "object_3", "object_4", "cup of tea"]


def test_pictures_come_back(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    better = video.rgb**1.2
    give_pictures(folder, better)
    np.testing.assert_allclose(refined(video, context), better, atol=0.5 / 255 + 1e-6)


def test_pictures_are_in_the_order_of_their_numbers(
    folder: Path, video: RenderedVideo, context: RoundContext
) -> None:
    twelve = replace(video, rgb=np.concatenate([video.rgb, video.rgb])[:12])
    give_pictures(folder, twelve.rgb, "out_{}.png")  # a folder lists them as 0, 1, 10, 11, 2
    np.testing.assert_allclose(refined(twelve, context), twelve.rgb, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("name", ["refined.mp4", "refined.mkv"])
def test_a_movie_comes_back(folder: Path, video: RenderedVideo, context: RoundContext, name: str) -> None:
    give_movie(folder, video.rgb, name=name)
    assert np.abs(refined(video, context) - video.rgb).mean() < 0.02


def test_other_files_are_another_refined_video(
    folder: Path, video: RenderedVideo, context: RoundContext
) -> None:
    name = VideoName("shot", 2, "left", video.key)
    assert FilesRefiner().inputs(name) == {}
    give_pictures(folder, video.rgb)
    first = FilesRefiner().inputs(name)
    assert len(first) == FRAMES
    write_picture(folder / "refined" / "frame_0003.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert FilesRefiner().inputs(name) != first
    assert FilesRefiner().inputs(replace(name, key="another")) == {}, "another coarse video waits for its own"


def test_what_systems_hide_beside_pictures_is_not_looked_at(
    folder: Path, video: RenderedVideo, context: RoundContext
) -> None:
    give_pictures(folder, video.rgb)
    for name in (".DS_Store", "._frame_0003.png"):
        (folder / "refined" / name).write_bytes(b"x")
    np.testing.assert_allclose(refined(video, context), video.rgb, atol=0.5 / 255 + 1e-6)


# -- put right, and said --------------------------------------------------------------------------------------


def larger(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.clip([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in frames], 0, 1)


def test_another_size_of_the_same_shape(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    said: list[str] = []
    give_pictures(folder, larger(video.rgb, 160, 96))
    assert np.abs(refined(video, context, said) - video.rgb).mean() < 0.02
    assert "160x96 pixels are resampled to 80x48" in said


def test_another_frame_rate(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    """Thirteen frames at 48 a second last as long as seven at 24."""
    said: list[str] = []
    between = (video.rgb[:-1] + video.rgb[1:]) / 2
    twice = np.empty((13, *video.rgb.shape[1:]), np.float32)
    twice[::2], twice[1::2] = video.rgb, between
    give_movie(folder, twice, fps=48)
    assert np.abs(refined(video, context, said) - video.rgb).mean() < 0.02
    assert "13 frames at 48 a second are blended to 7 at 24" in said


def test_a_few_frames_too_many(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    said: list[str] = []
    give_pictures(folder, np.concatenate([video.rgb, video.rgb[-1:], video.rgb[-1:]]))
    np.testing.assert_allclose(refined(video, context, said), video.rgb, atol=0.5 / 255 + 1e-6)
    assert "2 frames too many at the end are cut" in said


def test_the_rate_of_a_movie_with_the_right_frames_is_not_looked_at(
    folder: Path, video: RenderedVideo, context: RoundContext
) -> None:
    give_movie(folder, video.rgb, fps=16)
    assert np.abs(refined(video, context) - video.rgb).mean() < 0.02


# -- refused ----------------------------------------------------------------------------------------------------


def refusal(video: RenderedVideo, context: RoundContext) -> str:
    with pytest.raises(RefinerError) as refused:
        refined(video, context)
    assert not isinstance(refused.value, WaitingForFiles)
    return str(refused.value)


def test_a_missing_frame(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, video.rgb)
    (folder / "refined" / "frame_0004.png").unlink()
    assert "Frame 4 is missing" in refusal(video, context)


def test_frames_that_end_too_early(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, video.rgb[:5])
    assert "holds 5 frames and the round has 7" in refusal(video, context)


def test_a_movie_of_another_length(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_movie(folder, video.rgb[:4], fps=30)
    assert "lasts 0.10 s" in refusal(video, context)


def test_another_shape(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, larger(video.rgb, 96, 96))
    assert "96x96 and the view 80x48, which is another shape" in refusal(video, context)


def test_a_frame_of_another_size(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, video.rgb)
    write_picture(folder / "refined" / "frame_0002.png", np.zeros((10, 10, 3), np.uint8))
    assert "frame_0002.png is 10x10" in refusal(video, context)


@pytest.mark.parametrize("damage", [b"", b"no picture"])
def test_a_damaged_picture(folder: Path, video: RenderedVideo, context: RoundContext, damage: bytes) -> None:
    give_pictures(folder, video.rgb)
    (folder / "refined" / "frame_0002.png").write_bytes(damage)
    assert "frame_0002.png is not a picture" in refusal(video, context)


@pytest.mark.parametrize("deep", [np.uint8, np.uint16])
def test_alpha_is_no_matter_where_it_hides_nothing(
    folder: Path, video: RenderedVideo, context: RoundContext, deep: type
) -> None:
    """Many programs write it whatever is in it."""
    most = np.iinfo(deep).max

    def give(see_through: int) -> None:
        (folder / "refined").mkdir(exist_ok=True)
        for number, frame in enumerate(video.rgb):
            image = np.full((HEIGHT, WIDTH, 4), most, deep)
            image[..., :3] = frame[..., ::-1] * most
            image[:5, :, 3] -= deep(see_through)
            cv2.imwrite(str(folder / "refined" / f"frame_{number:04d}.png"), image)

    give(0)
    np.testing.assert_allclose(refined(video, context), video.rgb, atol=1 / 255)
    give(most // 2)
    with pytest.raises(RefinerError, match=r"frame_0000.png is see-through in places"):
        refined(video, context)


def test_a_damaged_movie(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    (folder / "refined.mp4").write_bytes(b"no movie" * 100)
    assert "refined.mp4 is not a video" in refusal(video, context)


def test_black_and_one_black_frame(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, np.zeros_like(video.rgb))
    assert "black video for the view 'left'" in refusal(video, context)
    give_pictures(folder, np.concatenate([video.rgb[:5], np.zeros_like(video.rgb[:2])]))
    assert "whose frame 5 is black" in refusal(video, context)


def test_another_scene(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, np.random.default_rng(0).random(video.rgb.shape))
    assert "shows something else than was rendered" in refusal(video, context)


@pytest.mark.parametrize("name", ["refined.avi", "refined/frame_0000.exr"])
def test_kinds_that_are_not_read(
    folder: Path, video: RenderedVideo, context: RoundContext, name: str
) -> None:
    (folder / "refined").mkdir()
    (folder / name).write_bytes(b"x")
    assert f"{folder / name} is neither" in refusal(video, context)


def test_a_movie_and_pictures(folder: Path, video: RenderedVideo, context: RoundContext) -> None:
    give_pictures(folder, video.rgb)
    give_movie(folder, video.rgb)
    assert "more than one refined video" in refusal(video, context)


def test_pictures_without_or_with_the_same_numbers(
    folder: Path, video: RenderedVideo, context: RoundContext
) -> None:
    give_pictures(folder, video.rgb)
    (folder / "refined" / "frame_0006.png").rename(folder / "refined" / "frame_03.png")
    assert "have the same number" in refusal(video, context)
    (folder / "refined" / "frame_03.png").rename(folder / "refined" / "last.png")
    assert "has no number" in refusal(video, context)


@pytest.mark.parametrize("options", [{"folder": "/tmp"}, {"prompt": 3}])
def test_options_it_does_not_have(options: dict[str, object]) -> None:
    with pytest.raises(RefinerError, match="Refiner 'files'"):
        FilesRefiner(**options)
