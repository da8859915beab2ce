"""What is seen of simulated matter: a surface for each thing in each frame, and where each of its points is in the next frame.

| matter | what is seen |
|---|---|
| rigid, linked | its own surface, on its pose |
| elastic, plastic, cloth, rope | its own surface, carried by the particles around each corner |
| liquid, snow | the level set of the particles' density |
| sand, sugar | the grains themselves, as balls |
| gas | a volume around the particles |

A corner of a surface that is carried has the same particles in every frame, so its motion is exact for what is drawn. A level set has
new corners in every frame; those of one move with the particles around them to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from perpetua.phys4d.data.shapes import solid
from perpetua.phys4d.data.spec import Look, SceneSpec
from perpetua.phys4d.data.world import placed
from perpetua.scene import Scene, Trajectory
from perpetua.scene.particles import present

Draws = Literal["mesh", "grains", "gas"]
CARRIERS = 8
"""Particles that carry a corner of a soft surface."""
CARRIER_REACH = 1.3
"""Spacings, standard deviation of their weights."""
CELL, BLUR, LEVEL = 0.5, 1.1, 0.42
"""Of level sets: the cell in spacings, the density's blur in cells, and the density at the surface as a share of that inside."""
GRAIN_RADIUS, PUFF_RADIUS = 0.62, 1.8
"""spacings"""
GRAINY = ("sand", "dry sand", "wet sand", "sugar")


@dataclass(frozen=True)
class Shown:
    """One thing in one frame. points: [V, 3] m, corners or middles of balls.  faces: [F, 3], none of balls.  after: [V, 3] m, where
    the same matter is in the next frame (in the last frame, where it is).  rest: [V, 3] m, where its texture is anchored."""

    points: NDArray[np.float32]
    faces: NDArray[np.int32]
    after: NDArray[np.float32]
    rest: NDArray[np.float32]


@dataclass(frozen=True)
class Surface:
    """A thing through all frames; ``frames[t]`` is None where nothing of it is there yet. radius: m, of balls.  sharp: whether edges
    are to be kept."""

    name: str
    look: Look
    draws: Draws
    radius: float
    frames: tuple[Shown | None, ...]
    sharp: bool = False


def surfaces(spec: SceneSpec, scene: Scene, trajectory: Trajectory) -> list[Surface]:
    """Every body of ``scene``, in its order."""
    looks = [thing.look for thing in spec.things] + _stream_looks(spec, scene)
    made = []
    for index, body in enumerate(scene.bodies):
        mine = np.flatnonzero(scene.particles.body == index)
        model = body.material.model
        if model == "gas":
            made.append(_balls(body.name, looks[index], "gas", PUFF_RADIUS, scene, trajectory, mine))
        elif body.material.preset in GRAINY:
            made.append(_balls(body.name, looks[index], "grains", GRAIN_RADIUS, scene, trajectory, mine))
        elif model in ("liquid", "snow") or body.emitted:
            made.append(_level_set(body.name, looks[index], scene, trajectory, mine))
        else:
            made.append(_carried(spec, index, scene, trajectory, mine))
    return made


def _stream_looks(spec: SceneSpec, scene: Scene) -> list[Look]:
    by_name = {stream.emitter.name: stream.look for stream in spec.streams}
    return [by_name[body.name] for body in scene.bodies[len(spec.things) :]]


def _carried(spec: SceneSpec, index: int, scene: Scene, trajectory: Trajectory, mine: NDArray) -> Surface:
    """A thing's own surface: corner v is the mean over its carriers j of  p_j + F_j (v - p_j at rest)."""
    thing = spec.things[index]
    made = placed(thing, solid(thing.form, scene.spacing))
    vertices, faces = made.skin or (made.vertices, made.faces)
    rest = scene.particles.positions[mine].astype(np.float64)
    rigid = scene.bodies[index].material.is_rigid
    own_corners = made.sheet and made.skin is None
    count = 1 if rigid or own_corners else min(CARRIERS, len(rest))
    distance, carrier = cKDTree(rest).query(vertices, k=count)
    distance, carrier = distance.reshape(-1, count), carrier.reshape(-1, count)
    if rigid:
        carrier[:] = 0
    weight = np.exp(-0.5 * ((distance - distance[:, :1]) / (CARRIER_REACH * scene.spacing)) ** 2)
    weight /= weight.sum(1, keepdims=True)
    arms = vertices[:, None] - rest[carrier]
    places = []
    for positions, F in zip(trajectory.positions[:, mine], trajectory.F[:, mine], strict=True):
        moved = positions[carrier] + np.einsum("vkij,vkj->vki", F[carrier], arms)
        places.append(np.einsum("vk,vki->vi", weight, moved).astype(np.float32))
    corners, anchored = faces.astype(np.int32), vertices.astype(np.float32)
    frames = tuple(
        Shown(now, corners, after, anchored)
        for now, after in zip(places, [*places[1:], places[-1]], strict=True)
    )
    sharp = thing.form.kind in ("box", "cylinder", "cone")
    return Surface(thing.name, thing.look, "mesh", 0.0, frames, sharp)


def _balls(
    name: str, look: Look, draws: Draws, radius: float, scene: Scene, trajectory: Trajectory, mine: NDArray
) -> Surface:
    """A ball for each particle that is there in a frame."""
    frames: list[Shown | None] = []
    none = np.zeros((0, 3), np.int32)
    rest = scene.particles.positions[mine]
    for t in range(trajectory.frames):
        there, after = _there(trajectory, t, mine)
        now = trajectory.positions[t, mine]
        frames.append(Shown(now[there], none, after[there], rest[there]) if there.any() else None)
    return Surface(name, look, draws, radius * scene.spacing, tuple(frames))


def _level_set(name: str, look: Look, scene: Scene, trajectory: Trajectory, mine: NDArray) -> Surface:
    frames: list[Shown | None] = []
    for t in range(trajectory.frames):
        there, after = _there(trajectory, t, mine)
        if not there.any():
            frames.append(None)
            continue
        now = trajectory.positions[t, mine][there].astype(np.float64)
        vertices, faces = level_set(now, scene.spacing)
        count = min(CARRIERS, len(now))
        distance, near = cKDTree(now).query(vertices, k=count)
        distance, near = distance.reshape(-1, count), near.reshape(-1, count)
        weight = np.exp(-0.5 * ((distance - distance[:, :1]) / scene.spacing) ** 2)
        step = (after[there] - now)[near]
        moved = vertices + (weight[..., None] * step).sum(1) / weight.sum(1)[:, None]
        place = vertices.astype(np.float32)
        frames.append(Shown(place, faces, moved.astype(np.float32), place))
    plain = msgspec.structs.replace(look, texture="plain")  # what flows carries no pattern along
    return Surface(name, plain, "mesh", 0.0, tuple(frames))


def level_set(points: NDArray, spacing: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices [V, 3] m and faces [F, 3], outward, of matter at ``points`` [P, 3] m that fill spacing^3 each."""
    cell = CELL * spacing
    border = 6.0 * cell
    low = points.min(0) - border
    shape = np.ceil((points.max(0) + border - low) / cell).astype(int) + 1
    density = np.zeros(shape)
    place = (points - low) / cell
    base = np.floor(place).astype(int)
    part = place - base
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        np.add.at(density, tuple((base + corner).T), weight)
    density = gaussian_filter(density, BLUR / CELL * 0.5, mode="constant") / CELL**3
    # in a thin sheet or drop the blurred density never comes to that inside: its own peak counts then
    level = LEVEL * min(1.0, float(density.max()))
    vertices, faces, _, _ = marching_cubes(density, level)
    vertices = vertices * cell + low
    vertices[:, 2] = np.maximum(vertices[:, 2], 0.0002)
    return vertices, faces[:, ::-1].astype(np.int32)


def _there(trajectory: Trajectory, t: int, mine: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """[P]: which particles are there in frame t; [P, 3] m: where they are in the next, in which those that fade stay."""
    there = present(trajectory.F[t, mine])
    following = min(t + 1, trajectory.frames - 1)
    stays = ~present(trajectory.F[following, mine])
    after = trajectory.positions[following, mine].copy()
    after[stays] = trajectory.positions[t, mine][stays]
    return there, after
