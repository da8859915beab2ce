"""Pictures of one scene as they were taken: from files, or out of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perpetua.progress import Progress
from perpetua.reconstruct.picture import load_picture
from perpetua.reconstruct.poses.frames import chosen_frames
from perpetua.reconstruct.poses.shot import Shot

LARGEST_WIDTH = 1280
"""Pixels; more finds no better poses for an object on a table, and takes longer."""
FILM_WIDTH_MM = 36.0


@dataclass(frozen=True)
class ShotFiles:
    """Where shots come from: files, of which the first is clicked in, or one video of which at most ``frames`` are used."""

    files: tuple[Path, ...]
    frames: int | None = None

    @property
    def in_sequence(self) -> bool:
        """Whether each shot was taken near the one before."""
        return self.frames is not None

    def read(self, progress: Progress) -> list[Shot]:
        """The shots. Raises ``PictureError`` or ``CaptureError``."""
        if self.frames is None:
            return [_picture(path) for path in self.files]
        return chosen_frames(self.files[0], self.frames, LARGEST_WIDTH, progress)


def _picture(path: Path) -> Shot:
    picture = load_picture(path, LARGEST_WIDTH)
    width = picture.rgb.shape[1]
    focal = None if picture.focal_35mm is None else picture.focal_35mm / FILM_WIDTH_MM * width
    return Shot(path.name, picture.rgb, picture.scale, focal)
