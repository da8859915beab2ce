"""Every kind of file a person may hand over becomes an upright 8-bit picture or one clear sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from perpetua.errors import PictureError
from perpetua.reconstruct.picture import load_picture


def gradient(width: int = 64, height: int = 48) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], -1).astype(np.uint8)


def test_reads_rgb_exactly(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    picture = load_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.rgb, gradient())
    assert picture.scale == 1.0
    assert picture.focal_35mm is None


def test_missing_file_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"no picture at .*nothing\.png"):
        load_picture(tmp_path / "nothing.png")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no picture"):
        load_picture(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\nbroken"])
def test_not_a_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match="cannot be read as a picture"):
        load_picture(tmp_path / "a.png")


def test_cut_off_file(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="cannot be read"):
        load_picture(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 8)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match=f"{size[0]} x {size[1]}"):
        load_picture(tmp_path / "a.png")


def test_sixteen_bits(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = load_picture(tmp_path / "a.png")
    assert picture.rgb.dtype == np.uint8
    assert np.abs(picture.rgb[..., 0].astype(float) - values / 257.0).max() <= 1.0


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), gradient()[..., ::-1].astype(np.uint16) * 257)
    picture = load_picture(tmp_path / "a.png")
    assert np.abs(picture.rgb.astype(int) - gradient().astype(int)).max() <= 1


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    values = np.full((48, 64), 0.5, np.float32)
    values[3, 5] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(PictureError, match="no finite numbers"):
        load_picture(tmp_path / "a.tif")


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "a.png")
    rgb = load_picture(tmp_path / "a.png").rgb
    np.testing.assert_array_equal(rgb[..., 0], gradient()[..., 0])
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[:, :32] = [200, 10, 10, 255]
    Image.fromarray(rgba).save(tmp_path / "a.png")
    rgb = load_picture(tmp_path / "a.png").rgb
    assert (rgb[:, :32] == [200, 10, 10]).all()
    assert (rgb[:, 32:] == 255).all()


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(gradient()).quantize(16)
    image.save(tmp_path / "a.gif", transparency=0)
    assert load_picture(tmp_path / "a.gif").rgb.shape == (48, 64, 3)


def test_twelve_thousand_wide_is_reduced(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(gradient(64, 40), 190, 1)[:, :12000]).save(tmp_path / "a.png")
    picture = load_picture(tmp_path / "a.png", max_width=10240)
    assert picture.rgb.shape == (34, 10240, 3)
    assert picture.scale == pytest.approx(10240 / 12000)


def test_a_strip_that_reduces_to_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (12000, 40)).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match="narrow a strip"):
        load_picture(tmp_path / "a.png")


def test_exif_orientation_and_focal_length(tmp_path: Path) -> None:
    image = Image.fromarray(gradient())
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned a quarter to the right
    exif.get_ifd(0x8769)[0xA405] = 50
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = load_picture(tmp_path / "a.jpg")
    assert picture.rgb.shape == (64, 48, 3)
    assert picture.focal_35mm == 50.0
    expected = np.rot90(gradient(), -1).astype(int)
    assert np.abs(picture.rgb.astype(int) - expected).mean() < 4


def test_the_artists_name_of_the_file_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "816b1b.png")
    with pytest.raises(PictureError, match=r"^one\.png is 1 x 1"):
        load_picture(tmp_path / "816b1b.png", name="one.png")
