"""Read a picture from disk into the form the engine works on: upright, 8-bit sRGB, of bounded width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from perpetua.errors import PictureError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.images import reduced

MIN_SIDE = 32
"""Pixels; below this an object has no outline to speak of."""
MAX_FILE_PIXELS = 400_000_000
"""Largest picture that is decoded (20,000 x 20,000); one channel of float32 is then 1.6 GB."""
BACKDROP = 255
"""What lies behind transparent pixels: white."""


def load_picture(path: str | Path, max_width: int = 2048, name: str | None = None) -> Picture:
    """Read ``path`` upright and no wider than ``max_width`` pixels. ``name`` is what the artist calls the file, if it lies
    under another name here.

    Any format Pillow reads; 16-bit and grey pictures become 8-bit RGB, transparency is laid over white, and EXIF
    orientation is applied. Raises ``PictureError`` with a sentence that says what to do.
    """
    path = Path(path)
    name = name or path.name
    if not path.is_file():
        raise PictureError(f"There is no picture at {path}; check the path of the take's picture.")
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_FILE_PIXELS:
                raise PictureError(
                    f"{name} is {image.width} x {image.height} pixels; save it smaller, 8192 wide is plenty."
                )
            focal = _focal_35mm(image)
            rgb = _to_rgb8(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(
            f"{name} cannot be read as a picture ({error}); save it as PNG or JPEG."
        ) from error
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PictureError(
            f"{name} is {width} x {height} pixels; use a picture of at least {MIN_SIDE} x {MIN_SIDE}."
        )
    scale = min(1.0, max_width / width)
    if scale < 1.0:
        size = (round(width * scale), max(1, round(height * scale)))
        if min(size) < MIN_SIDE:
            raise PictureError(
                f"{name} is {width} x {height} pixels, too narrow a strip to use; crop it to a usual shape."
            )
        rgb = reduced(rgb, *size)
        scale = size[0] / width
    return Picture(np.ascontiguousarray(rgb), scale, focal, path)


def _to_rgb8(image: Image.Image) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 from any Pillow mode."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("it holds values that are no finite numbers")
        top = 1.0 if values.max() <= 1.0 else 255.0 if values.max() <= 255.0 else 65535.0
        grey = np.clip(values / top * 255.0 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2)
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (BACKDROP, BACKDROP, BACKDROP, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"))


def _focal_35mm(image: Image.Image) -> float | None:
    """mm, the 35 mm equivalent focal length in the EXIF data, or None."""
    tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    value = tags.get(ExifTags.Base.FocalLengthIn35mmFilm)
    if not isinstance(value, int | float) or not 5.0 <= float(value) <= 2000.0:
        return None
    return float(value)
