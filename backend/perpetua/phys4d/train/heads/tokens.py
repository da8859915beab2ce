"""Tokens of a video transformer, laid out in time and space."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """times, rows, columns: of the tokens, which follow each other in that order.  frames: that a token stands for; the first token
    may stand for fewer, its last ones."""

    times: int
    rows: int
    columns: int
    frames: int

    @property
    def tokens(self) -> int:
        return self.times * self.rows * self.columns


def unpatchify(tokens: Tensor, grid: Grid, cells: int, count: int) -> Tensor:
    """[B, count, C, rows cells, columns cells]: tokens [B, N, frames C cells cells] as the last ``count`` frames of a video, ``cells``
    of a token across and down."""
    B, _, features = tokens.shape
    channels = features // (grid.frames * cells * cells)
    t = tokens.reshape(B, grid.times, grid.rows, grid.columns, grid.frames, channels, cells, cells)
    t = t.permute(0, 1, 4, 5, 2, 6, 3, 7)
    video = t.reshape(B, grid.times * grid.frames, channels, grid.rows * cells, grid.columns * cells)
    return video[:, -count:]


def maps(tokens: Tensor, grid: Grid) -> Tensor:
    """[B times, C, rows, columns] of tokens [B, N, C]."""
    B, _, channels = tokens.shape
    t = tokens.reshape(B, grid.times, grid.rows, grid.columns, channels)
    return t.permute(0, 1, 4, 2, 3).reshape(B * grid.times, channels, grid.rows, grid.columns)
