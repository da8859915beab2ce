"""Start a backend, start Blender with the add-on, let it play, and show what came out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from perpetua.cache.export_usd import export_usd
from perpetua.cli.blender import blender_python
from perpetua.cli.console import table
from perpetua.demo.contact_sheet import contact_sheet
from perpetua.errors import PerpetuaError, PictureError
from perpetua.scene.materials import guess
from perpetua.scene.presets import PRESETS
from perpetua.server.launch import own_backend
from perpetua.take_file import save_take
from perpetua_protocol.cache import Cache

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "examples" / "clay_ball.png"
SAMPLE_CLICK = "640,460"
DRIVER = ROOT / "scripts" / "demo_in_blender.py"


class DemoError(PerpetuaError):
    """The demo could not be played."""

    code = "demo"


def play_demo(picture: Path | None, click: str | None, material: str | None, out: Path) -> int:
    """Play the demo into ``out``; see the command's help. Returns the exit code."""
    started = time.monotonic()
    python = blender_python()
    if python is None or not DRIVER.exists():
        raise DemoError("The demo needs a checkout with its Blender environment; run `make demo` there.")
    image, pixel = _picture_and_click(picture, click)
    preset = _material(image, material)
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    connection = out / "backend.json"
    with own_backend(out / "store", connection, out / "backend.log"):
        environment = {
            **os.environ,
            "PERPETUA_CONNECTION": str(connection),
            "BLENDER_USER_RESOURCES": str(out / "blender"),
        }
        command = [str(python), str(DRIVER), "--", str(image), pixel, preset, str(out)]
        code = subprocess.run(command, env=environment, check=False).returncode
    if code != 0:
        print(
            f"perpetua: the demo stopped in Blender (exit code {code}); its messages are above.",
            file=sys.stderr,
        )
        return 1
    _show(out, image, time.monotonic() - started)
    return 0


def _picture_and_click(picture: Path | None, click: str | None) -> tuple[Path, str]:
    image = (picture or SAMPLE).expanduser().resolve()
    if not image.is_file():
        raise PictureError(f"There is no picture at {image}; check the path.")
    if click is None:
        if picture is not None:
            raise PictureError(
                "A picture of your own needs a click inside the object, such as CLICK=640,480."
            )
        click = SAMPLE_CLICK
    if not re.fullmatch(r"\s*\d+(\.\d+)?\s*,\s*\d+(\.\d+)?\s*", click):
        raise PictureError(
            f"The click '{click}' is not two numbers; write it as x,y in pixels, such as 640,480."
        )
    return image, click


def _material(image: Path, material: str | None) -> str:
    if material is not None:
        if material not in PRESETS:
            raise DemoError(
                f"There is no material called '{material}'; choose one of: {', '.join(sorted(PRESETS))}."
            )
        return material
    preset = guess(image.stem) or "clay"
    print(f"material: {preset} (from the picture's name; MATERIAL=... changes it)")
    return preset


def _show(out: Path, image: Path, seconds: float) -> None:
    cache = Cache(out / "cache")
    sheet = contact_sheet(sorted(out.glob("round_*_*.mp4")), out / "contact_sheet.png")
    usd = export_usd(out / "cache", out / "scene.usdc")
    meta = cache.meta
    save_take(msgspec.structs.replace(meta.take, picture=str(image)), out / "take.yaml")
    rows = [
        [
            f"round {r.index}" if r.index else "picture",
            str(r.frames),
            f"{r.seconds:.1f}" if r.seconds else "found" if r.index else "",
            r.state_sha256[:16],
        ]
        for r in meta.rounds
    ]
    print()
    print(table(["", "frames", "bake seconds", "state digest"], rows))
    print(
        f"\n{meta.particles} particles, {meta.foreground} + {meta.background} gaussians (objects + background), "
        f"{meta.frames} frames, {seconds:.0f} s in all\n"
    )
    for path in [
        out / "scene.blend",
        out / "take.yaml",
        out / "cache",
        usd,
        *sorted(out.glob("round_*_*.mp4")),
        sheet,
    ]:
        print(path)
