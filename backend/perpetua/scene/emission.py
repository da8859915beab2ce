"""Matter that comes into a scene while it plays: what its emitters let out, when, and where.

An emitter is an object whose particles wait at its mouth. A round's scene holds them from the round's start, and a state knows them by
a whole deformation of zero: they have no size yet, so nothing of them is seen or felt until they are let out.

    take's scene --with_streams(round 1)--> scene of round 1 --with_streams(round 2)--> ...
    state of an earlier round --awaiting(scene)--> state in which what the round lets out waits

The stream is made of layers. A layer is a disc of n particles that fill the area A = rate pi radius^2, so each has the cross-section
A / n; the next layer follows when the stream has gone on by spacing^3 n / A. So each particle comes with its own volume, spacing^3:
the stream has the matter's density, and brings  density A speed  kg/s, both exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector, window_of
from perpetua.scene.binding import Binding
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.looks import shadow_of, splats_of
from perpetua.scene.materials import Material, resolve
from perpetua.scene.particles import Particles, State
from perpetua.scene.puffs import faded_puffs, longest_life, taking_turns, turn_of
from perpetua.scene.scene import Body, Scene
from perpetua_protocol.actions import Emitter
from perpetua_protocol.take import Round
from perpetua_protocol.tracks import ScalarTrack, VectorTrack

MODELS = frozenset({"plastic", "snow", "sand", "liquid", "gas"})
"""Matter that can leave a mouth particle by particle and hold together outside, or flow."""

MOST = 100_000
"""Particles that emitters may let out over a take; so many of water cost about a minute a frame on one core. A puff of gas that has
faded away is let out again, and does not count twice."""

MOST_PUFFS = 2_000_000
"""That may come one after another in a round."""

STEP_FRAMES = 1.0 / 16.0
"""Longest stretch over which a keyed stream is taken as steady."""

STEP_SPACINGS = 0.5
"""Farthest that it may go in one."""

GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
"""Each layer is turned by so much against the one before, so that no two lie alike."""


@dataclass(frozen=True)
class Releases:
    """n particles in the order in which they leave their mouths. frames: [n], of the take.  positions: [n, 3] m and velocities:
    [n, 3] m/s, at that moment.  action: [n], the emitter's place among the round's actions."""

    frames: NDArray[np.float64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    action: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frames)

    def within(self, first: float, last: float) -> slice:
        """Those from frame ``first`` up to frame ``last``."""
        low, high = np.searchsorted(self.frames, (first, last))
        return slice(int(low), int(high))


def releases(round_: Round, start_frame: float, fps: float, spacing: float) -> Releases:
    """What the emitters of a round that starts at ``start_frame`` let out as particles ``spacing`` m apart.

    An emitter whose ``start`` lies in an earlier round goes on as if the rounds were one. Raises ``SimulationError`` beyond ``MOST``, of gas
    beyond ``MOST_PUFFS``.
    """
    count = puffs = 0
    frames, positions, velocities, action = [], [], [], []
    for index, emitter in enumerate(round_.actions):
        if not isinstance(emitter, Emitter):
            continue
        gas = _material(emitter).model == "gas"
        for frame, place, velocity in _layers(emitter, round_, start_frame, fps, spacing):
            count, puffs = count + (not gas) * len(place), puffs + gas * len(place)
            if count > MOST or puffs > MOST_PUFFS:
                raise _too_many(emitter.name)
            frames.append(np.full(len(place), frame))
            positions.append(place)
            velocities.append(np.broadcast_to(velocity, place.shape))
            action.append(np.full(len(place), index))
    if not frames:
        return Releases(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.int64))
    when = np.concatenate(frames)
    order = np.argsort(when, kind="stable")
    return Releases(
        when[order],
        np.concatenate(positions)[order],
        np.concatenate(velocities)[order],
        np.concatenate(action)[order],
    )


def _layers(
    emitter: Emitter, round_: Round, start_frame: float, fps: float, spacing: float
) -> Iterator[tuple[float, NDArray, NDArray]]:
    """The frame, places [n, 3] m and velocity [3] m/s of each layer as it has just left the mouth."""
    first, end = window_of(emitter, round_, start_frame)
    last = min(end, start_frame + round_.frames)
    speeds = emitter.speed.values if isinstance(emitter.speed, ScalarTrack) else (emitter.speed,)
    step = min(STEP_FRAMES, STEP_SPACINGS * spacing * fps / max(*speeds, 1e-9))
    mouth = math.pi * emitter.radius**2
    due, number, steps = 0.0, 0, 0
    while (begin := first + steps * step) < last:
        steps += 1
        length = min(step, end - begin)
        middle = begin + length / 2
        area = mouth * sample_scalar(emitter.rate, middle)
        gained = area * sample_scalar(emitter.speed, middle) * length / fps
        due += gained
        while gained > 0.0:
            disc, thickness = _disc(area, spacing)
            if due < area * thickness:
                break
            due -= area * thickness
            frame = begin + length * (1.0 - due / gained) if due < gained else begin
            if start_frame <= frame < last:
                yield frame, *_placed(emitter, disc, thickness, frame, fps, number)
            number += 1


def _disc(area: float, spacing: float) -> tuple[NDArray[np.float64], float]:
    """Places [n, 2] m across a layer that fills ``area`` m^2, and its thickness, m."""
    n = max(1, round(area / spacing**2))
    reach = math.ceil(math.sqrt(n))
    axis = np.arange(-reach, reach) + 0.5
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    nearest = grid[np.argsort((grid**2).sum(1), kind="stable")[:n]]
    return (nearest - nearest.mean(0)) * math.sqrt(area / n), spacing**3 * n / area


def _placed(
    emitter: Emitter, disc: NDArray, thickness: float, frame: float, fps: float, number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places [n, 3] m and velocity [3] m/s of layer ``number`` at ``frame``."""
    along = direction_at(emitter.direction, frame)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    angle = number * GOLDEN_ANGLE
    turned = disc @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = sample_vector(emitter.location, frame)
    velocity = sample_scalar(emitter.speed, frame) * along
    if isinstance(emitter.location, VectorTrack):
        before, after = (sample_vector(emitter.location, frame + side * STEP_FRAMES) for side in (-0.5, 0.5))
        velocity = velocity + (after - before) * fps / STEP_FRAMES
    places = centre + 0.5 * thickness * along + turned @ np.stack([across, np.cross(along, across)])
    return places, velocity


def with_streams(scene: Scene, round_: Round, start_frame: float, fps: float) -> Scene:
    """``scene`` with all that the round's emitters let out waiting in it, its particles and splats after those of its kind, and with
    splats for the shadow that it will throw on the ground. Puffs that have faded away by then are those that come again, also more than
    once in a round.

    An emitter is a body of its own; one of the same name in a later round adds to it. Raises ``SimulationError`` for matter that no
    emitter can let out, or too much of it.
    """
    coming = releases(round_, start_frame, fps, scene.spacing)
    emitters = [action for action in round_.actions if isinstance(action, Emitter)]
    materials = {emitter.name: _material(emitter) for emitter in emitters}
    if not len(coming):
        return scene
    bodies = list(scene.bodies)
    owner = np.zeros(len(coming), np.int32)
    for emitter in emitters:
        mine = coming.action == round_.actions.index(emitter)
        if not mine.any():
            continue
        space = _space(emitter, materials[emitter.name], coming, mine)
        index = next((i for i, b in enumerate(bodies) if b.emitted and b.name == emitter.name), len(bodies))
        if index == len(bodies):
            body = Body(
                emitter.name, materials[emitter.name], space, np.zeros((0, 3), np.int64), False, False
            )
            bodies.append(replace(body, emitted=True))
        else:
            bodies[index] = replace(bodies[index], vertices=np.concatenate([bodies[index].vertices, space]))
        owner[mine] = index
    coming, owner = _each_once(bodies, coming, owner, fps)
    again = faded_puffs(scene, owner, start_frame, fps)
    fresh = again < 0
    there = sum(int((scene.particles.body == i).sum()) for i, b in enumerate(bodies) if b.emitted)
    if there + int(fresh.sum()) > MOST:
        raise _too_many(emitters[-1].name)
    positions = coming.positions.astype(np.float32)
    new = _splats(scene, bodies, emitters, coming, owner)
    scene = _let_out_again(scene, again[~fresh], positions[~fresh], new[torch.from_numpy(~fresh)])
    if fresh.any():
        added = Particles.at_rest(positions[fresh], owner[fresh])
        shadow = shadow_of(scene, len(added))
        scene = _with(scene, added, bodies, new[torch.from_numpy(fresh)], shadow)
    before = len(scene.particles) - int(fresh.sum())
    released = np.full(len(scene.particles), -np.inf)
    if scene.released is not None:
        released[: len(scene.released)] = scene.released
    released[before:], released[again[~fresh]] = coming.frames[fresh], coming.frames[~fresh]
    return replace(scene, bodies=bodies, released=released)


def _splats(
    scene: Scene, bodies: list[Body], emitters: list[Emitter], coming: Releases, owner: NDArray[np.int32]
) -> Gaussians:
    """A splat for each of ``coming``, of bodies ``owner`` [n]."""
    positions, parts, where = coming.positions.astype(np.float32), [], []
    for index in np.unique(owner):
        mine = np.flatnonzero(owner == index)
        colour = next(emitter.colour for emitter in emitters if emitter.name == bodies[index].name)
        parts.append(splats_of(scene, bodies[index].material, positions[mine], colour))
        where.append(mine)
    return Gaussians.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(where), kind="stable"))]


def _each_once(
    bodies: list[Body], coming: Releases, owner: NDArray[np.int32], fps: float
) -> tuple[Releases, NDArray[np.int32]]:
    """``coming``, of bodies ``owner`` [n], without those puffs that are let out in the place of earlier ones of the round, and whose
    they are; ``frames`` says when each is let out last."""
    kept, last = np.ones(len(owner), bool), coming.frames.copy()
    for index in np.unique(owner):
        if bodies[index].material.model == "gas":
            mine = np.flatnonzero(owner == index)
            latest = taking_turns(coming.frames[mine], longest_life(bodies[index].material, fps))
            kept[mine[len(latest) :]] = False
            last[mine[: len(latest)]] = latest
    once = Releases(last[kept], coming.positions[kept], coming.velocities[kept], coming.action[kept])
    return once, owner[kept]


def _let_out_again(
    scene: Scene, rows: NDArray[np.int64], positions: NDArray[np.float32], splats: Gaussians
) -> Scene:
    """``scene`` with its particles ``rows`` [n] waiting at ``positions`` [n, 3] m, looking like ``splats`` [n]."""
    if not len(rows):
        return scene
    moved = scene.particles.positions.copy()
    moved[rows] = positions
    splat_of = np.zeros(len(moved), np.int64)
    splat_of[scene.binding.particle[: scene.binding.carried].numpy()] = np.arange(scene.binding.carried)
    at = torch.from_numpy(splat_of[rows])  # an emitted particle has one splat
    means = scene.foreground.means.index_copy(0, at, splats.means)
    return replace(
        scene,
        particles=replace(scene.particles, positions=moved),
        foreground=replace(
            scene.foreground, means=means, sh=scene.foreground.sh.index_copy(0, at, splats.sh)
        ),
    )


def waiting(scene: Scene, coming: Releases, round_: Round, start_frame: float) -> NDArray[np.int64]:
    """[n]: which of the scene's particles wait to be what ``coming`` says of the round. Raises ``SimulationError`` if ``with_streams``
    did not give them to the scene."""
    released = np.full(len(scene.particles), -np.inf) if scene.released is None else scene.released
    now = (released >= start_frame) & (released < start_frame + round_.frames)
    rows = np.zeros(len(coming), np.int64)
    names = np.array([action.name for action in round_.actions])[coming.action]
    for name in np.unique(names):
        body = next((i for i, b in enumerate(scene.bodies) if b.emitted and b.name == name), -1)
        own, mine = np.flatnonzero((scene.particles.body == body) & now), names == name
        count, puffs = int(mine.sum()), body >= 0 and scene.bodies[body].material.model == "gas"
        if not len(own) or len(own) > count or (len(own) < count and not puffs):
            raise SimulationError(
                "The scene does not hold what the round's emitters let out; give it to them with `with_streams` first."
            )
        rows[mine] = own[np.argsort(released[own], kind="stable")][turn_of(len(own), count)]
    return rows


def _with(scene: Scene, added: Particles, bodies: list[Body], splats: Gaussians, shadow: Gaussians) -> Scene:
    """``scene`` with particles at its end, with ``splats`` that hang on them before those on the ground, and with the ``shadow`` that
    they throw at the end; it is bound to the last of them."""
    count, carried = len(scene.particles), scene.binding.carried
    new = torch.arange(count, count + len(added))
    old, dark = scene.binding, len(shadow)
    delta = old.delta
    if delta.dim():
        delta = torch.cat([delta[:carried], delta.new_ones(len(new)), delta[carried:], delta.new_ones(dark)])
    body = torch.cat([old.body, torch.from_numpy(added.body).long()]) if len(old.body) else old.body
    binding = Binding(
        torch.cat([old.particle[:carried], new, old.particle[carried:], new[-1:].expand(dark)]),
        torch.cat(
            [old.offsets[:carried], torch.zeros(len(new), 3), old.offsets[carried:], torch.zeros(dark, 3)]
        ),
        delta,
        torch.cat([old.ground, torch.full((dark,), int(added.body[-1]))]),
        torch.cat([old.fade, torch.zeros(dark)]),
        body,
        old.footings,
    )
    region = None if scene.region is None else np.concatenate([scene.region, np.zeros(len(added), np.int32)])
    foreground = Gaussians.cat([scene.foreground[:carried], splats, scene.foreground[carried:], shadow])
    return replace(
        scene,
        foreground=foreground,
        binding=binding,
        particles=scene.particles.followed_by(added),
        bodies=bodies,
        region=region,
    )


def awaiting(scene: Scene, state: State) -> State:
    """``state`` in ``scene``, which holds more particles than it by those that its round lets out: they wait. A state that is not of
    this scene comes back as it is."""
    had, has = len(state.particles), len(scene.particles)
    new = scene.particles.body[had:]
    if had >= has or not all(scene.bodies[i].emitted for i in np.unique(new)):
        return state
    waiting = Particles.at_rest(scene.particles.positions[had:], new)
    total = np.concatenate([state.total_F, np.zeros((has - had, 3, 3), np.float32)])
    return replace(state, particles=state.particles.followed_by(waiting), total_F=total)


def with_looks(scene: Scene, sh: torch.Tensor, offsets: torch.Tensor | None) -> Scene:
    """``scene`` with its splats' colours ``sh`` [n, K, 3] and places on their particles ``offsets`` [n, 3] that an earlier round left;
    those that came since, or all without ``offsets``, have their own."""
    known = arrivals(scene)[: len(sh)].sort().values  # that round's splats, in the order that it had them in
    foreground = replace(scene.foreground, sh=scene.foreground.sh.index_copy(0, known, sh))
    if offsets is None:
        return replace(scene, foreground=foreground)
    binding = replace(scene.binding, offsets=scene.binding.offsets.index_copy(0, known, offsets))
    return replace(scene, foreground=foreground, binding=binding)


def arrivals(scene: Scene) -> torch.Tensor:
    """[N]: the objects' splats in the order in which they come: the picture's own, then with each emitted particle those bound to it.
    So those of a round come first among those of a later one, in the same order."""
    emitted = np.array([body.emitted for body in scene.bodies], bool)
    late = torch.from_numpy(emitted[scene.particles.body])[scene.binding.particle]
    return torch.argsort(torch.where(late, scene.binding.particle, -1), stable=True)


def _space(
    emitter: Emitter, material: Material, coming: Releases, mine: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """[n, 3] m: corners of its mouth, and of how far the stream of a gas may go.

    A jet slows down to 6 d / x of its speed at x from a mouth of diameter d (Pope 2000, 5.1), so that it goes sqrt(12 d v t) in t s;
    and it may rise by its own lightness by half as much.
    """
    frames, first = np.unique(coming.frames[mine], return_index=True)
    mouth = np.array([sample_vector(emitter.location, frame) for frame in frames])
    ends = [mouth.min(0) - emitter.radius, mouth.max(0) + emitter.radius]
    if material.model == "gas":
        v = coming.velocities[mine][first]
        speed = np.linalg.norm(v, axis=1, keepdims=True)
        far = np.sqrt(12.0 * 2.0 * emitter.radius * speed * material.lifetime)
        reached = mouth + v / np.maximum(speed, 1e-9) * far
        ends += [reached.min(0), reached.max(0) + np.array([0.0, 0.0, 0.5 * float(far.max())])]
    return np.stack(ends)


def mixing(scene: Scene) -> NDArray[np.int64]:
    """[B]: for each body the first one whose velocity field on the grid it shares. What an emitter lets out mixes with other matter of
    the same kind, as water does with water; all else meets as separate bodies."""
    leader = np.arange(len(scene.bodies))
    for i, body in enumerate(scene.bodies):
        same = [j for j in range(i) if body.emitted and scene.bodies[j].material == body.material]
        leader[i] = leader[same[0]] if same else i
    return leader


def _material(emitter: Emitter) -> Material:
    material = resolve(emitter.material)
    if material.model not in MODELS:
        raise SimulationError(
            f"Emitter '{emitter.name}' lets out {material.preset}, which is {material.model} and cannot pour; choose a liquid, "
            "sand, snow, something soft such as cream, or a gas."
        )
    return material


def _too_many(name: str) -> SimulationError:
    return SimulationError(
        f"Emitter '{name}' would let out more than the {MOST} particles that a take may come to; make its mouth or its speed smaller, "
        "its window shorter, or the particle spacing larger."
    )
