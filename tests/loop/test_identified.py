"""How the loop asks for the physics and goes on with it, on an engine whose physics is one line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from perpetua.identify.quantities import Known
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.seen import Seen
from perpetua.loop.stage_files import load_known, load_state, load_suggestion, load_trajectory, save_known
from perpetua.loop.stages import Studio
from perpetua.optimize.api import Correction
from perpetua.optimize.knots import knot_frames
from perpetua.physics.api import RoundPlan, Simulation
from perpetua.progress import Progress
from perpetua.refine.none import NoRefiner
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, State, Trajectory
from perpetua.scene.presets import PRESETS
from perpetua_protocol.take import Force, Identify, ObjectSpec, Round, Take

CAMERA = Camera(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), np.eye(4), 64, 48, "front", "front")
TRUE_FRICTION = 0.3
BELIEVED = np.ones((4, 9), np.float32)
"""Four views, in every frame."""


class Slide:
    """An engine in which a body glides 1 cm a frame less 1 cm times its friction, and drifts with the winds."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        frames = np.arange(plan.round.frames + 1, dtype=np.float32)[:, None, None]
        speed = np.array([0.01 * (1 - body.material.friction) for body in scene.bodies])[scene.particles.body]
        way = frames * speed[None, :, None] * np.float32([1, 0, 0])
        for action in plan.round.actions:
            assert isinstance(action, Force)
            away = -np.array(action.location) / np.linalg.norm(action.location)
            way = way + 0.5 * (frames / plan.fps) ** 2 * np.float32(action.strength * away)
        positions = (state.particles.positions[None] + way).astype(np.float32)
        F = np.repeat(state.total_F[None], len(frames), 0)
        times = state.time + np.arange(len(frames)) / plan.fps
        end = replace(state.with_particles(positions=positions[-1]), time=float(times[-1]))
        return Simulation(Trajectory(positions, F, times), end, 1)


class NoEngine:
    """An engine that must not be asked."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        raise AssertionError("simulated")


def copy_with(start: Stage, known: Known, folder: Path) -> None:
    """A round's start at which so much is known."""
    for path in start.folder.glob("*.np*"):
        shutil.copy(path, folder)
    save_known(folder, known)


def studio(folder: Path, asked: Identify) -> tuple[Studio, Stage]:
    """A slab of jelly far from the ground, in round 1 of a take that asks so, and where it starts."""
    x, y, z = np.meshgrid(*(np.linspace(0, 0.1, n) for n in (4, 4, 3)), indexing="ij")
    points = torch.tensor(np.stack([x.ravel(), y.ravel(), z.ravel() + 1.0], -1), dtype=torch.float32)
    count = len(points)
    splats = Gaussians.from_colors(
        points, torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1), torch.full((count, 3), 0.03),
        torch.full((count,), 0.9), torch.full((count, 3), 0.5),
    )  # fmt: skip
    none = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    scene = Scene(
        Gaussians(*(torch.zeros(s) for s in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3)))),
        splats,
        Binding.to_nearest(points, points, torch.arange(count)),
        Particles.at_rest(points.numpy(), np.zeros(count, np.int32)),
        [Body("slab", PRESETS["jelly"], *none)],
        0.03,
        CAMERA,
        np.zeros((48, 64, 3), np.uint8),
        np.zeros((48, 64), np.float32),
        np.zeros(3),
    )
    take = Take("slab", "x.png", (ObjectSpec("slab"),), (Round(8), Round(8)), identify=asked)
    made = Studio(
        StageStore(folder), take, scene, Stage("scene", folder, True), CAMERA, [], Slide(),
        [NoRefiner(), NoRefiner()], Progress(), 1,
    )  # fmt: skip
    start, _ = made.opening()
    return made, start


def corrected(made: Studio, start: Stage, coarse: Stage) -> Stage:
    """A correction that leads to how the slab glides with its true friction."""
    true = [
        replace(b, material=msgspec.structs.replace(b.material, friction=TRUE_FRICTION))
        for b in made.scene.bodies
    ]
    truth = Slide().simulate(replace(made.scene, bodies=true), load_state(start), made._plan(), Progress())
    knots = knot_frames(8)
    off = truth.trajectory.positions - load_trajectory(coarse).positions
    correction = Correction(knots, off[knots.astype(int)], made.scene.foreground.sh.numpy(), trust=BELIEVED)
    return made.store.run("optimise", {"coarse": coarse}, lambda to: correction.save(to / "correction.npz"))


def test_accepted_physics_plays_its_round_again_and_is_known_in_the_next(tmp_path: Path) -> None:
    made, start = studio(tmp_path, "accept")
    coarse = made.simulate(start)
    found = made.identify(start, coarse, corrected(made, start, coarse))
    assert found is not None
    suggestion = load_suggestion(found)
    assert suggestion.accepted
    assert suggestion.explains > 0.9
    (friction,) = suggestion.findings
    assert (friction.object, friction.quantity) == ("slab", "friction")
    assert friction.value == pytest.approx(TRUE_FRICTION, rel=0.1)
    assert made.changed(found, start)
    again = made.simulate(start, found)
    glide = load_trajectory(again).positions[-1, 0, 0] - load_trajectory(again).positions[0, 0, 0]
    assert glide == pytest.approx(8 * 0.01 * (1 - TRUE_FRICTION), rel=0.1)

    nothing = Correction(knot_frames(8), np.zeros((3, 48, 3), np.float32), made.scene.foreground.sh.numpy())
    kept = made.store.run("optimise", {"coarse": again}, lambda to: nothing.save(to / "correction.npz"))
    end = made.write_back(again, kept)
    assert load_known(end) == load_known(found)
    later = load_trajectory(made.for_round(2).simulate(end)).positions[:, 0, 0]
    assert later[-1] - later[0] == pytest.approx(glide, rel=1e-3)


def test_both_rounds_are_played_for_what_the_second_is_asked(tmp_path: Path) -> None:
    made, start = studio(tmp_path, "offer")
    coarse = made.simulate(start)
    moved = corrected(made, start, coarse)
    first, second = Seen(made, start, coarse, moved), made.for_round(2)
    end = made.write_back(coarse, moved)
    again = second.simulate(end)
    still = corrected(second, end, again)
    alone, both = (load_suggestion(second.identify(end, again, still, seen)) for seen in (None, first))
    assert both.simulations > 1.5 * alone.simulations
    assert both.findings[0].value == pytest.approx(TRUE_FRICTION, rel=0.1)


def test_what_was_accepted_in_vain_is_taken_back_in_the_next_round(tmp_path: Path) -> None:
    """The first round's videos show a wind, as errors may; those of the second show the take's own physics."""
    made, start = studio(tmp_path, "accept")
    blown = Known({"wind_x": 2.0, "wind_y": 0.0}, {"wind_x": 1.0, "wind_y": 1.0})
    begin = made.store.run("blown", {}, lambda to: copy_with(start, blown, to))
    coarse = made.simulate(begin)
    calm = load_trajectory(made.simulate(start)).positions - load_trajectory(coarse).positions
    knots = knot_frames(8)
    correction = Correction(knots, calm[knots.astype(int)], made.scene.foreground.sh.numpy(), trust=BELIEVED)
    moved = made.store.run("optimise", {"coarse": coarse}, lambda to: correction.save(to / "correction.npz"))
    at_first = Seen(made, start, coarse, moved)
    found = made.identify(begin, coarse, moved, at_first)
    assert load_suggestion(found).accepted
    assert made.changed(found, begin)
    assert load_known(found).x["wind_x"] == pytest.approx(0.0, abs=0.1)
    assert [f.value for f in load_suggestion(found).findings] == [0.0]


def test_accepting_an_offer_asks_no_more(tmp_path: Path) -> None:
    made, start = studio(tmp_path, "offer")
    coarse = made.simulate(start)
    moved = corrected(made, start, coarse)
    made.identify(start, coarse, moved)
    accepting = replace(
        made,
        take=msgspec.structs.replace(made.take, identify="accept"),
        engine=NoEngine(),
    )
    found = accepting.identify(start, coarse, moved)
    assert load_suggestion(found).accepted
    assert accepting.changed(found, start)


def test_offered_physics_changes_nothing(tmp_path: Path) -> None:
    made, start = studio(tmp_path, "offer")
    coarse = made.simulate(start)
    found = made.identify(start, coarse, corrected(made, start, coarse))
    assert found is not None
    assert load_suggestion(found).findings
    assert not load_suggestion(found).accepted
    assert not made.changed(found, start)


def test_nothing_is_asked_or_found_where_nothing_is_to_be(tmp_path: Path) -> None:
    made, start = studio(tmp_path, "off")
    coarse = made.simulate(start)
    assert made.identify(start, coarse, coarse) is None
    asking = replace(made, take=msgspec.structs.replace(made.take, identify="offer"))
    still = Correction(knot_frames(8), np.zeros((3, 48, 3), np.float32), made.scene.foreground.sh.numpy())
    kept = made.store.run("optimise", {"coarse": coarse}, lambda to: still.save(to / "correction.npz"))
    found = asking.identify(start, coarse, kept)
    assert load_suggestion(found).simulations == 0
