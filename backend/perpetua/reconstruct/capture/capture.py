"""Pictures of one still scene from several places, and the checks that they belong together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.reconstruct.images import reduced
from perpetua.scene.cameras import Camera, inverse

Array = NDArray[np.float64]

FAR_M = 1e5
LEAST_CONVERGENCE = 0.02
"""Mean square of the sine of the cameras' axes to their common direction, from which they meet in a place: about eight degrees."""
LEAST_AHEAD = 0.5
"""Share of the cameras that must look towards that place."""
"""Depth from which a pixel counts as seeing nothing (renderers write 1e10 for the sky)."""
FEWEST_VIEWS = 3
"""Pictures below which nothing can be told about the sides."""
SAMPLES = 1500
"""Points of each view that are looked for in the others."""
AGREEMENT = 0.02
"""Relative difference of depth up to which two views agree on a point."""
MOST_DISAGREEMENT = 0.5
"""Share of points that others should see but do not, above which cameras or depth are wrong (occluded points disagree rightly)."""


@dataclass(frozen=True)
class CapturedView:
    """A picture and what is known of it. rgb: [H, W, 3] uint8 sRGB.  depth: [H, W] float32 m along the optical axis, infinite where
    nothing is, or None.  objects: [H, W] int32, the index of the object seen, -1 for none, or None."""

    name: str
    camera: Camera
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    objects: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Capture:
    """views: those to learn from, one of them ``front``, the artist's own.  held_out: views to judge with.  objects: their names by
    index.  points: [N, 3] m of a sparse cloud and colors: [N, 3] in [0, 1], if poses were found from one.  metric: whether a unit
    is a metre."""

    views: tuple[CapturedView, ...]
    front: int = 0
    held_out: tuple[CapturedView, ...] = ()
    objects: tuple[str, ...] = ()
    metric: bool = False
    points: Array = field(default_factory=lambda: np.empty((0, 3)))
    colors: Array = field(default_factory=lambda: np.empty((0, 3)))

    @property
    def front_view(self) -> CapturedView:
        return self.views[self.front]

    @property
    def has_depth(self) -> bool:
        return all(view.depth is not None for view in self.views)

    @property
    def has_objects(self) -> bool:
        return bool(self.objects) and all(view.objects is not None for view in self.views)

    def reduced(self, width: int) -> Capture:
        """The same capture with pictures to learn from that are no wider than ``width`` pixels."""

        def reduce(view: CapturedView) -> CapturedView:
            if view.camera.width <= width:
                return view
            camera = view.camera.resized(width)
            # One pixel stands for all that it takes the place of: a mean of depths lies on no surface.
            rows, columns = (
                (np.arange(new) + 0.5) * old // new
                for new, old in ((camera.height, view.camera.height), (camera.width, view.camera.width))
            )
            nearest = np.ix_(rows.astype(int), columns.astype(int))
            return replace(
                view,
                camera=camera,
                rgb=reduced(view.rgb, camera.width, camera.height),
                depth=None if view.depth is None else view.depth[nearest],
                objects=None if view.objects is None else view.objects[nearest],
            )

        return replace(self, views=tuple(map(reduce, self.views)))

    def moved(self, rotation: Array, shift: Array, scale: float) -> Capture:
        """The same capture in a world where a point x lies at scale * rotation @ x + shift."""

        def move(view: CapturedView) -> CapturedView:
            pose = view.camera.camera_to_world
            after = np.eye(4)
            after[:3, :3] = rotation @ pose[:3, :3]
            after[:3, 3] = scale * rotation @ pose[:3, 3] + shift
            depth = None if view.depth is None else (view.depth * scale).astype(np.float32)
            return replace(view, camera=replace(view.camera, world_to_camera=inverse(after)), depth=depth)

        return replace(
            self,
            views=tuple(map(move, self.views)),
            held_out=tuple(map(move, self.held_out)),
            points=scale * self.points @ rotation.T + shift,
        )


def unprojected(view: CapturedView, pixels: NDArray[np.int64] | None = None) -> Array:
    """[N, 3] m, the points that pixels (row, column) [N, 2] of a view with depth see; all with a finite depth if None."""
    assert view.depth is not None
    if pixels is None:
        pixels = np.argwhere(np.isfinite(view.depth))
    depth: Array = view.depth[pixels[:, 0], pixels[:, 1]].astype(np.float64)
    return view.camera.position + depth[:, None] * rays_of(view.camera, pixels)


def rays_of(camera: Camera, pixels: NDArray[np.int64]) -> Array:
    """[N, 3] world directions, 1 along the optical axis, through the centres of pixels (row, column) [N, 2]."""
    centres: Array = pixels[:, ::-1].astype(np.float64) + 0.5
    return camera.rays(centres)


def check(capture: Capture) -> None:
    """Raise ``CaptureError`` unless the views are enough, fit their cameras, and agree with each other."""
    if len(capture.views) < FEWEST_VIEWS:
        raise CaptureError(
            f"The capture has {len(capture.views)} pictures to learn from; give it {FEWEST_VIEWS} at least, better 20 from all around."
        )
    for view in (*capture.views, *capture.held_out):
        _check_view(view)
    places = np.array([view.camera.position for view in capture.views])
    if np.ptp(places, axis=0).max() < 1e-6:
        raise CaptureError(
            "All cameras of the capture stand in one place, so nothing can be told about depth; move the camera around the object."
        )
    _check_looks_inwards(capture)
    if capture.has_depth:
        _check_agreement(capture)


def _check_looks_inwards(capture: Capture) -> None:
    """The place that all cameras' axes pass nearest to lies ahead of most of them: it lies behind them if their poses are in the axes of
    computer vision (looking along +z) and are read in Blender's (along -z)."""
    places = np.array([view.camera.position for view in capture.views])
    axes = np.array([view.camera.world_to_camera[2, :3] for view in capture.views])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    spread, _ = np.linalg.eigh(across.mean(0))
    if spread[0] < LEAST_CONVERGENCE:  # axes that are nearly parallel meet nowhere in particular
        return
    middle = np.linalg.solve(across.sum(0), (across @ places[:, :, None]).sum(0)[:, 0])
    ahead = ((middle - places) * axes).sum(1) > 0
    if ahead.mean() < LEAST_AHEAD:
        raise CaptureError(
            f"The cameras look away from each other: what they stand around lies behind {int((~ahead).sum())} of {len(ahead)}. Write poses "
            "camera to world in Blender's axes (looking along -z, y up); those of COLMAP and OpenCV look along +z, so turn the signs of their second "
            "and third columns."
        )


def _check_view(view: CapturedView) -> None:
    size = (view.camera.height, view.camera.width)
    if view.rgb.shape != (*size, 3):
        raise CaptureError(
            f"{view.name} is {view.rgb.shape[1]} x {view.rgb.shape[0]} pixels, its camera {size[1]} x {size[0]}; "
            "write the picture's own size into transforms.json."
        )
    for what, image in (("depth", view.depth), ("object mask", view.objects)):
        if image is not None and image.shape != size:
            raise CaptureError(
                f"The {what} of {view.name} is {image.shape[1]} x {image.shape[0]} pixels and the picture {size[1]} x {size[0]}; "
                "write them at one size."
            )
    if view.depth is not None and not (np.isfinite(view.depth) & (view.depth > 0)).any():
        raise CaptureError(f"The depth of {view.name} is empty; write metres along the optical axis.")
    turn = view.camera.world_to_camera[:3, :3]
    if not np.isfinite(view.camera.world_to_camera).all() or abs(np.linalg.det(turn) - 1) > 1e-3:
        raise CaptureError(
            f"The camera of {view.name} is mirrored or scaled (determinant {np.linalg.det(turn):.3g}, not 1); "
            "write a rotation and a place, in Blender's axes."
        )


def _check_agreement(capture: Capture) -> None:
    """Points of each view, as its neighbours with depth see them: mostly at the depth they should have."""
    rng = np.random.default_rng(0)
    worst: tuple[float, str] = (0.0, "")
    for index, view in enumerate(capture.views):
        assert view.depth is not None
        where = np.argwhere(np.isfinite(view.depth))
        points = unprojected(view, where[rng.integers(0, len(where), SAMPLES)])
        found = [_disagreement(points, capture.views[other]) for other in neighbours(capture, index)]
        shares = [share for share in found if share is not None]
        if shares:
            worst = max(worst, (float(np.median(shares)), view.name))
    if worst[0] <= MOST_DISAGREEMENT:
        return
    flipped = _mirrored(capture)
    if flipped:
        raise CaptureError(
            f"The depth maps are mirrored {flipped} to their pictures; write pictures and depth the same way round."
        )
    raise CaptureError(
        f"The cameras disagree: {worst[0]:.0%} of what {worst[1]} sees lies elsewhere for its neighbours. Check its pose in "
        "transforms.json (camera to world, Blender's axes) and that depth is in the same unit, along the optical axis."
    )


def neighbours(capture: Capture, index: int) -> list[int]:
    """The four views that look most the same way, by index."""
    own = capture.views[index].camera.world_to_camera[2, :3]
    like = [
        float(own @ v.camera.world_to_camera[2, :3]) if i != index else -2.0
        for i, v in enumerate(capture.views)
    ]
    return [int(i) for i in np.argsort(like)[::-1][: min(4, len(like) - 1)]]


def _disagreement(points: Array, other: CapturedView) -> float | None:
    """Share of points [N, 3] in ``other``'s picture that are not at the depth it has there; None if too few fall into it. A point
    hidden by something nearer counts half."""
    assert other.depth is not None
    pixels, z = other.camera.project(points)
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels < [other.camera.width, other.camera.height]).all(1)
    if inside.sum() < 100:
        return None
    x, y = pixels[inside].astype(int).T
    seen, z = other.depth[y, x], z[inside]
    wrong = np.abs(seen - z) > AGREEMENT * z
    hidden = wrong & (seen < z)
    return float((wrong & ~hidden).mean() + 0.5 * hidden.mean())


def _mirrored(capture: Capture) -> str:
    """How the depth maps are mirrored, if turning them round makes the views agree; empty if not."""
    for how, axis in (("left to right", 1), ("upside down", 0)):
        turned = tuple(
            replace(v, depth=None if v.depth is None else np.ascontiguousarray(np.flip(v.depth, axis)))
            for v in capture.views
        )
        other = replace(capture, views=turned)
        shares = []
        rng = np.random.default_rng(0)
        for index, view in enumerate(other.views):
            assert view.depth is not None
            where = np.argwhere(np.isfinite(view.depth))
            points = unprojected(view, where[rng.integers(0, len(where), SAMPLES)])
            found = [_disagreement(points, other.views[o]) for o in neighbours(other, index)]
            shares += [share for share in found if share is not None]
        if shares and np.median(shares) < 0.5 * MOST_DISAGREEMENT:
            return how
    return ""
