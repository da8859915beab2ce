"""What only a fresh process shows: how long the first draw takes, and how much memory one takes at its peak.

    python -m perpetua.render.bench.fresh start            import and first draw of this process, s
    python -m perpetua.render.bench.fresh memory 300000    peak above what the inputs take, MB

Each prints one JSON object. `first_draws` and `memory_above_inputs_mb` run them.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from perpetua import own_process
from perpetua.errors import RenderError

SMALL = 1000
"""Gaussians of the draw that loads the kernels."""
_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _child(*arguments: str, kernels: str | None = None) -> dict[str, Any]:
    """What this module prints in a process of its own; `kernels`: the folder of compiled kernels, the usual one when None."""
    environment = os.environ if kernels is None else {**os.environ, "NUMBA_CACHE_DIR": kernels}
    command = [sys.executable, "-m", "perpetua.render.bench.fresh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if done.returncode != 0:
        raise RenderError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def first_draws() -> dict[str, dict[str, float]]:
    """Of the first process after installation and of a later one: import_s from its start until everything is imported, and
    draw_s of its first forward and backward pass; import_cpu_s and draw_cpu_s are processor times."""
    with tempfile.TemporaryDirectory() as kernels:
        return {name: _child("start", kernels=kernels) for name in ("first_process", "later_process")}


def memory_above_inputs_mb(count: int) -> float | None:
    """Peak of a forward and backward pass of `count` Gaussians at 640 x 360 above what process and inputs take before it, in
    MB (1e6 bytes); image and gradients count. None where the system does not tell a process its peak (it is read in /proc)."""
    if not _FORGET_PEAK.exists():
        return None
    return _child("memory", str(count))["above_inputs_mb"]


def _start() -> dict[str, float]:
    from perpetua.render.bench.scenes import view
    from perpetua.render.bench.timing import descend, goal_of

    scene = view(SMALL)
    goal = goal_of(scene)
    imported = time.time() - psutil.Process().create_time()
    imported_cpu = time.process_time()
    before = time.perf_counter()
    descend(scene, goal)
    return {
        "import_s": imported,
        "import_cpu_s": imported_cpu,
        "draw_s": time.perf_counter() - before,
        "draw_cpu_s": time.process_time() - imported_cpu,
    }


def _bytes(field: str) -> int:
    """A field of this process's status, such as VmRSS (memory in use) or VmHWM (its peak)."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise RenderError(f"{_STATUS} has no {field}")
    return 1024 * int(found[1])


def _memory(count: int) -> dict[str, float]:
    from perpetua.render.bench.scenes import view
    from perpetua.render.bench.timing import descend, goal_of

    small, scene = view(SMALL), view(count)
    goal = goal_of(scene)
    descend(small, goal)
    gc.collect()
    before = _bytes("VmRSS")
    _FORGET_PEAK.write_text("5")
    descend(scene, goal)
    return {"above_inputs_mb": (_bytes("VmHWM") - before) / 1e6}


if __name__ == "__main__":
    own_process.begin()
    print(json.dumps(_start() if sys.argv[1] == "start" else _memory(int(sys.argv[2]))))
