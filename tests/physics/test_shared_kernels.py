"""A second scene, of other sizes and other matter, uses the kernels of the first, and gets nothing else from it."""

import numpy as np
from physics_scenes import box_points, material, scene_of

from perpetua.physics import worlds
from perpetua.physics.api import RoundPlan
from perpetua.physics.genesis_engine import GenesisEngine
from perpetua.progress import Progress
from perpetua_protocol.take import Push, Round, Wind


def two_blocks(first, second, side, spacing):
    size = (side, side, side)
    return scene_of(
        [
            (first, material(first), box_points(size, spacing, (-side, -side / 2, 0.0))),
            (second, material(second), box_points(size, spacing, (0.0, -side / 2, 0.0))),
        ],
        spacing,
    )


def play(scene, frames=1):
    actions = (
        Push("push", (-0.02, 0, 0.02), (1, 0, 0), 2.0, reach=0.03),
        Wind("wind", speed=1.0, drag=1.0),
    )
    plan = RoundPlan(Round(frames, actions), 0, 24.0, (0, 0, -9.81))
    return GenesisEngine().simulate(scene, scene.rest_state(), plan, Progress()).trajectory.positions


def compiled():
    """How many variants of each kernel there are in this process."""
    from perpetua.physics.shared_kernels import Shared

    return {
        f"{kind.__name__}.{name}": len(method._primal.materialized_kernels)
        for kind in Shared.__subclasses__()
        for name, method in vars(kind).items()
        if getattr(method, "_primal", None) is not None
    }


def test_another_scene_compiles_no_kernel_and_meets_nothing_of_the_first():
    first = two_blocks("jelly", "clay", 0.04, 0.01)
    second = two_blocks("dry sand", "water", 0.05, 0.0125)
    alone = play(second)
    worlds.discard()
    play(first)
    before = compiled()
    assert before["SoftGrid.scatter"] == 1
    between = play(second)
    assert compiled() == before
    np.testing.assert_array_equal(between, alone)


def test_worlds_that_end_leave_their_kernels_and_give_back_their_arrays():
    scene = two_blocks("jelly", "clay", 0.04, 0.01)
    first = play(scene)
    before, (soft,) = compiled(), worlds.living().parts
    arrays = [soft._grid.node, soft.matter.pos, soft._colliders.gap]
    assert min(np.prod(array.shape) for array in arrays) > 100
    worlds.forget()
    arrays = [soft._grid.node, soft.matter.pos, soft._colliders.gap]
    assert [np.prod(array.shape) for array in arrays] == [1, 1, 1]
    np.testing.assert_array_equal(play(scene), first)
    assert compiled() == before
