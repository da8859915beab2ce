"""Configurations, draws, templates and shapes: nothing is simulated."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import trimesh

from perpetua.errors import DataError
from perpetua.phys4d.data import draws
from perpetua.phys4d.data.cameras import camera_path
from perpetua.phys4d.data.config import DataConfig, HeldOut, load_config
from perpetua.phys4d.data.shapes import hull_mesh, solid, volume
from perpetua.phys4d.data.spec import CATEGORIES, Form, SceneSpec
from perpetua.phys4d.data.templates import TEMPLATES, check_templates, draw_scene, held_out
from perpetua.phys4d.data.world import build, start
from perpetua_protocol.take import Round

SOLIDS = ("ball", "box", "cylinder", "cone", "torus", "stone")


def test_a_configuration_is_read_and_refused_by_the_field_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("scenes: 3\ncategories: [soft]\nheld_out: {cameras: [orbit]}\n")
    config = load_config(path)
    assert (config.scenes, config.categories, config.held_out.cameras) == (3, ("soft",), ("orbit",))
    for text, says in (
        ("scenes: 0", "no scene"),
        ("frames: 1", "two frames"),
        ("width: 33", "even numbers"),
        ("fine_particles: 100", "more than it"),
        ("categories: [jam]", "jam"),
        ("colour: red", "colour"),
        ("held_out: {cameras: [drone]}", "drone"),
        ("scenes: [", "YAML"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=says):
            load_config(path)
    with pytest.raises(DataError, match="no file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="tornado"):
        check_templates(DataConfig(held_out=HeldOut(templates=("tornado",))))
    with pytest.raises(DataError, match="custard"):
        check_templates(DataConfig(held_out=HeldOut(materials=("custard",))))
    check_templates(DataConfig())


def test_every_template_makes_scenes_that_can_be_built() -> None:
    config = DataConfig(coarse_particles=60, fine_particles=120)
    met: dict[str, SceneSpec] = {}
    for index in range(400):
        spec = draw_scene(config, index)
        met.setdefault(spec.template, spec)
        if len(met) == sum(map(len, TEMPLATES.values())):
            break
    assert sorted(met) == sorted(name for of in TEMPLATES.values() for name in of)
    for spec in met.values():
        scene = build(spec, spec.spacings[0])
        assert spec.spacings[1] < spec.spacings[0]
        assert len({thing.name for thing in spec.things}) == len(spec.things)
        assert scene.particles.positions[:, 2].min() > -1e-4, spec.template
        assert np.isfinite(start(spec, scene).particles.velocities).all()
        Round(spec.frames, (*spec.actions, *(s.emitter for s in spec.streams)))
        for owner in range(len(spec.things)):
            assert (scene.particles.body == owner).sum() >= 4, (spec.template, owner)


def test_the_same_number_is_the_same_scene_and_another_is_another() -> None:
    config = DataConfig()
    first, again, other = draw_scene(config, 4), draw_scene(config, 4), draw_scene(config, 13)
    assert first == again
    assert msgspec.json.decode(msgspec.json.encode(first), type=SceneSpec) == first
    assert first.category == other.category
    assert first.things != other.things
    assert draw_scene(msgspec.structs.replace(config, seed=1), 4) != first


def test_complexity_follows_the_table() -> None:
    random = np.random.default_rng(0)
    counts = np.array([draws.count(random) for _ in range(4000)])
    share = [(counts == 1).mean(), (counts == 2).mean(), (counts > 2).mean()]
    assert share == pytest.approx([0.30, 0.35, 0.35], abs=0.03)
    assert counts.max() == 5


def test_the_split_holds_out_templates_materials_and_camera_paths() -> None:
    config = DataConfig()
    specs = [draw_scene(config, i) for i in range(90)]
    for spec in specs:
        for plan in spec.cameras:
            reasons = held_out(config, spec, plan.path)
            assert ("template" in reasons) == (spec.template in config.held_out.templates)
            assert ("camera" in reasons) == (plan.path == "crane")
            made_of = {t.material.preset for t in spec.things} | {
                s.emitter.material.preset for s in spec.streams
            }
            assert ("material" in reasons) == bool(made_of & {"foam", "honey", "denim"})
    assert {spec.category for spec in specs} == set(CATEGORIES)


@pytest.mark.parametrize("kind", SOLIDS)
def test_particles_fill_a_shape_and_its_surface_is_closed(kind: str) -> None:
    form = Form(kind, (0.06, 0.05, 0.02 if kind == "torus" else 0.055), seed=3)  # type: ignore[arg-type]
    made = solid(form, 0.002)
    mesh = trimesh.Trimesh(made.vertices, made.faces)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert len(made.points) * 0.002**3 == pytest.approx(volume(form), rel=0.08)
    assert mesh.bounds[0, 2] == pytest.approx(0, abs=0.004)
    assert (made.points > mesh.bounds[0] - 1e-3).all()
    assert (made.points < mesh.bounds[1] + 1e-3).all()
    assert trimesh.Trimesh(*hull_mesh(form)).volume == pytest.approx(mesh.volume, rel=0.1)


def test_a_rope_has_a_closed_tube_around_its_band() -> None:
    for size in ((0.15, 0.01, 0.0), (0.0, 0.01, 0.15)):
        made = solid(Form("rope", size), 0.005)
        assert made.skin is not None
        tube = trimesh.Trimesh(*made.skin)
        assert tube.is_watertight
        assert tube.volume == pytest.approx(np.pi * 0.005**2 * 0.15, rel=0.15)
        assert np.abs(tube.centroid - made.points.mean(0)).max() < 2e-3


def test_fixed_cameras_stand_and_moving_ones_keep_what_they_look_at_in_view() -> None:
    config = DataConfig()
    for index in range(12):
        spec = draw_scene(config, index)
        followed = (
            np.tile(np.asarray(spec.middle), (spec.frames, 1)) + np.linspace(0, 0.05, spec.frames)[:, None]
        )
        assert [plan.path for plan in spec.cameras[:3]] == ["fixed"] * 3
        assert "fixed" not in [plan.path for plan in spec.cameras[3:]]
        for plan in spec.cameras:
            way = camera_path(spec, plan, followed)
            moved = np.linalg.norm(way[-1].position - way[0].position)
            assert (moved == 0) == (plan.path == "fixed")
            for camera, point in zip(way, followed, strict=True):
                target = point if plan.path == "tracking" else np.asarray(spec.middle)
                pixels, depth = camera.project(target[None])
                assert depth[0] > 0.1
                assert (np.abs(pixels[0] - (camera.width / 2, camera.height / 2)) < 0.3 * camera.width).all()
