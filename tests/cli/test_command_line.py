"""The command line: one sentence and an exit code for everything that can be asked wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from perpetua.cli.console import table
from perpetua.cli.doctor import Finding
from perpetua.cli.main import run
from perpetua.cli.run import summary_table
from perpetua.demo.contact_sheet import CELL_WIDTH, COLUMNS, contact_sheet, read_video
from perpetua.loop.bake import BakeSummary, RoundSummary
from perpetua.scene.materials import guess

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_clay_ball.yaml"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nowhere.yaml"], "no file nowhere.yaml"),
        (["run", str(EXAMPLE), "--rounds", "7"], "--rounds 7 is not among them"),
        (["export", "nowhere", "--verify"], "no cache at nowhere"),
        (["demo", "--picture", "nowhere.png"], "no picture at"),
        (["demo", "--picture", str(EXAMPLE)], "needs a click"),
        (["demo", "--click", "here"], "not two numbers"),
        (["demo", "--material", "cheese"], "no material called 'cheese'"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_sentence(arguments, sentence, capsys, tmp_path):
    extra = ["--out", str(tmp_path)] if arguments[0] == "demo" else []
    assert run([*arguments, *extra]) == 1
    said = capsys.readouterr().err
    assert said.startswith("perpetua: ")
    assert sentence in said
    assert "Traceback" not in said


def test_a_missing_picture_is_named_before_anything_is_made(tmp_path, capsys):
    take = EXAMPLE.read_text().replace("clay_ball.png", "gone.png")
    (tmp_path / "take.yaml").write_text(take)
    assert run(["run", str(tmp_path / "take.yaml"), "--store", str(tmp_path / "store")]) == 1
    assert "gone.png" in capsys.readouterr().err
    assert not (tmp_path / "take").exists()


def test_the_exit_code_of_the_process_is_that_of_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "perpetua", "run", "nowhere.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_doctor_reports_what_there_is(capsys):
    assert run(["doctor", "--json"]) == 0
    found = {f.topic: f for f in msgspec.json.decode(capsys.readouterr().out, type=list[Finding])}
    assert found["torch"].state == "ok"
    assert "teacher" in found["refiner"].text


def test_a_files_name_speaks_of_its_material():
    assert [guess(name) for name in ("play_doh", "Strawberry-Jam 2", "dumpling", "holiday")] == [
        "clay", "jam", "dough", None,
    ]  # fmt: skip


def test_a_contact_sheet_shows_each_video_from_start_to_end(tmp_path):
    from perpetua.cache.export_video import write_video

    frames = [np.full((36, 64, 3), 10 * i, np.uint8) for i in range(21)]
    write_video(tmp_path / "a.mp4", frames, 24, (64, 36))
    assert len(read_video(tmp_path / "a.mp4")) == 21
    sheet = np.asarray(Image.open(contact_sheet([tmp_path / "a.mp4"], tmp_path / "sheet.png")))
    assert sheet.shape[1] == COLUMNS * CELL_WIDTH
    middle = [int(sheet[-90, CELL_WIDTH * c + CELL_WIDTH // 2, 0]) for c in range(COLUMNS)]
    assert middle[0] < 12
    assert middle[-1] > 185
    assert middle == sorted(middle)


def test_a_table_is_aligned():
    assert table(["a", "bb"], [["ccc", "d"]]).splitlines() == ["a    bb", "---  --", "ccc  d"]


def test_the_bake_s_table_names_what_reached_nothing():
    line = RoundSummary(2, 24, 3.0, False, "d" * 64, ["gust"])
    text = summary_table(BakeSummary("c", 25, 10, 10, 10, 1.0, [line]))
    assert text.splitlines()[-1].startswith("'gust' reached no object in round 2: move it")
