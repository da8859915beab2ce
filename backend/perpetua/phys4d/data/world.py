"""A scene of the data as the engine takes it, at either spacing, and its motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from perpetua.phys4d.data.cameras import camera_path
from perpetua.phys4d.data.jointed import simulate_jointed
from perpetua.phys4d.data.shapes import Solid, hull_mesh, solid
from perpetua.phys4d.data.spec import SceneSpec, Thing
from perpetua.physics.api import PhysicsEngine, RoundPlan
from perpetua.progress import Progress
from perpetua.registry import load
from perpetua.scene import Binding, Body, Gaussians, Particles, Scene, Trajectory
from perpetua.scene.emission import with_streams
from perpetua.scene.materials import Material, resolve
from perpetua.scene.particles import RigidPose, State
from perpetua_protocol.take import Round

SKIN_PER_SPACING = 2.0
"""Splats on a surface for each particle spacing along it."""
SKIN_SIGMA, INSIDE_SIGMA = 0.42, 0.45
"""Standard deviations of splats on a surface and of the one in each particle inside, in spacings."""
SUNK_SIGMAS = 1.2
"""How far a splat's middle lies below the surface, so that what is seen of it ends there."""
DEEPEST = 0.4
"""Share of a thing's least side that they may lie below it."""
OPACITY = 0.95
REST_SPEED = 1e-9


def simulate(spec: SceneSpec, spacing: float, progress: Progress) -> tuple[Scene, Trajectory]:
    """The scene with particles ``spacing`` m apart, and its motion over all frames. Raises ``SimulationError``."""
    scene = scene_of(spec, spacing)
    if spec.joints:
        return scene, simulate_jointed(spec, scene)
    engine: PhysicsEngine = load("engine", "genesis")()
    plan = RoundPlan(_round(spec), 0, spec.fps, spec.gravity, spec.seed % (1 << 31))
    return scene, engine.simulate(scene, start(spec, scene), plan, progress).trajectory


def scene_of(spec: SceneSpec, spacing: float) -> Scene:
    """The scene with particles ``spacing`` m apart, with what its emitters will let out."""
    return with_streams_of(spec, build(spec, spacing))


def with_streams_of(spec: SceneSpec, scene: Scene) -> Scene:
    """``scene`` with what its emitters will let out, waiting."""
    return scene if spec.joints else with_streams(scene, _round(spec), 0, spec.fps)


def _round(spec: SceneSpec) -> Round:
    return Round(spec.frames - 1, tuple(spec.actions) + tuple(stream.emitter for stream in spec.streams))


def build(spec: SceneSpec, spacing: float) -> Scene:
    """Things as bodies of particles with splats on their surfaces; nothing of the room, and no colours yet but the things' own."""
    positions, owners, bodies, splats, hangs, regions = [], [], [], [], [], []
    count = 0
    for index, thing in enumerate(spec.things):
        made = placed(thing, solid(thing.form, spacing))
        body = _body(thing, made)
        bodies.append(body)
        means, sigma = _splat_places(thing, made, spacing, spec.seed + index)
        colours = np.tile(np.asarray(thing.look.colour) ** (1 / 2.2), (len(means), 1))
        splats.append(balls(means, sigma, colours))
        hangs.append(torch.from_numpy(cKDTree(made.points).query(means)[1].astype(np.int64) + count))
        positions.append(made.points)
        owners.append(np.full(len(made.points), index, np.int32))
        regions.append((made.depth > thing.wall).astype(np.int32) * bool(body.regions))
        count += len(made.points)
    rest = np.concatenate(positions).astype(np.float32)
    foreground = Gaussians.cat(splats)
    region = np.concatenate(regions)
    still = np.tile(np.asarray(spec.middle), (spec.frames, 1))
    camera = camera_path(spec, spec.cameras[0], still)[0]
    return Scene(
        background=balls(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3))),
        foreground=foreground,
        binding=Binding.to_nearest(foreground.means, torch.from_numpy(rest), torch.cat(hangs)),
        particles=Particles.at_rest(rest, np.concatenate(owners)),
        bodies=bodies,
        spacing=spacing,
        camera=camera,
        picture=np.zeros((spec.height, spec.width, 3), np.uint8),
        matte=np.zeros((spec.height, spec.width), np.float32),
        centre=np.asarray(spec.middle, float),
        region=region if region.any() else None,
    )


def start(spec: SceneSpec, scene: Scene) -> State:
    """The scene's first state: things move and spin as they are said to."""
    state = scene.rest_state()
    count = len(spec.things)
    speed = np.array(
        [thing.velocity for thing in spec.things] + [(0.0, 0.0, 0.0)] * (len(scene.bodies) - count)
    )
    velocities = speed[scene.particles.body].astype(np.float32)
    rigid: dict[int, RigidPose] = {
        i: replace(
            pose, velocity=np.array(spec.things[i].velocity), angular_velocity=np.array(spec.things[i].spin)
        )
        for i, pose in state.rigid.items()
    }
    for i, pose in rigid.items():
        mine = scene.particles.body == i
        arms = scene.particles.positions[mine] - scene.particles.positions[mine].mean(0)
        velocities[mine] += np.cross(pose.angular_velocity, arms).astype(np.float32)
    return replace(state.with_particles(velocities=velocities), rigid=rigid)


def placed(thing: Thing, made: Solid) -> Solid:
    """The shape turned and put where the thing is."""
    centre = np.array([0.0, 0.0, thing.form.size[2] / 2])
    turn = Rotation.from_quat(thing.turn, scalar_first=True).as_matrix()

    def move(points: NDArray) -> NDArray[np.float64]:
        return np.asarray((points - centre) @ turn.T + centre + np.asarray(thing.at))

    skin = None if made.skin is None else (move(made.skin[0]), made.skin[1])
    return replace(made, vertices=move(made.vertices), points=move(made.points), skin=skin)


def balls(means: NDArray, sigma: NDArray, colours: NDArray, opacity: float = OPACITY) -> Gaussians:
    """Round splats at ``means`` [N, 3] m, ``sigma`` [N] m wide, of sRGB ``colours`` [N, 3]."""
    count = len(means)
    return Gaussians.from_colors(
        torch.as_tensor(means, dtype=torch.float32).reshape(count, 3),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1),
        torch.as_tensor(sigma, dtype=torch.float32).reshape(count, 1).repeat(1, 3),
        torch.full((count,), opacity),
        torch.as_tensor(colours, dtype=torch.float32).reshape(count, 3),
    )


def _body(thing: Thing, made: Solid) -> Body:
    material: Material = resolve(thing.material)
    moves = np.linalg.norm(thing.velocity) + np.linalg.norm(thing.spin) > REST_SPEED
    resting = bool(abs(thing.at[2]) < REST_SPEED and not thing.held and not moves and not made.sheet)
    core = () if thing.core is None else (resolve(thing.core),)
    vertices, faces = made.vertices, made.faces
    if not made.sheet:
        hull = hull_mesh(thing.form)
        vertices, faces = placed(thing, replace(made, vertices=hull[0])).vertices, hull[1]
    return Body(thing.name, material, vertices, faces, resting, thing.held, core)


def _splat_places(
    thing: Thing, made: Solid, spacing: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where splats are [n, 3] m, spread over the surface and inside, and how wide [n] m."""
    vertices, faces = made.skin or (made.vertices, made.faces)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    count = max(24, int(surface.area * (SKIN_PER_SPACING / spacing) ** 2))
    skin, face = trimesh.sample.sample_surface(surface, count, seed=seed)
    sigma = np.full(count, SKIN_SIGMA * spacing)
    if made.sheet and made.skin is None:
        return np.asarray(skin), sigma
    thinnest = min(side for side in thing.form.size if side > 0)
    sunk = min(SUNK_SIGMAS * SKIN_SIGMA * spacing, DEEPEST * thinnest)
    skin = skin - sunk * np.asarray(surface.face_normals)[face]
    if made.sheet:
        return skin, sigma
    inside = made.points
    return np.concatenate([skin, inside]), np.concatenate(
        [sigma, np.full(len(inside), INSIDE_SIGMA * spacing)]
    )
