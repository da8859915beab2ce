"""What says that pictures cannot be of one still scene, or do not show enough of it, each in a sentence with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.reconstruct.epipolar import sampson_distance

if TYPE_CHECKING:
    from perpetua.reconstruct.poses.colmap import Placed
    from perpetua.reconstruct.poses.shot import Shot

Array = NDArray[np.float64]

FEWEST_POINTS = 100
"""In a picture, to find again in others."""
FEWEST_MATCHES = 30
"""Between two pictures, for one to say where the other was taken."""
LEAST_PLACED = 0.7
"""Share of the pictures that must be placed."""
LEAST_WAY = 0.05
"""Of the cameras' distance from what they see, that they must stand apart."""
MOST_TURNED = 0.6
"""Share of the pairs of pictures that may differ by a turn of the camera alone."""
FLAT = 0.75
"""Share of what looks alike in two pictures that one plane, or a turn, explains, from which nothing else need be there."""
CELLS = 10
"""Along a picture's longer side, in which matches are looked at together."""
FEWEST_IN_CELL = 8
ASTRAY = 0.004
"""Of a picture's width: distance from where a still point would lie on."""
MOST_ASTRAY = 0.5
"""Share of a cell's matches that may go astray: beyond it, what it shows moves."""
FEWEST_CELLS = 3
"""In all pictures, in which something moves."""
MOVING_SHARE = 0.03
"""Of the cells that were looked at."""


@dataclass(frozen=True)
class Matches:
    """Points that look alike in two shots, by index: a, b: [N, 2] pixels.  agree: how many fit a motion of the camera."""

    first: int
    second: int
    a: Array
    b: Array
    agree: int


def check_texture(shots: Sequence[Shot], counts: Sequence[int]) -> None:
    """Raise ``CaptureError`` if the pictures show too little to find again. counts: points found in each."""
    plain = [shot.name for shot, count in zip(shots, counts, strict=True) if count < FEWEST_POINTS]
    if len(shots) - len(plain) < 3 or len(plain) > (1 - LEAST_PLACED) * len(shots):
        raise CaptureError(
            f"{plain[0]} has too little texture to find where it was taken from ({min(counts)} points; {FEWEST_POINTS} are needed). Lay "
            "something patterned, such as a newspaper, under the objects, use more light, or give a capture with cameras."
        )


def check_overlap(shots: Sequence[Shot], matches: Sequence[Matches]) -> None:
    """Raise ``CaptureError`` if too few pictures show the same things."""
    most = np.zeros(len(shots), np.int64)
    for pair in matches:
        most[pair.first] = max(most[pair.first], pair.agree)
        most[pair.second] = max(most[pair.second], pair.agree)
    alone = np.flatnonzero(most < FEWEST_MATCHES)
    if len(alone) > (1 - LEAST_PLACED) * len(shots):
        raise CaptureError(
            f"{shots[alone[0]].name} and {len(alone) - 1} others share too little with the other pictures ({int(most[alone[0]])} points; "
            f"{FEWEST_MATCHES} are needed). Take more pictures with smaller steps between them, all of the same still scene."
        )


def check_walked(shots: Sequence[Shot], placed: Sequence[Placed | None], matches: Sequence[Matches]) -> None:
    """Raise ``CaptureError`` if the camera turned on the spot: where cameras are placed they stand together, or they could not be placed
    since pictures differ by no more than a turn."""
    places = [np.linalg.inv(each.world_to_camera)[:3, 3] for each in placed if each is not None]
    strong = [pair for pair in matches if pair.agree >= FEWEST_MATCHES]
    if len(places) >= 3:
        turned = float(np.ptp(places, axis=0).max()) < LEAST_WAY
    else:
        turned = bool(strong) and float(np.mean([_flat(shots, pair) for pair in strong])) > MOST_TURNED
    if turned:
        raise CaptureError(
            "The camera turned on the spot or hardly moved, so nothing can be told about depth; walk around the objects while you "
            "take the pictures."
        )


def check_all_placed(shots: Sequence[Shot], placed: Sequence[bool], matches: Sequence[Matches]) -> None:
    """Raise ``CaptureError`` if too few pictures could be placed, or not the one that is clicked in."""
    lost = [shot.name for shot, good in zip(shots, placed, strict=True) if not good]
    if sum(placed) < max(3, LEAST_PLACED * len(shots)):
        raise CaptureError(
            f"Only {sum(placed)} of {len(shots)} pictures fit together; {lost[0]} is among those that do not. Leave out pictures of "
            "another scene, of another zoom or blurred ones, and take more with smaller steps between them; a known lens "
            "(`horizontal_fov_degrees`) that is wrong also does this."
        )
    if not placed[0]:
        raise CaptureError(
            f"{shots[0].name}, in which the objects are clicked, does not fit together with the others; begin with a picture that shows "
            "what the others show."
        )


def check_still(shots: Sequence[Shot], placed: Sequence[Placed | None], matches: Sequence[Matches]) -> None:
    """Raise ``CaptureError`` if something moves: places in the pictures where most of what looks alike lies where no still point
    could."""
    cells: dict[tuple[int, int, int], list[bool]] = {}
    for pair in matches:
        first, second = placed[pair.first], placed[pair.second]
        if first is None or second is None or pair.agree < FEWEST_MATCHES:
            continue
        width = shots[pair.first].rgb.shape[1]
        wrong = _from_epipolar(pair, first, second) > ASTRAY * width
        side = max(shots[pair.first].rgb.shape[:2]) / CELLS
        for (x, y), bad in zip((pair.a / side).astype(int), wrong, strict=True):
            cells.setdefault((pair.first, int(x), int(y)), []).append(bool(bad))
    looked = {key: found for key, found in cells.items() if len(found) >= FEWEST_IN_CELL}
    moving = [key for key, found in looked.items() if np.mean(found) > MOST_ASTRAY]
    if len(moving) < FEWEST_CELLS or len(moving) < MOVING_SHARE * len(looked):
        return
    where = max(moving, key=lambda key: len(looked[key]))
    side = max(shots[where[0]].rgb.shape[:2]) / CELLS / shots[where[0]].scale
    x, y = ((where[1] + 0.5) * side, (where[2] + 0.5) * side)
    raise CaptureError(
        f"Something moves between the pictures, in {shots[where[0]].name} around ({x:.0f}, {y:.0f}); take them of a scene that stands "
        "still, or leave out the frames in which it moves."
    )


def _flat(shots: Sequence[Shot], pair: Matches) -> bool:
    """Whether one plane, or a turn of the camera, explains what the two have in common."""
    width = shots[pair.first].rgb.shape[1]
    _, fit = cv2.findHomography(pair.a, pair.b, cv2.RANSAC, ASTRAY * width)
    return fit is not None and float(fit.mean()) > FLAT


def _from_epipolar(pair: Matches, first: Placed, second: Placed) -> Array:
    """[N] pixels, Sampson's distance of each match from where a still point would lie."""
    relative = second.world_to_camera @ np.linalg.inv(first.world_to_camera)
    focal = np.sqrt(first.K[0, 0] * second.K[0, 0])
    return np.asarray(focal * sampson_distance(_straight(pair.a, first), _straight(pair.b, second), relative))


def _straight(pixels: Array, placed: Placed) -> Array:
    """[N, 3] directions (x, y, 1) in the camera, without distortion."""
    coefficients = np.array([placed.distortion, 0, 0, 0])
    found = cv2.undistortPoints(pixels[:, None], placed.K, coefficients)[:, 0]
    return np.concatenate([found, np.ones((len(found), 1))], 1)
