"""``perpetua batch *.blend``: bakes and renders shots one after the other in a Blender without a window, with one backend.

A shot that fails does not stop the others. What is baked and rendered already is not made again, so the same command goes on where
it was stopped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from perpetua.cli.blender import background_command
from perpetua.cli.console import table
from perpetua.errors import PerpetuaError
from perpetua.server.launch import own_backend
from perpetua_protocol.client import Client
from perpetua_protocol.errors import ProtocolError
from perpetua_protocol.keys import default_connection_file

WITHOUT_ADDON = "Error: This Blender has no Perpetua add-on; install its zip there and switch it on."
RAISED = re.compile(r"(?:\w+\.)*\w+Error: (?:Error: )?(.+)")
"""The line that ends a traceback; an operator's sentence comes as ``RuntimeError: Error: ...``."""
SPEAKS = "Perpetua: "
"""How the lines begin that the add-on prints for people."""
CANCEL_S = 20.0
"""Longest a Blender may take to cancel its bake after an interrupt; then it is killed."""


class BatchError(PerpetuaError):
    """The batch cannot be begun."""

    code = "batch"


@dataclass(frozen=True)
class BatchPlan:
    """What is done with every shot. frames: such as ``1-48``; empty is the shot's own range. rounds: None bakes all."""

    out: Path | None
    frames: str
    rounds: int | None
    scene: str
    bake: bool
    render: bool
    again: bool
    save: bool
    blender: Path | None
    store: Path


class ShotResult(msgspec.Struct, frozen=True):
    """A line of the batch's table. said: the last that its Blender said, or the sentence of what went wrong."""

    shot: str
    folder: str
    ok: bool
    seconds: float
    said: str


def run_batch(shots: list[Path], plan: BatchPlan, as_json: bool) -> int:
    """Play every shot; returns 0 when all are done, else 1. Raises ``BatchError`` before anything is begun."""
    _check(shots, plan)
    results = []
    with _backend(plan) as connection:
        for place, shot in enumerate(shots, 1):
            print(f"[{place}/{len(shots)}] {shot}", file=sys.stderr, flush=True)
            results.append(_play(shot.resolve(), plan, connection))
    if as_json:
        print(msgspec.json.encode(results).decode())
    else:
        rows = [[r.shot, "done" if r.ok else "failed", f"{r.seconds:.0f}", r.said] for r in results]
        print(table(["shot", "", "seconds", ""], rows))
    return int(not all(result.ok for result in results))


def folder_of(shot: Path, out: Path | None) -> Path:
    """Where a shot's frames and log go: ``out``, or ``renders`` beside the file, each shot in a folder of its own."""
    return (out or shot.parent / "renders").resolve() / shot.stem


def expression_of(shot: Path, plan: BatchPlan) -> str:
    """What the shot's Blender is asked to do, in Python."""
    arguments = {
        "directory": str(folder_of(shot, plan.out)),
        "frames": plan.frames,
        "again": plan.again,
        "through_round": -1 if plan.rounds is None else plan.rounds,
        "scene": plan.scene,
        "do_bake": plan.bake,
        "do_render": plan.render,
        "save": plan.save,
    }
    written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return (
        "import bpy\n"
        f"if not dir(bpy.ops.perpetua): raise RuntimeError({WITHOUT_ADDON!r})\n"
        f"bpy.ops.perpetua.bake_and_render({written})"
    )


def _check(shots: list[Path], plan: BatchPlan) -> None:
    if not shots:
        raise BatchError("There is no shot; name .blend files, such as `perpetua batch shots/*.blend`.")
    for shot in shots:
        if not shot.is_file():
            raise BatchError(f"There is no file {shot}; check the path.")
        if shot.suffix != ".blend":
            raise BatchError(f"{shot} is no .blend file; a take.yaml is baked by `perpetua run`.")
    twice = [f for f, count in Counter(folder_of(s.resolve(), plan.out) for s in shots).items() if count > 1]
    if twice:
        raise BatchError(f"Two shots would render into {twice[0]}; leave out --out, or rename one of them.")
    if plan.rounds is not None and plan.rounds < 0:
        raise BatchError(f"--rounds {plan.rounds} is no number of rounds; 0 only reconstructs the picture.")
    if not (plan.bake or plan.render):
        raise BatchError("With --no-bake and --no-render nothing is left to do; drop one.")
    background_command(shots[0], "", plan.blender)


@contextmanager
def _backend(plan: BatchPlan) -> Iterator[Path | None]:
    """The connection file of a backend for all shots: the one that runs, else our own. None without a bake."""
    if not plan.bake:
        yield None
        return
    running = default_connection_file()
    if _answers(running):
        print(f"using the backend of {running}", file=sys.stderr, flush=True)
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="perpetua-batch-") as folder:
        connection = Path(folder) / "connection.json"
        with own_backend(plan.store, connection, Path(folder) / "backend.log"):
            yield connection


def _answers(connection: Path) -> bool:
    try:
        with Client.connect(connection) as client:
            client.hello()
    except ProtocolError:
        return False
    return True


def _play(shot: Path, plan: BatchPlan, connection: Path | None) -> ShotResult:
    """One shot in a Blender of its own; all it prints goes to ``blender.log`` in the shot's folder."""
    started = time.monotonic()
    folder = folder_of(shot, plan.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BatchError(f"{folder} cannot be made ({error.strerror}); choose another --out.") from error
    environment = dict(os.environ)
    if connection is not None:
        environment["PERPETUA_CONNECTION"] = str(connection)
    command = background_command(shot, expression_of(shot, plan), plan.blender)
    code, said = _follow(command, environment, folder / "blender.log")
    if code != 0:
        said = f"{said or f'Blender ended with code {code}'} ({folder / 'blender.log'})"
        print(f"perpetua: {shot.name}: {said}", file=sys.stderr, flush=True)
    return ShotResult(str(shot), str(folder), code == 0, round(time.monotonic() - started, 1), said)


def _follow(command: list[str], environment: dict[str, str], log: Path) -> tuple[int, str]:
    """Run a Blender and show what it says. Returns its exit code, and the last thing it said, or why it failed."""
    last = wrong = ""
    with (
        log.open("w", encoding="utf-8", buffering=1) as file,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as blender,
    ):
        assert blender.stdout is not None
        try:
            for line in blender.stdout:
                file.write(line)
                if line.startswith(SPEAKS):
                    last = line.removeprefix(SPEAKS).strip()
                    print(f"  {last}", file=sys.stderr, flush=True)
                elif (failed := RAISED.match(line)) is not None:
                    wrong = failed[1].strip()
        except KeyboardInterrupt:  # the terminal has told Blender as well, which cancels its bake
            _end(blender)
            raise
    return blender.returncode, last if blender.returncode == 0 else wrong


def _end(blender: subprocess.Popen[str]) -> None:
    try:
        blender.wait(CANCEL_S)
    except subprocess.TimeoutExpired:
        blender.kill()
        blender.wait()
