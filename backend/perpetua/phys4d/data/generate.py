"""Makes all scenes of a configuration on Ray: one actor a simulator process, each taking the next scene when it is done with one.

A worker that is killed costs the scene it had, which another is given; a run that is stopped goes on where it was, since finished scenes
have their shards. What a scene is depends on its number alone, so neither the number of workers nor their order changes any clip.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from perpetua.errors import DataError
from perpetua.phys4d.data.config import DataConfig, check, load_config, scene_name
from perpetua.phys4d.data.store import is_done, write_index
from perpetua.progress import Progress

MOST_DEATHS = 2
"""Of workers over one scene, before it is left out: what kills three is the scene."""
CONFIG = "config.yaml"
SceneJob = Callable[[DataConfig, int, Path], str]
"""Makes scene number so of a configuration into a folder, and returns a few words."""


@dataclass
class Made:
    """scenes and clips: in the folder now.  deaths: of workers in this run.  left_out: scenes that killed too many."""

    scenes: int = 0
    clips: int = 0
    deaths: int = 0
    failed: int = 0
    left_out: list[str] = field(default_factory=list)


def generate(
    config: DataConfig,
    folder: Path,
    workers: int,
    address: str | None,
    progress: Progress,
    job: SceneJob | None = None,
) -> Made:
    """Make what is missing of ``config`` in ``folder``, on this machine or on the cluster at ``address``, which must see the same folder.

    job: what makes a scene; ``make_scene`` if None.
    """
    from perpetua.phys4d.data.templates import check_templates

    check(config)
    check_templates(config)
    if workers < 1:
        raise DataError(f"{workers} workers make nothing; use one or more.")
    _keep_config(config, folder)
    waiting = deque(i for i in range(config.scenes) if not is_done(folder, scene_name(config, i)))
    made = Made()
    if waiting:
        ray = _start_ray(address, min(workers, len(waiting)))
        try:
            _run(ray, config, folder, waiting, min(workers, len(waiting)), progress, made, job)
        finally:
            ray.shutdown()
    made.clips = write_index(folder)
    made.scenes = len(list((folder / "shards").glob("*.parquet")))
    made.failed = len(list((folder / "failed").glob("*.json")))
    return made


class _Worker:
    """A simulator process. The engine keeps process-wide state, so a process makes one scene at a time."""

    def __init__(self, config: bytes, folder: str, job: SceneJob | None) -> None:
        self._config = msgspec.json.decode(config, type=DataConfig)
        if job is None:
            from perpetua.phys4d.data.scene_job import make_scene  # heavy, and only workers need it

            job = make_scene
        self._folder, self._job = Path(folder), job

    def make(self, index: int) -> str:
        return self._job(self._config, index, self._folder)


def _run(
    ray: Any,
    config: DataConfig,
    folder: Path,
    waiting: deque[int],
    workers: int,
    progress: Progress,
    made: Made,
    job: SceneJob | None,
) -> None:
    kind = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
    encoded = msgspec.json.encode(config)
    deaths: dict[int, int] = {}
    total, done = len(waiting), 0
    busy: dict[Any, tuple[Any, int]] = {}

    def give(worker: Any | None) -> None:
        if waiting:
            worker = worker or kind.remote(encoded, str(folder.resolve()), job)
            index = waiting.popleft()
            busy[worker.make.remote(index)] = (worker, index)

    for _ in range(workers):
        give(None)
    while busy:
        (ready,), _ = ray.wait(list(busy), num_returns=1)
        worker, index = busy.pop(ready)
        name = scene_name(config, index)
        try:
            text = ray.get(ready)
            done += 1
            progress(done / total, text)
        except ray.exceptions.RayActorError:
            made.deaths += 1
            deaths[index] = deaths.get(index, 0) + 1
            worker = None
            if deaths[index] <= MOST_DEATHS:
                waiting.appendleft(index)
                progress(done / total, f"a worker died over {name}; another makes it again")
            else:
                made.left_out.append(name)
                progress(done / total, f"{name} is left out: it ended {deaths[index]} workers")
        except ray.exceptions.RayTaskError as error:
            raise DataError(f"Scene {name} could not be made: {error.cause or error}") from error
        give(worker)


def _start_ray(address: str | None, workers: int) -> Any:
    """Ray, on this machine with room for ``workers``, or joined to the cluster at ``address``."""
    try:
        import ray
    except ImportError as error:
        raise DataError(
            "Ray is not installed, which shares scenes among processes; run `make setup`."
        ) from error
    # Ray would hide the GPU from workers that ask for none
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    os.environ.update({"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    options: dict[str, Any] = (
        {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
    )
    try:
        ray.init(
            **options, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": environment}
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DataError(
            f"Ray did not start ({error}); check --address, or leave it out to use this machine."
        ) from error
    return ray


def _keep_config(config: DataConfig, folder: Path) -> None:
    """Write the configuration beside the data, or see that what is there was made with the same (but for how many scenes)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG
    if path.is_file():
        before = load_config(path)
        if msgspec.structs.replace(before, scenes=config.scenes) != config:
            raise DataError(
                f"{folder} holds data made with another configuration ({path}); choose another --out, or delete it."
            )
    path.write_text(yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False), encoding="utf-8")
