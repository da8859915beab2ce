"""Links and joints: the model that Genesis is given, read by MuJoCo, whose format it is; and how particles ride on links."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from perpetua.errors import SimulationError
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.jointed import model_of, simulate_jointed, trajectory_of
from perpetua.phys4d.data.spec import SceneSpec
from perpetua.phys4d.data.templates import TEMPLATES, draw_scene
from perpetua.phys4d.data.world import build
from perpetua.physics import worlds

CONFIG = DataConfig(frames=4, categories=("articulated",), coarse_particles=100, fine_particles=200)


@pytest.fixture(scope="module")
def specs() -> dict[str, SceneSpec]:
    """A scene of each template."""
    found: dict[str, SceneSpec] = {}
    for index in range(60):
        spec = draw_scene(CONFIG, index)
        found.setdefault(spec.template, spec)
    assert set(found) == set(TEMPLATES["articulated"])
    return found


def names_of(spec: SceneSpec) -> list[str]:
    return [f"link_{i}" for i in range(len(spec.things))]


def test_links_and_joints_are_where_the_scene_says(specs: dict[str, SceneSpec]) -> None:
    for spec in specs.values():
        model = mujoco.MjModel.from_xml_string(model_of(spec, names_of(spec)))
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        for i, thing in enumerate(spec.things):
            body = data.body(f"link_{i}")
            assert body.xpos == pytest.approx(np.add(thing.at, (0, 0, thing.form.size[2] / 2)), abs=1e-6)
            turn = Rotation.from_quat(thing.turn, scalar_first=True)
            assert np.abs(body.xmat.reshape(3, 3) - turn.as_matrix()).max() < 1e-6
        for joint in spec.joints:
            index = int(model.body(f"link_{joint.child}").jntadr[0])
            assert data.xanchor[index] == pytest.approx(joint.anchor, abs=1e-6)
            kind = mujoco.mjtJoint.mjJNT_BALL if joint.axis is None else mujoco.mjtJoint.mjJNT_HINGE
            assert model.jnt_type[index] == kind
            if joint.axis is not None:
                assert data.xaxis[index] == pytest.approx(joint.axis, abs=1e-6)
        free = [i for i in range(len(spec.things)) if i not in {joint.child for joint in spec.joints}]
        assert (model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).sum() == len(free)


def test_particles_ride_on_their_links_and_joints_that_come_apart_are_refused(
    specs: dict[str, SceneSpec],
) -> None:
    spec = specs["chain"]
    scene = build(spec, spec.spacings[0])
    first = np.stack(
        [np.concatenate([np.add(t.at, (0, 0, t.form.size[2] / 2)), t.turn]) for t in spec.things]
    )
    poses = np.tile(first, (spec.frames, 1, 1))
    turn = Rotation.from_rotvec([0.0, 0.3, 0.0])
    poses[1:, 0, 3:] = (turn * Rotation.from_quat(first[0, 3:], scalar_first=True)).as_quat(scalar_first=True)
    poses[1:, 0, :3] += (0.01, 0.0, 0.0)
    moved = trajectory_of(spec, scene, poses)
    mine = scene.particles.body == 0
    rest = scene.particles.positions
    assert np.abs(moved.positions[0] - rest).max() < 1e-6
    expected = turn.apply(rest[mine] - first[0, :3]) + first[0, :3] + [0.01, 0, 0]
    assert np.abs(moved.positions[2, mine] - expected).max() < 1e-6
    assert np.abs(moved.F[2, mine] - turn.as_matrix()).max() < 1e-6
    assert np.array_equal(moved.positions[2, ~mine], moved.positions[0, ~mine])
    poses[2, 0, 0] += 30.0
    with pytest.raises(SimulationError, match="came apart"):
        trajectory_of(spec, scene, poses)


@pytest.mark.slow
def test_a_chain_swings_and_its_joints_hold(specs: dict[str, SceneSpec]) -> None:
    spec = specs["chain"]
    worlds.discard()
    scene = build(spec, spec.spacings[0])
    moved = simulate_jointed(spec, scene)
    assert np.linalg.norm(moved.positions[-1] - moved.positions[0], axis=1).max() > 2e-3
    for joint in spec.joints:
        ends = []
        for link in (joint.parent, joint.child):
            if link < 0:
                ends.append(np.asarray(joint.anchor))
                continue
            one = int(np.flatnonzero(scene.particles.body == link)[0])
            arm = np.asarray(joint.anchor) - moved.positions[0, one]
            ends.append(moved.positions[-1, one] + moved.F[-1, one] @ arm)
        assert np.linalg.norm(ends[0] - ends[1]) < 1e-3
