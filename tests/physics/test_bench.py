"""The benchmark runs and reports; it asserts no times."""

import json

import numpy as np
import pytest

from perpetua.physics import bench
from perpetua.physics.bench import report
from perpetua.physics.bench.scenes import block


def case(particles, **changes):
    made = {
        "material": "jelly", "model": "elastic", "particles": particles, "substeps": 28, "device": "cpu", "start_s": 9.0,
        "start_cpu_s": 8.0, "again_s": 0.5, "other_s": 1.5, "family_s": 2.5,
        "memory_mib": 700.0, "frame_s": particles / 2e4,
        "bare_s": particles / 1e4, "overhead_fraction": -0.5, "particle_substeps_per_s": 5.6e5,
    }  # fmt: skip
    return {**made, **changes}


def fake(preset, size, *options, **environment):
    if preset == "steam":
        return case(size, material=preset, model="gas", bare_s=None, overhead_fraction=None)
    return case(size, material=preset)


PLAN = report.Plan(materials=("jelly", "steam"), sizes=(5000, 20000))


@pytest.mark.parametrize("json_wanted", [True, False])
def test_the_report_names_each_material_at_20_000_particles(json_wanted, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(report, "_case", fake)
    bench.run(json=json_wanted, plot=tmp_path / "growth.png", plan=PLAN)
    out = capsys.readouterr().out
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    if not json_wanted:
        assert "jelly     20,000" in out
        assert "-50.0%" in out
        return
    found = json.loads(out)["materials"]
    assert found["jelly"]["overhead_fraction"] == -0.5
    assert found["steam"]["overhead_fraction"] is None
    assert [size["particles"] for size in found["jelly"]["sizes"]] == [5000, 20000]
    assert found["jelly"]["start"]["cold_s"] == 9.0


@pytest.mark.parametrize("preset", ["jelly", "wood", "cotton"])
def test_what_is_measured_stands_or_hangs_over_the_plane(preset):
    scene = block(preset, 1000)
    assert 900 < len(scene.particles) < 1100
    assert scene.particles.positions[:, 2].min() > 0
    nearest = np.linalg.norm(scene.particles.positions[1:] - scene.particles.positions[0], axis=1).min()
    assert nearest == pytest.approx(scene.spacing, rel=1e-4)


@pytest.mark.slow
def test_a_material_is_measured_beside_genesis_alone():
    found = report.measure(report.Plan(materials=("jelly",), sizes=(200,)))["materials"]["jelly"]
    (size,) = found["sizes"]
    assert size["frame_s"] > 0 < size["bare_s"]
    assert found["overhead_fraction"] == size["overhead_fraction"] > -1
    assert found["start"]["cold_cpu_s"] > found["start"]["warm_cpu_s"] > 0
