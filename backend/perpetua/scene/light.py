"""The light of a picture, found from how bright its objects are where their surfaces face which way.

A lamp far away and light from all around: matter with the unit normal n has the brightness, in linear light,

    E(n) = ambient + lamp max(0, n . direction)

An object's colour is taken as the same all over, so that what its brightness follows is n. For each of many directions of the lamp the
two strengths follow by least squares with none below zero; the direction that fits best wins. Flat or evenly spotted things say little
of it, and every picture less than the eye takes for granted: that light comes from above, a little from the left (Sun and Perona 1998).
That is worth as much as ``PRIOR`` of the brightness' variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Body, Scene

Array = NDArray[np.float64]

GAMMA = 2.2
"""Exponent from a picture's colours to linear light; the curve of sRGB within 2 % of brightness."""
DIRECTIONS = 600
"""That are tried, over a sphere; those below ``LOWEST_DEGREES`` above the horizon are not."""
LOWEST_DEGREES = 25.0
USUAL = np.array([-0.35, 0.0, 1.0])
"""Towards the usual lamp, as the camera sees it: right, away from it along the ground, up."""
PRIOR = 0.15
LEAST_LAMP, MOST_LAMP = 0.35, 0.65
"""Bounds of the lamp's part in the light of a surface that faces it: no room is without shadows, none without stray light."""
SAMPLES = 4000
"""Places of an object that are looked at, at most."""
SEEN = 0.25
"""Cosine between normal and view from which a surface is looked at: its rim mixes with what is behind."""
ENOUGH = 40
"""Places that are needed to say anything."""
AROUND = 8
"""Faces of a surface that say how it faces at a place."""


@dataclass(frozen=True)
class Light:
    """direction: [3] unit vector to the lamp, world. ambient and lamp: so that a surface that the picture shows is one on average."""

    direction: Array
    ambient: float
    lamp: float

    def on(self, normals: Array, free: Array | float = 1.0) -> Array:
        """[N] brightness of surfaces with unit ``normals`` [N, 3] to which the share ``free`` [N] of the lamp gets."""
        return self.ambient + self.lamp * free * np.clip(normals @ self.direction, 0.0, None)

    @property
    def shadow(self) -> float:
        """How much of the light on level ground is the lamp's."""
        lamp = self.lamp * float(self.direction[2])
        return lamp / (lamp + self.ambient)


def light_of(scene: Scene) -> Light:
    """The light of the scene's picture; the usual one where the picture does not tell."""
    seen = [
        part
        for body in scene.bodies
        if not body.emitted and len(body.faces) and (part := _seen(body, scene)) is not None
    ]
    usual = _usual(scene.camera)
    if not seen:
        return _normalised(usual, 1.0 - 0.6, 0.6, usual[None])
    return _fitted(np.concatenate([n for n, _ in seen]), np.concatenate([b for _, b in seen]), usual)


def _usual(camera: Camera) -> Array:
    right, forward = camera.world_to_camera[0, :3].copy(), camera.world_to_camera[2, :3].copy()
    forward[2] = 0.0
    forward /= max(float(np.linalg.norm(forward)), 1e-9)
    towards = USUAL[0] * right + USUAL[1] * forward + USUAL[2] * np.array([0.0, 0.0, 1.0])
    return np.asarray(towards / np.linalg.norm(towards))


def _fitted(normals: Array, brightness: Array, usual: Array) -> Light:
    """From unit normals [N, 3] and brightness [N], which is one on average."""
    candidates = _directions()
    facing = np.clip(normals @ candidates.T, 0.0, None)  # [N, D]
    mean = facing.mean(0)
    spread = ((facing - mean) ** 2).mean(0)
    together = ((facing - mean) * (brightness - 1.0)[:, None]).mean(0)
    lamp = np.clip(together / np.maximum(spread, 1e-9), 0.0, None)
    lamp = np.minimum(lamp, MOST_LAMP / (1.0 - MOST_LAMP + MOST_LAMP * mean))
    ambient = 1.0 - lamp * mean
    missed = ((brightness[:, None] - ambient - lamp * facing) ** 2).mean(0)
    variance = max(float(brightness.var()), 1e-4)
    best = int(np.argmin(missed / variance + PRIOR * (1.0 - candidates @ usual)))
    share = max(LEAST_LAMP, float(lamp[best] / (lamp[best] + ambient[best])))
    return _normalised(candidates[best], 1.0 - share, share, normals)


def _normalised(direction: Array, ambient: float, lamp: float, normals: Array) -> Light:
    raw = Light(direction, ambient, lamp)
    whole = float(raw.on(normals).mean())
    return Light(direction, ambient / whole, lamp / whole)


def _directions() -> Array:
    """[D, 3] unit vectors spread evenly over the sky (Fibonacci lattice)."""
    i = np.arange(DIRECTIONS) + 0.5
    z = 1.0 - 2.0 * i / DIRECTIONS
    turn = math.pi * (1.0 + math.sqrt(5.0)) * i
    across = np.sqrt(1.0 - z**2)
    every = np.stack([across * np.cos(turn), across * np.sin(turn), z], 1)
    return np.asarray(every[z > math.sin(math.radians(LOWEST_DEGREES))])


def pictured(scene: Scene, body: Body, light: Light, places: Array) -> Array:
    """[N]: how bright ``light`` makes the surface of ``body`` that the picture shows in front of ``places`` [N, 3] m: what colours taken
    from the picture there have of it in them. One where it shows none."""
    middle = body.vertices[body.faces].mean(1)
    normal = _smooth_normals(body)
    view = scene.camera.position - middle
    front = (normal * view).sum(1) > SEEN * np.linalg.norm(view, axis=1)
    if not front.any():
        return np.ones(len(places))
    tree = cKDTree(scene.camera.project(middle[front])[0])
    near = tree.query(scene.camera.project(places)[0], k=min(AROUND, int(front.sum())))[1]
    return np.asarray(light.on(normal[front])[near.reshape(len(places), -1)].mean(1))


def _seen(body: Body, scene: Scene) -> tuple[Array, Array] | None:
    """Unit normals [N, 3] of the body's surface where the picture shows it, and how bright it is there [N], one on average."""
    corners = body.vertices[body.faces]
    middle = corners.mean(1)
    normal = _smooth_normals(body)
    view = scene.camera.position - middle
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    pixels, depth = scene.camera.project(middle)
    height, width = scene.matte.shape
    facing = ((normal * view).sum(1) > SEEN) & (depth > 1e-6)
    facing &= (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    chosen = np.flatnonzero(facing)
    chosen = chosen[:: max(1, math.ceil(len(chosen) / SAMPLES))]
    x, y = np.floor(pixels[chosen]).astype(int).T
    whole = scene.matte[y, x] > 0.98
    chosen, x, y = chosen[whole], x[whole], y[whole]
    if len(chosen) < ENOUGH:
        return None
    bright = ((scene.picture[y, x] / 255.0) ** GAMMA).mean(1)
    low, high = np.quantile(bright, (0.03, 0.97))  # pits and highlights are not the matter's own
    bright = bright.clip(low, high)
    if bright.mean() < 1e-3:
        return None
    return normal[chosen], bright / bright.mean()


def _smooth_normals(body: Body) -> Array:
    """[F, 3] unit normals of the faces, averaged over their corners' faces."""
    a, b, c = (body.vertices[body.faces[:, k]] for k in range(3))
    areas = np.cross(b - a, c - a)
    at_corner = np.zeros_like(body.vertices)
    for k in range(3):
        np.add.at(at_corner, body.faces[:, k], areas)
    normal = at_corner[body.faces].sum(1)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-18))
