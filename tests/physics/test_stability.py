"""The stability rule and the box of cells."""

import numpy as np
import pytest
from physics_scenes import ball_points, material, scene_of

from perpetua.errors import SimulationError
from perpetua.physics import grid
from perpetua.physics.stability import COURANT, choose_substeps, largest_substep, wave_speed


def bodies(*presets, **changes):
    points = ball_points(0.02, 0.005, (0, 0, 0.02))
    return scene_of([(p, material(p, **changes), points) for p in presets], 0.005).bodies


def test_the_stiffest_body_decides():
    dx = 0.01
    both = choose_substeps(bodies("jelly", "clay"), dx, 24.0, 0.0)
    assert (
        both
        == choose_substeps(bodies("clay"), dx, 24.0, 0.0)
        > choose_substeps(bodies("jelly"), dx, 24.0, 0.0)
    )
    assert wave_speed(material("clay")) / 24.0 / both / dx <= COURANT
    assert both % 4 == 0


def test_viscosity_limits_the_substep_of_a_thick_liquid():
    thin, thick = material("honey"), material("honey", viscosity=500.0)
    assert largest_substep(thick, 0.01) == pytest.approx(1420 * 0.01**2 / (6 * 500.0))
    assert largest_substep(thin, 0.01) > largest_substep(thick, 0.01)


@pytest.mark.parametrize("changes", [{"youngs_modulus": 1e13}, {"density": 1e-9}])
def test_a_material_that_would_take_for_ever_is_named(changes):
    with pytest.raises(SimulationError, match=r"'clay' needs \d+ substeps.*lower its Young's modulus"):
        choose_substeps(bodies("clay", **changes), 0.01, 24.0, 0.0)


def test_fast_matter_takes_more_substeps():
    calm, fast = (choose_substeps(bodies("jelly"), 0.01, 24.0, speed) for speed in (1.0, 20.0))
    assert fast > calm
    assert fast % calm == 0


def test_a_cap_that_would_explode_is_refused_by_name_and_a_coarse_one_is_taken():
    wanted = choose_substeps(bodies("clay"), 0.01, 24.0, 0.0)
    assert choose_substeps(bodies("clay"), 0.01, 24.0, 0.0, wanted - 8) == wanted - 8
    with pytest.raises(SimulationError, match=r"'clay' needs \d+ substeps.*only 8.*Young's modulus"):
        choose_substeps(bodies("clay"), 0.01, 24.0, 0.0, 8)


def test_what_is_on_no_grid_has_an_end_to_its_world_too():
    positions = np.zeros((4, 3))
    grid.check_near(positions, np.array([0, 0, 1, 1]), ["cup", "rag"], 7)
    positions[3, 1] = -300.0
    with pytest.raises(SimulationError, match=r"'rag' leaves the space .* at frame 7"):
        grid.check_near(positions, np.array([0, 0, 1, 1]), ["cup", "rag"], 7)


def test_boxes_stay_on_the_same_nodes_as_they_grow_and_end_somewhere():
    low, high = np.array([-0.03, -0.03, 0]), np.array([0.03, 0.03, 0.06])
    box = grid.box_around(low, high, 0.006, 0.06)
    assert box.holds(low, high)
    moved = high + np.array([0.2, 0, 0])
    assert not box.holds(low, moved)
    larger = grid.grown(box, low, moved, 0.0, "ball", 3)
    assert larger.holds(low, moved)
    assert larger.lower == box.lower
    assert larger.upper[1:] == box.upper[1:]
    with pytest.raises(
        SimulationError,
        match=r"frame 3 'ball' needs a grid of 30 x .* nodes 6 mm apart for 1 soft body: .* GB",
    ):
        grid.grown(box, low, high + 30.0, 0.0, "ball", 3)
    with pytest.raises(SimulationError, match=r"'ball' leaves the space.*frame 3"):
        grid.grown(box, low + 300.0, high + 300.0, 0.0, "ball", 3)


def test_a_box_follows_matter_that_goes_far_and_every_soft_body_counts():
    low, high = np.array([-0.03, -0.03, 0]), np.array([0.03, 0.03, 0.06])
    box = grid.box_around(low, high, 0.006, 0.06)
    far = np.array([20.0, 20.0, 0.0])
    there = grid.grown(box, low + far, high + far, 0.01, "ball", 3)
    assert there.holds(low + far, high + far, 0.01)
    assert not there.holds(low, high)
    assert there.bytes(1) < 4 * box.bytes(1)
    wide = grid.box_around(low, high, 0.006, 0.6)
    grid.check_size(wide, 1, "ball", 0)
    with pytest.raises(SimulationError, match=r"for 12 soft bodies: .*larger particle spacing"):
        grid.check_size(wide, 12, "ball", 0)
