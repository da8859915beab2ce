"""Every numbered script stages a shot that plays; one at toy size always, all of them with the slow tests."""

import runpy
from pathlib import Path

import av
import numpy as np
import pytest

from perpetua.demo.staged import Prop, Shot, ball, sheet, stage

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path for path in FOLDER.glob("[0-9]*.py") if "SHOT" in path.read_text())


def test_props_stand_where_they_are_put_and_are_seen():
    shot = Shot(
        "two",
        (
            Prop("ball", "jelly", ball(0.03), at=(0.1, 0, 0)),
            Prop("rag", "cotton", sheet(0.1, 0.1), at=(0, 0, 0.2)),
        ),
        (),
    )
    scene = stage(shot)
    rag = scene.particles.body == 1
    np.testing.assert_allclose(scene.particles.positions[~rag].mean(0), [0.1, 0, 0.03], atol=1e-3)
    np.testing.assert_allclose(scene.particles.positions[rag], scene.bodies[1].vertices, atol=1e-6)
    assert [body.resting for body in scene.bodies] == [True, False]
    assert len(scene.foreground) == len(scene.particles) + len(scene.binding.ground)


def test_there_is_a_script_for_every_material_model():
    from perpetua.scene.materials import resolve
    from perpetua_protocol.take import Emitter, MaterialSpec

    models = set()
    for path in SCRIPTS:
        shot = runpy.run_path(str(path))["SHOT"]
        poured = [a.material for turn in shot.rounds for a in turn.actions if isinstance(a, Emitter)]
        for made_of in [prop.material for prop in shot.props] + poured:
            models.add(resolve(MaterialSpec(made_of) if isinstance(made_of, str) else made_of).model)
    assert models >= {"elastic", "plastic", "snow", "sand", "liquid", "rigid", "cloth", "gas"}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_leaves_a_film(path, tmp_path):
    shot = runpy.run_path(str(path))["SHOT"].toy()
    trajectory = shot.play(tmp_path / "film.mp4")
    assert trajectory.frames == 1 + 4 * len(shot.rounds)
    assert np.isfinite(trajectory.positions).all()
    with av.open(tmp_path / "film.mp4") as film:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(pictures) == trajectory.frames
    assert np.abs(pictures[-1] - pictures[0]).max() > 20, "something moves"
