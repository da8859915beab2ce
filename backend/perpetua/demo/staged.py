"""Shots without a picture: solids of any material set on a table, rounds of forces, and a film of what happens.

    Shot("pudding", (Prop("pudding", "jelly", ball(0.04), at=(0, 0, 0.1), colour=(0.9, 0.3, 0.3)),), (Round(36),)).play(out)

The particles themselves are seen: one splat each, lit by a lamp from the upper left along the normal that its neighbours leave it; of
liquids their skin (``scene.appearance``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from perpetua.demo.tools import Tool, seen, tools_of
from perpetua.physics.api import PhysicsEngine, RoundPlan
from perpetua.progress import Progress
from perpetua.registry import load
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, Trajectory, deform
from perpetua.scene.appearance import Appearance
from perpetua.scene.emission import with_streams
from perpetua.scene.gaussians import SH_C0
from perpetua.scene.light import Light
from perpetua.scene.materials import Model, resolve
from perpetua.scene.particles import present
from perpetua.scene.surface import facing, unit
from perpetua_protocol.take import MaterialSpec, Round, Vec3, Vector

LIGHT = np.array([-0.5, -0.45, 0.74])
"""Unit vector to the lamp."""
AMBIENT = 0.42
"""Share of the light that comes from everywhere."""
TABLE, WALL = (0.72, 0.68, 0.62), (0.83, 0.85, 0.88)
SHADOW_SPLATS = 160
JITTER = {"sand": 0.25, "liquid": 0.25}
"""Spacings by which particles leave their lattice along each axis at most, so that what spreads forms no rows; LEVEL_JITTER for
other models, whose skin shows it."""
LEVEL_JITTER = 0.08
TOOL_GRAIN = 0.5
"""Spacings between the splats of a collider."""
OPACITY = {"gas": 0.03}
"""Of a particle's splat; 0.97 for other models."""


@dataclass(frozen=True)
class Shape:
    """A solid about its foot's centre, m: its surface, and which of points [P, 3] m lie in it. A sheet has no inside: its particles
    are a net's corners, ``net`` giving vertices [V, 3] m and faces [F, 3] for a spacing in m."""

    mesh: trimesh.Trimesh | None
    inside: Callable[[NDArray], NDArray] | None
    net: Callable[[float], tuple[NDArray, NDArray]] | None = None


@dataclass(frozen=True)
class Prop:
    """An object: its name, material (a preset, or its numbers changed), shape, where its foot stands, how fast it moves as the
    shot begins (m/s), and its colour (sRGB, 0 to 1). ``held`` is for cloth: hung up by its highest points."""

    name: str
    material: str | MaterialSpec
    shape: Shape
    at: Vec3 = (0.0, 0.0, 0.0)
    colour: Vec3 = (0.85, 0.45, 0.3)
    velocity: Vec3 = (0.0, 0.0, 0.0)
    held: bool = False


@dataclass(frozen=True)
class Shot:
    """Props, and the rounds played on them. eye and target: m, of the camera.  spacing: m between particles."""

    name: str
    props: tuple[Prop, ...]
    rounds: tuple[Round, ...]
    spacing: float = 0.006
    eye: Vec3 = (0.0, -0.42, 0.2)
    target: Vec3 = (0.0, 0.0, 0.045)
    gravity: Vector = (0.0, 0.0, -9.81)
    fps: float = 24.0
    width: int = 480
    height: int = 320

    def toy(self) -> Shot:
        """The same shot, twice as coarse, four frames a round, and small."""
        rounds = tuple(msgspec.structs.replace(turn, frames=4) for turn in self.rounds)
        return replace(self, rounds=rounds, spacing=2 * self.spacing, width=96, height=64)

    def play(self, path: Path, progress: Progress | None = None) -> Trajectory:
        """Simulate every round from where the one before ended, and write the film to ``path`` (MP4)."""
        from perpetua.cache.export_video import write_video

        progress = progress or Progress()
        scene, trajectory = simulate(self, stage(self), progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        tools = tools_of(self.rounds, TOOL_GRAIN * self.spacing)
        frames = film(scene, trajectory, tools)
        write_video(path, frames, self.fps, (self.width, self.height))
        return trajectory


def ball(radius: float) -> Shape:
    """A ball on its lowest point."""
    mesh = trimesh.creation.icosphere(3, radius)
    mesh.apply_translation((0, 0, radius))
    return Shape(mesh, lambda p: np.linalg.norm(p - [0, 0, radius], axis=1) <= radius)


def box(x: float, y: float, z: float) -> Shape:
    """A box on its lower face."""
    mesh = trimesh.creation.box((x, y, z))
    mesh.apply_translation((0, 0, z / 2))
    return Shape(mesh, lambda p: (np.abs(p - [0, 0, z / 2]) <= np.array([x, y, z]) / 2 + 1e-9).all(1))


def cylinder(radius: float, height: float) -> Shape:
    """An upright cylinder."""
    mesh = trimesh.creation.cylinder(radius, height)
    mesh.apply_translation((0, 0, height / 2))

    def inside(p: NDArray) -> NDArray:
        return (np.linalg.norm(p[:, :2], axis=1) <= radius) & (p[:, 2] >= 0) & (p[:, 2] <= height)

    return Shape(mesh, inside)


def cup(radius: float, height: float, wall: float) -> Shape:
    """An upright cylinder, open at the top, with a floor as thick as its ``wall``."""
    bore = radius - wall
    profile = [(0, 0), (radius, 0), (radius, height), (bore, height), (bore, wall), (0, wall)]
    mesh = trimesh.creation.revolve(np.array(profile, float), sections=48)

    def inside(p: NDArray) -> NDArray:
        away = np.linalg.norm(p[:, :2], axis=1)
        return (away <= radius) & (p[:, 2] >= 0) & (p[:, 2] <= height) & ((away >= bore) | (p[:, 2] <= wall))

    return Shape(mesh, inside)


def roller(radius: float, length: float) -> Shape:
    """A cylinder that lies along y."""
    mesh = trimesh.creation.cylinder(radius, length, sections=64)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    mesh.apply_translation((0, 0, radius))

    def inside(p: NDArray) -> NDArray:
        return (np.hypot(p[:, 0], p[:, 2] - radius) <= radius) & (np.abs(p[:, 1]) <= length / 2)

    return Shape(mesh, inside)


def sheet(x: float, y: float, upright: bool = False) -> Shape:
    """A rectangle of cloth, lying flat, or hanging along x when ``upright``."""

    def net(spacing: float) -> tuple[NDArray, NDArray]:
        n, m = round(x / spacing) + 1, round(y / spacing) + 1
        a, b = np.meshgrid(np.linspace(-x / 2, x / 2, n), np.linspace(-y / 2, y / 2, m), indexing="ij")
        other = np.zeros_like(a)
        vertices = np.stack([a, other, b + y / 2] if upright else [a, b, other], -1).reshape(-1, 3)
        i = np.arange(n * m).reshape(n, m)
        p, q, r, s = (corner.ravel() for corner in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
        return vertices, np.concatenate([np.stack([p, q, r], 1), np.stack([p, r, s], 1)])

    return Shape(None, None, net)


def stage(shot: Shot) -> Scene:
    """The shot's props as a scene, on a table before a wall."""
    positions, body, bodies, colours = [], [], [], []
    for index, prop in enumerate(shot.props):
        spec = MaterialSpec(prop.material) if isinstance(prop.material, str) else prop.material
        material = resolve(spec)
        points, vertices, faces = _points(prop.shape, shot.spacing, JITTER.get(material.model, LEVEL_JITTER))
        place = np.asarray(prop.at)
        resting = bool(abs(prop.at[2]) < 1e-9 and not any(prop.velocity) and not prop.held)
        bodies.append(Body(prop.name, material, vertices + place, faces, resting, prop.held))
        positions.append(points + place)
        body.append(np.full(len(points), index, np.int32))
        colours.append(np.tile(prop.colour, (len(points), 1)))
    rest = np.concatenate(positions).astype(np.float32)
    owner = np.concatenate(body)
    camera = _camera(shot)
    foreground, binding = _splats(
        shot, rest, owner, np.concatenate(colours), [b.material.model for b in bodies]
    )
    return Scene(
        _room(),
        foreground,
        binding,
        Particles.at_rest(rest, owner),
        bodies,
        shot.spacing,
        camera,
        np.zeros((shot.height, shot.width, 3), np.uint8),
        np.zeros((shot.height, shot.width), np.float32),
        np.asarray(shot.target, float),
    )


def simulate(shot: Shot, scene: Scene, progress: Progress) -> tuple[Scene, Trajectory]:
    """``scene`` with what emitters let out, and the motion of all rounds, one after another."""
    engine: PhysicsEngine = load("engine", "genesis")()
    state = scene.rest_state()
    velocity = np.array([prop.velocity for prop in shot.props], np.float32)[scene.particles.body]
    if velocity.any():
        state = state.with_particles(velocities=velocity)
        rigid = {
            i: replace(pose, velocity=np.array(shot.props[i].velocity)) for i, pose in state.rigid.items()
        }
        state = replace(state, rigid=rigid)
    parts, start = [], 0
    for turn in shot.rounds:
        scene = with_streams(scene, turn, start, shot.fps)
        gravity = shot.gravity if turn.gravity is None else turn.gravity
        done = engine.simulate(
            scene,
            state,
            RoundPlan(turn, start, shot.fps, gravity),
            progress.of(f"{shot.name}: {turn.name}"),
        )
        parts.append(done.trajectory)
        state, start = done.end, start + turn.frames
    frames = 1 + sum(part.frames - 1 for part in parts)
    positions = np.tile(scene.particles.positions, (frames, 1, 1))
    # what comes in a later round is not there yet
    F = np.zeros((frames, len(scene.particles), 3, 3), np.float32)
    times, first = np.zeros(frames), 0
    for part in parts:
        here, count = slice(first, first + part.frames), part.positions.shape[1]
        positions[here, :count], F[here, :count], times[here] = part.positions, part.F, part.times
        first += part.frames - 1
    return scene, Trajectory(positions, F, times)


@torch.no_grad()
def film(scene: Scene, trajectory: Trajectory, tools: list[Tool]) -> list[NDArray[np.uint8]]:
    """[H, W, 3] frames of the trajectory and of ``tools``; the particles are lit anew in every frame."""
    from perpetua.render import render_layers

    backdrop = render_layers(scene.background, scene.camera)
    # a splat for each particle, in their order
    colours = scene.foreground.colors[: scene.binding.carried].numpy()
    # light goes through gas, and falls on liquids and what comes out of emitters as it does in a picture's scene
    by_this = [b.material.model not in ("gas", "liquid") and not b.emitted for b in scene.bodies]
    solid = np.array([b.material.model != "gas" and not b.emitted for b in scene.bodies])[
        scene.particles.body
    ]
    props = np.array(by_this)[scene.particles.body]
    appearance = Appearance(scene, trajectory, Light(LIGHT / np.linalg.norm(LIGHT), AMBIENT, 1.05 - AMBIENT))
    frames = []
    for frame, (positions, F) in enumerate(zip(trajectory.positions, trajectory.F, strict=True)):
        light, there = np.ones(len(positions)), present(F) & solid
        light[there] = np.where(props[there], _light(positions[there], scene.spacing), 1.0)
        lit = torch.from_numpy(colours * light[:, None]).float().clamp(0, 1)
        sh = scene.foreground.sh.clone()
        sh[: len(lit), 0] = (lit - 0.5) / SH_C0
        rest = replace(scene.foreground, sh=sh)
        moved = deform(rest, scene.binding, torch.from_numpy(positions), torch.from_numpy(F))
        moved = appearance.on(moved, frame)
        around = seen(tools, frame, TOOL_GRAIN * scene.spacing, _lit)
        front = render_layers(
            Gaussians.cat([moved, *around]), scene.camera
        )  # nothing of the room stands before the props
        picture = front.rgb + (1 - front.alpha)[..., None] * backdrop.rgb
        frames.append((picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())
    return frames


def _points(shape: Shape, spacing: float, jitter: float) -> tuple[NDArray, NDArray, NDArray]:
    """Particles [P, 3] m, and the surface's vertices [V, 3] m and faces [F, 3]."""
    if shape.net is not None:
        vertices, faces = shape.net(spacing)
        return vertices, vertices, faces
    if shape.mesh is None or shape.inside is None:
        raise ValueError("A shape is a solid with an inside, or a net.")
    low, high = shape.mesh.bounds
    axes = []
    for a, b in zip(low, high, strict=True):
        count = max(1, round((b - a) / spacing))
        axes.append((a + b) / 2 + (np.arange(count) - (count - 1) / 2) * spacing)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = points[shape.inside(points)]
    moved = points + np.random.default_rng(0).uniform(-jitter, jitter, points.shape) * spacing
    points = np.where(shape.inside(moved)[:, None], moved, points)
    return points, np.array(shape.mesh.vertices), np.array(shape.mesh.faces)


def _light(positions: NDArray, spacing: float) -> NDArray[np.float64]:
    """[P]: how bright each particle is. The normal points away from the neighbours; inside, where it vanishes, half light."""
    points = positions.astype(np.float64)
    away, skin = facing(points, points, spacing)
    towards = _facing_lamp(unit(away))
    near_table = np.clip(points[:, 2] / (6 * spacing), 0.0, 1.0)
    ambient = AMBIENT * (0.75 + 0.25 * near_table)
    return ambient + (1.05 - AMBIENT) * (skin * towards + (1 - skin) * 0.5)


def _facing_lamp(normal: NDArray) -> NDArray[np.float64]:
    return np.clip(0.25 + 0.75 * normal @ LIGHT, 0.0, 1.0)


def _lit(normal: NDArray) -> NDArray[np.float64]:
    """[N]: how bright a free face with the unit ``normal`` [N, 3] is."""
    return AMBIENT + (1.05 - AMBIENT) * _facing_lamp(normal)


def _splats(
    shot: Shot, rest: NDArray, owner: NDArray, colours: NDArray, models: list[Model]
) -> tuple[Gaussians, Binding]:
    """One splat a particle, and soft shadows below the bodies."""
    count = len(rest)
    means = torch.from_numpy(rest)
    still = torch.tensor([[1.0, 0, 0, 0]])
    opacity = torch.tensor([OPACITY.get(model, 0.97) for model in models])[torch.from_numpy(owner).long()]
    size = torch.tensor([2.0 if model == "gas" else 0.62 for model in models])[torch.from_numpy(owner).long()]
    matter = Gaussians.from_colors(
        means,
        still.repeat(count, 1),
        (size * shot.spacing)[:, None].repeat(1, 3),
        opacity,
        torch.from_numpy(colours).float(),
    )
    binding = Binding.to_nearest(means, means, torch.arange(count))
    # A sheet that hangs has no foot to speak of, and gas throws no shadow worth the name.
    shaded = [i for i, model in enumerate(models) if model != "gas" and not shot.props[i].held]
    if not shaded:
        return matter, binding
    random = np.random.default_rng(0)
    places, grounds, radii = [], [], []
    for index in shaded:
        mine = rest[owner == index]
        radius = 1.25 * float(np.linalg.norm(mine[:, :2] - mine[:, :2].mean(0), axis=1).max())
        turn = np.linspace(0, 2 * np.pi * SHADOW_SPLATS * 0.618, SHADOW_SPLATS)
        away = radius * np.sqrt(np.linspace(0, 1, SHADOW_SPLATS))
        spread = np.stack([away * np.cos(turn), away * np.sin(turn), np.full(SHADOW_SPLATS, 0.0005)], 1)
        spread[:, :2] += mine[:, :2].mean(0)
        places.append(spread)
        grounds.append(np.full(SHADOW_SPLATS, index))
        radii.append(np.full(SHADOW_SPLATS, 0.16 * radius))
    flat = torch.from_numpy(np.concatenate(radii)).float()
    total = len(flat)
    shadows = Gaussians.from_colors(
        torch.from_numpy(np.concatenate(places)).float(),
        still.repeat(total, 1),
        torch.stack([flat, flat, torch.full_like(flat, 0.0004)], 1),
        torch.full((total,), 0.09),
        torch.full((total, 3), 0.12),
    )
    fade = torch.from_numpy(random.uniform(0.3, 2.0, total)).float()
    binding = binding.with_ground(
        torch.from_numpy(np.concatenate(grounds)), fade, means, torch.from_numpy(owner)
    )
    return Gaussians.cat([matter, shadows]), binding


def _room() -> Gaussians:
    """A table of 2.4 m, brighter towards the lamp, and a pale wall behind it."""
    step = 0.03
    axis = np.arange(-1.2, 1.2 + step / 2, step)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    table = np.stack([x, y, np.full_like(x, -0.001)], 1)
    bright = (1.0 - 0.12 * np.hypot(x + 0.2, y + 0.2))[:, None]
    check = np.where((np.floor(x / 0.12) + np.floor(y / 0.12)) % 2 == 0, 1.0, 0.965)[:, None]
    x, z = (a.ravel() for a in np.meshgrid(axis, np.arange(0.0, 1.6, step), indexing="ij"))
    wall = np.stack([x, np.full_like(x, 1.2), z], 1)
    means = torch.from_numpy(np.concatenate([table, wall])).float()
    colours = np.concatenate([bright * check * TABLE, np.tile(WALL, (len(wall), 1))])
    scales = torch.full((len(means), 3), step * 0.7)
    scales[: len(table), 2] = scales[len(table) :, 1] = 0.0005
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1)
    return Gaussians.from_colors(
        means, quats, scales, torch.full((len(means),), 0.98), torch.from_numpy(colours).float().clamp(0, 1)
    )


def _camera(shot: Shot) -> Camera:
    """At ``eye``, looking at ``target``, upright, 40 degrees wide."""
    eye, target = np.asarray(shot.eye, float), np.asarray(shot.target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ eye
    focal = shot.width / (2 * np.tan(np.radians(20.0)))
    K = np.array([[focal, 0, shot.width / 2], [0, focal, shot.height / 2], [0, 0, 1.0]])
    return Camera(K, matrix, shot.width, shot.height, "front", "front")
