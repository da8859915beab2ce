"""``perpetua batch`` with a Blender program, played by a script: what it is asked, and what is said of how it ends.

The whole way, with bpy and a backend, is in tests/blender/test_shots.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from perpetua.cli.main import run

BLENDER = """#!{python}
import sys
arguments = sys.argv[1:]
print("Blender 5.2.2 LTS")
assert arguments[:1] + arguments[2:5] == ["-b", "--python-exit-code", "1", "--python-expr"], arguments
print("Perpetua: asked", arguments[5].splitlines()[-1])
if "bad" in arguments[1]:
    print("Traceback (most recent call last):")
    print('  File "<string>", line 3, in <module>')
    print("RuntimeError: Error: The matter flew apart in round 1; weaken the force.")
    print("Error: script failed, expr: 'import bpy")
    print("if not dir(): raise RuntimeError('Error: no')', exiting.")
    sys.exit(1)
if "dies" in arguments[1]:
    sys.exit(11)
print("Blender quit")
"""


@pytest.fixture
def blender(tmp_path: Path) -> Path:
    program = tmp_path / "blender"
    program.write_text(BLENDER.format(python=sys.executable))
    program.chmod(0o755)
    return program


def shots(tmp_path: Path, *names: str) -> list[str]:
    paths = [tmp_path / f"{name}.blend" for name in names]
    for path in paths:
        path.touch()
    return [str(path) for path in paths]


def test_every_shot_is_asked_the_same_and_failures_are_named(tmp_path, blender, capsys):
    files = shots(tmp_path, "good", "bad", "dies")
    options = ["--blender", str(blender), "--frames", "3-9", "--rounds", "2", "--no-bake", "--json"]
    assert run(["batch", *files, *options]) == 1
    said = capsys.readouterr()
    results = json.loads(said.out)
    assert [r["ok"] for r in results] == [True, False, False]
    assert results[0]["said"] == (
        f"asked bpy.ops.perpetua.bake_and_render(directory='{tmp_path}/renders/good', frames='3-9', again=False, "
        "through_round=2, scene='', do_bake=False, do_render=True, save=True)"
    )
    log = tmp_path / "renders" / "bad" / "blender.log"
    assert results[1]["said"] == f"The matter flew apart in round 1; weaken the force. ({log})"
    assert "Blender 5.2.2 LTS" in log.read_text()
    assert results[2]["said"].startswith("Blender ended with code 11")
    assert "perpetua: bad.blend: The matter flew apart" in said.err


def test_a_batch_that_does_all_it_was_asked_ends_with_0(tmp_path, blender, capsys):
    files = shots(tmp_path, "a", "b")
    assert run(["batch", *files, "--blender", str(blender), "--no-bake", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("done") == 2
    assert (tmp_path / "out" / "b" / "blender.log").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "There is no shot"),
        (["gone.blend"], "There is no file gone.blend"),
        (["notes.txt"], "is no .blend file"),
        (["a.blend", "a.blend"], "Two shots would render into"),
        (["a.blend", "--no-bake", "--no-render"], "nothing is left to do"),
        (["a.blend", "--rounds", "-1"], "is no number of rounds"),
        (["a.blend", "--blender", "/no/blender"], "There is no Blender at /no/blender"),
    ],
)
def test_a_batch_that_cannot_begin_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    for name in ("a.blend", "notes.txt"):
        (tmp_path / name).touch()
    assert run(["batch", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("perpetua: ")
    assert sentence in said
    assert not (tmp_path / "renders").exists()
