"""Surfaces of matter, Cycles' data, and the layers made of them, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from perpetua.phys4d.data.cameras import look_at
from perpetua.phys4d.data.coarse import film_coarse
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.cycles import Filmed, film
from perpetua.phys4d.data.dressing import Seen, dress
from perpetua.phys4d.data.room import room_distance
from perpetua.phys4d.data.spec import Form, SceneSpec
from perpetua.phys4d.data.surfaces import level_set, surfaces
from perpetua.phys4d.data.templates import draw_scene
from perpetua.phys4d.data.truth import followed_points, truth_of, visible
from perpetua.phys4d.data.world import build
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.emission import with_streams
from perpetua_protocol.take import Round

T, WIDTH, HEIGHT, RADIUS = 3, 64, 48, 0.04
STEP = np.array([0.02, 0.0, 0.004])
"""m a frame, of the ball."""
TURN = np.array([0.0, 0.0, 0.3])
"""rad a frame."""


def ball_centre(t: int) -> np.ndarray:
    return np.array([0.0, 0.0, RADIUS]) + t * STEP


@pytest.fixture(scope="module")
def spec() -> SceneSpec:
    """A rigid ball in a drawn room."""
    drawn = draw_scene(DataConfig(frames=T, width=WIDTH, height=HEIGHT, categories=("rigid",)), 1)
    ball = msgspec.structs.replace(
        drawn.things[0],
        name="ball",
        form=Form("ball", (2 * RADIUS,) * 3),
        at=(0.0, 0.0, 0.0),
        turn=(1.0, 0.0, 0.0, 0.0),
    )
    return msgspec.structs.replace(drawn, things=(ball,), spacings=(0.01, 0.008))


@pytest.fixture(scope="module")
def world(spec: SceneSpec) -> tuple[Scene, Trajectory]:
    """The ball as particles, carried and turned about its middle."""
    scene = build(spec, spec.spacings[1])
    turns = np.stack([Rotation.from_rotvec(t * TURN).as_matrix() for t in range(T)])
    arms = scene.particles.positions - ball_centre(0)
    positions = np.einsum("tij,pj->tpi", turns, arms) + np.stack([ball_centre(t) for t in range(T)])[:, None]
    F = np.broadcast_to(turns[:, None], (T, len(arms), 3, 3))
    return scene, Trajectory(positions.astype(np.float32), F.astype(np.float32), np.arange(T) / 24.0)


@pytest.fixture(scope="module")
def ways() -> dict[str, list[Camera]]:
    """One camera that stands and one that goes round."""
    target = np.array([0.02, 0.0, 0.03])
    eyes = {
        "still": [np.array([0.0, -0.4, 0.2])] * T,
        "round": [0.45 * np.array([np.sin(0.1 * t), -np.cos(0.1 * t), 0.5]) for t in range(T)],
    }
    return {
        name: [look_at(eye, target, WIDTH, HEIGHT, 40.0, name) for eye in path] for name, path in eyes.items()
    }


def seen_by(camera: Camera, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points [H, W, 3] m world, depth [H, W] m, whether it is the ball's) by meeting rays with ball, table and wall."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
    from_centre = camera.position - ball_centre(t)
    a, b, c = (rays**2).sum(1), rays @ from_centre, from_centre @ from_centre - RADIUS**2
    under = b * b - a * c
    hit = under > 0
    near = np.where(hit, (-b - np.sqrt(np.maximum(under, 0))) / a, room_distance(camera.position, rays))
    points = camera.position + near[:, None] * rays
    return points.reshape(HEIGHT, WIDTH, 3), near.reshape(HEIGHT, WIDTH), hit.reshape(HEIGHT, WIDTH)


def moved(points: np.ndarray, ball: np.ndarray, t: int) -> np.ndarray:
    """Where they are a frame later."""
    turned = Rotation.from_rotvec(TURN).apply((points - ball_centre(t)).reshape(-1, 3)).reshape(points.shape)
    return np.where(ball[..., None], turned + ball_centre(t + 1), points)


def first_of(filmed: Filmed) -> Seen:
    return Seen(filmed.rgb[0], filmed.depth[0], filmed.number[0])


def closed_film(way: list[Camera]) -> Filmed:
    rgb, depth, number, after = [], [], [], []
    for t, camera in enumerate(way):
        points, z, ball = seen_by(camera, t)
        rgb.append((255 * (0.5 + 0.5 * np.sin(15 * points))).astype(np.uint8))
        depth.append(z)
        number.append(ball)
        after.append(moved(points, ball, t))
    return Filmed(
        np.stack(rgb),
        np.stack(depth).astype(np.float32),
        np.stack(number).astype(np.uint8),
        np.stack(after).astype(np.float32),
    )


def test_a_surface_of_rigid_matter_is_carried_exactly(
    spec: SceneSpec, world: tuple[Scene, Trajectory]
) -> None:
    (surface,) = surfaces(spec, *world)
    for t, frame in enumerate(surface.frames):
        assert frame is not None
        assert np.linalg.norm(frame.points - ball_centre(t), axis=1) == pytest.approx(RADIUS, rel=1e-4)
        if t + 1 < T:
            assert np.abs(frame.after - moved(frame.points, np.ones(len(frame.points), bool), t)).max() < 1e-6


def test_the_level_set_of_a_full_ball_is_the_ball() -> None:
    spacing = 0.006
    axis = np.arange(-10, 11) * spacing
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = grid[np.linalg.norm(grid, axis=1) < 0.04] + [0, 0, 0.1]
    mesh = trimesh.Trimesh(*level_set(points, spacing))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(len(points) * spacing**3, rel=0.12)
    assert np.linalg.norm(mesh.vertices - [0, 0, 0.1], axis=1) == pytest.approx(0.04, abs=0.7 * spacing)


def test_flow_scene_flow_and_what_is_hidden_follow_from_the_points_seen(
    world: tuple[Scene, Trajectory], ways: dict[str, list[Camera]]
) -> None:
    for way in ways.values():
        truth = truth_of(closed_film(way), way, *world)
        for t in range(T - 1):
            points, _, ball = seen_by(way[t], t)
            after = moved(points, ball, t)
            pixels, z = way[t + 1].project(after.reshape(-1, 3))
            x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
            flow = pixels.reshape(HEIGHT, WIDTH, 2) - np.stack([x, y], -1)
            assert np.abs(truth.flow[t] - flow).max() < 2e-3
            step = (after - points) @ way[t].world_to_camera[:3, :3].T
            assert np.abs(truth.scene_flow[t] - step).max() < 1e-6
            # independent of any pixel's depth: a point is hidden if the segment from the eye to it meets the ball before it
            eye = way[t + 1].position
            ray = after.reshape(-1, 3) - eye
            to = eye - ball_centre(t + 1)
            a, b, c = (ray**2).sum(1), ray @ to, to @ to - RADIUS**2
            meets = (b * b > a * c) & ((-b - np.sqrt(np.maximum(b * b - a * c, 0))) / a < 1 - 1e-3)
            outside = (pixels < 0).any(1) | (pixels[:, 0] > WIDTH) | (pixels[:, 1] > HEIGHT)
            hidden = (meets | outside | (z <= 0)).reshape(HEIGHT, WIDTH)
            assert (hidden != truth.occluded[t]).mean() < 0.025
            assert hidden.any()
            assert (hidden & truth.occluded[t]).sum() > 0.4 * hidden.sum()


def test_tracks_are_seen_where_nothing_stands_before_them(
    spec: SceneSpec, world: tuple[Scene, Trajectory], ways: dict[str, list[Camera]]
) -> None:
    tracks = followed_points(spec, surfaces(spec, *world), *world)
    way = ways["still"]
    seen = visible(tracks, way, closed_film(way).depth)
    on_ball = np.linalg.norm(tracks.position[0] - ball_centre(0), axis=1) < RADIUS + 1e-4
    assert on_ball.sum() > 100
    for t, camera in enumerate(way):
        normal = (tracks.position[t] - ball_centre(t)) / RADIUS
        facing = ((camera.position - tracks.position[t]) * normal).sum(1) / np.linalg.norm(
            camera.position - tracks.position[t], axis=1
        )
        assert seen[t][on_ball & (facing > 0.3)].all()
        assert not seen[t][on_ball & (facing < -0.7)].any()


def test_the_coarse_film_begins_as_the_picture(spec: SceneSpec, ways: dict[str, list[Camera]]) -> None:
    scene = build(spec, spec.spacings[0])
    still = Trajectory(
        np.tile(scene.particles.positions, (T, 1, 1)),
        np.tile(np.eye(3, dtype=np.float32), (T, len(scene.particles), 1, 1)),
        np.arange(T) / 24.0,
    )
    for name, way in ways.items():
        filmed = closed_film(way)
        dressed = dress(scene, way[0], first_of(filmed), 0.1)
        assert len(dressed.background) > WIDTH * HEIGHT
        assert dressed.binding.carried > (filmed.number[0] > 0).sum()
        coarse = film_coarse(spec, scene, still, way, first_of(filmed))
        error = np.abs(coarse.rgb[0].astype(float) - filmed.rgb[0])
        assert error.mean() < 5, name
        assert error[filmed.number[0] > 0].mean() < 6, name
        assert ((coarse.alpha[0] > 0.5) == (filmed.number[0] > 0)).mean() > 0.98
        assert np.median(np.abs(coarse.depth[0] / filmed.depth[0] - 1)) < 0.03
        table = filmed.number[0] == 0
        expected = truth_of(filmed, way, scene, still).flow[0][table]
        assert np.median(np.abs(coarse.flow[0][table] - expected)) < 0.1, name


def test_what_is_poured_comes_into_the_coarse_film(ways: dict[str, list[Camera]]) -> None:
    config = DataConfig(
        frames=T, width=WIDTH, height=HEIGHT, categories=("fluid",), coarse_particles=200, fine_particles=300
    )
    spec = next(s for s in (draw_scene(config, i) for i in range(20)) if s.template == "pour")
    (stream,) = spec.streams
    built = build(spec, spec.spacings[0])
    scene = with_streams(built, Round(T - 1, (stream.emitter,)), 0, spec.fps)
    poured = np.array([body.emitted for body in scene.bodies])[scene.particles.body]
    F = np.tile(np.eye(3, dtype=np.float32), (T, len(poured), 1, 1))
    F[0, poured] = 0  # nothing of it has come in the first frame
    places = np.tile(scene.particles.positions, (T, 1, 1))
    places[:, poured, 2] *= 0.5
    way = ways["still"]
    seen = closed_film(way)
    empty = replace(
        first_of(seen), number=np.zeros((HEIGHT, WIDTH), np.uint8)
    )  # it shows nothing of this scene
    coarse = film_coarse(spec, built, Trajectory(places, F, np.arange(T) / spec.fps), way, empty)
    more = coarse.alpha[-1] - coarse.alpha[0]
    assert more.max() > 0.5
    changed = np.abs(coarse.rgb[-1].astype(float) - coarse.rgb[0]).mean(-1)
    assert changed[more > 0.5].mean() > 5 * changed[more < 0.01].mean()


def test_cycles_sees_the_ball_where_it_is(
    spec: SceneSpec, world: tuple[Scene, Trajectory], ways: dict[str, list[Camera]]
) -> None:
    filmed = film(spec, surfaces(spec, *world), ways, samples=2)
    for name, way in ways.items():
        for t, camera in enumerate(way):
            points, depth, ball = seen_by(camera, t)
            same = (filmed[name].number[t] > 0) == ball
            assert same.mean() > 0.99
            assert np.median(np.abs(filmed[name].depth[t] / depth - 1)[same]) < 1e-4
            assert np.abs(filmed[name].depth[t] / depth - 1)[same & ball].max() < 0.02
            if t + 1 < T:
                away = np.linalg.norm(filmed[name].after[t] - moved(points, ball, t), axis=-1)
                assert np.median(away[same & ball]) < 2e-4
        assert filmed[name].rgb.std() > 5
