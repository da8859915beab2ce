"""Videos and animation renders: every frame is its own, in background, with Blender's settings left as they were."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import splat_engine
from toy_cache import radiance, write_arrays

from perpetua_protocol.cache import SH_C0, RoundRecord


@pytest.fixture
def moving_dot(tmp_path: Path) -> Path:
    """One white splat that goes to the right by 1 cm a frame over a dark wall; rounds of 5 and 4 frames."""
    arrays: dict[str, np.ndarray] = {}
    records, start = [], 0
    for index, frames in enumerate((1, 5, 4)):
        x = -0.05 + 0.01 * (start + np.arange(frames))
        position = np.zeros((frames, 6, 3), np.float32)
        position[:, :, 0] = x[:, None]
        folder = f"round_{index:03d}"
        arrays |= {
            f"{folder}/position.npy": position,
            f"{folder}/rotation.npy": np.tile(np.array([1, 0, 0, 0], np.float32), (frames, 6, 1)),
            f"{folder}/scale.npy": np.full((frames, 6, 3), 0.02, np.float32),
            f"{folder}/radiance_base.npy": radiance(np.ones((6, 3)), 0.99),
        }
        records.append(RoundRecord(index, start, frames, folder, "d" * 64, "5" * 64, 1.0))
        start += frames
    arrays |= {
        "background/position.npy": np.tile(np.array([0, 0.5, 0], np.float32), (6, 1)),
        "background/rotation.npy": np.tile(np.array([1, 0, 0, 0], np.float32), (6, 1)),
        "background/scale.npy": np.full((6, 3), 0.8, np.float32),
        "background/radiance_base.npy": radiance(np.full((6, 3), 0.1), 0.99),
    }
    return write_arrays(tmp_path / "cache", arrays, records, 6, 6)


def centre_column(path: Path, frame: int | None = None) -> tuple[float, int]:
    """Mean column of what is brighter than the wall, and the number of frames."""
    clip = bpy.data.movieclips.load(str(path)) if frame is not None else None
    image = bpy.data.images.load(str(path), check_existing=False)
    duration = clip.frame_duration if clip else 1
    if clip:
        bpy.data.movieclips.remove(clip)
        image.source = "MOVIE"
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], 4)[..., 0]
    bpy.data.images.remove(image)
    bright = np.clip(pixels - 0.3, 0, None)
    return float((bright * (np.arange(pixels.shape[1]) + 0.5)).sum() / bright.sum()), duration


def prepare(cache: Path) -> bpy.types.Scene:
    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(cache))
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    return scene


def expected_column(take_frame: int) -> float:
    focal = 32 / np.tan(np.radians(20))
    return 32 + (-0.05 + 0.01 * take_frame) * focal


def test_animation_renders_wait_for_their_frame(moving_dot: Path, tmp_path: Path) -> None:
    scene = prepare(moving_dot)
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    for number in range(10):
        column, _ = centre_column(tmp_path / f"frame_{scene.frame_start + number:04d}.png")
        assert column == pytest.approx(expected_column(number), abs=0.1), number


def test_every_camera_and_round_becomes_a_video(moving_dot: Path, tmp_path: Path) -> None:
    scene = prepare(moving_dot)
    bpy.ops.perpetua.add_cameras(degrees=20)
    scene.render.filepath = "//kept_"
    scene.frame_set(3)
    bpy.ops.perpetua.render_views(directory=str(tmp_path / "views"), frames=True)
    names = sorted(p.name for p in (tmp_path / "views").glob("*.mp4"))
    assert names == sorted(f"round_{n}_{c}.mp4" for n in (1, 2) for c in ("front", "left", "right"))
    for round_, start, frames in ((1, 1, 5), (2, 6, 4)):
        column, count = centre_column(tmp_path / "views" / f"round_{round_}_front.mp4", 1)
        assert count == frames
        assert column == pytest.approx(expected_column(start), abs=1.0)
        for number in range(start, start + frames):
            column, _ = centre_column(tmp_path / "views" / f"round_{round_}_front" / f"{number:04d}.png")
            assert column == pytest.approx(expected_column(number), abs=0.1)
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1, 10, 3)
    assert scene.perpetua.frame_offset == 0
    assert (scene.render.filepath, scene.render.engine) == ("//kept_", splat_engine.ENGINE)
    assert scene.camera.name == "Perpetua front"


def test_wall_keeps_its_colour(moving_dot: Path, tmp_path: Path) -> None:
    assert radiance(np.array([[0.1, 0.1, 0.1]]), 1)[0, 0] * SH_C0 + 0.5 == pytest.approx(0.1)
    scene = prepare(moving_dot)
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(tmp_path / "still.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(tmp_path / "still.png"))
    corner = np.array(image.pixels[:4]) * 255
    np.testing.assert_allclose(corner[:3], 25.5, atol=2)
