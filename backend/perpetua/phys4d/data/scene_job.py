"""One scene from its number to its shard: drawn, simulated twice, filmed, measured, kept."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.phys4d.data.cameras import camera_path
from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.coarse import Coarse, film_coarse
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.cycles import Filmed, film
from perpetua.phys4d.data.spec import CameraPlan, SceneSpec
from perpetua.phys4d.data.store import About, write_shard
from perpetua.phys4d.data.surfaces import surfaces
from perpetua.phys4d.data.templates import draw_scene, held_out
from perpetua.phys4d.data.truth import Followed, Truth, followed_points, truth_of, visible
from perpetua.phys4d.data.world import simulate
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.particles import present

FLOW_LIMIT = 1.0e4
"""pixels; a 16-bit float holds it."""
T = TypeVar("T")
PACKAGES = ("genesis-world", "torch", "numpy")


def make_scene(config: DataConfig, index: int, folder: Path) -> str:
    """Make scene ``index`` and write its shard, or why its physics failed, into ``folder``. Returns a few words."""
    spec = draw_scene(config, index)
    try:
        clips, seconds = make_clips(config, spec)
    except SimulationError as error:
        path = folder / "failed" / f"{spec.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            msgspec.json.encode({"scene": spec.name, "template": spec.template, "error": str(error)})
        )
        return f"{spec.name} ({spec.template}) failed: {error}"
    write_shard(folder, spec.name, clips)
    return f"{spec.name} ({spec.template}): " + ", ".join(f"{k} {v:.0f} s" for k, v in seconds.items())


def make_clips(
    config: DataConfig, spec: SceneSpec
) -> tuple[list[tuple[About, ClipArrays]], dict[str, float]]:
    """The clips of all cameras, and the seconds that each stage took."""
    seconds: dict[str, float] = {}
    (coarse_scene, coarse_motion) = _timed(
        seconds, "coarse physics", lambda: simulate(spec, spec.spacings[0], Progress())
    )
    (scene, motion) = _timed(seconds, "fine physics", lambda: simulate(spec, spec.spacings[1], Progress()))
    shown = _timed(seconds, "surfaces", lambda: surfaces(spec, scene, motion))
    middle = _followed_middle(scene, motion)
    ways = {plan.name: camera_path(spec, plan, middle) for plan in spec.cameras}
    filmed = _timed(seconds, "fine picture", lambda: film(spec, shown, ways, config.samples))
    tracks = followed_points(spec, shown, scene, motion)
    arrays = {}
    begun = time.perf_counter()
    for name, way in ways.items():
        truth = truth_of(filmed[name], way, scene, motion)
        coarse = film_coarse(coarse_scene, coarse_motion, way, filmed[name])
        arrays[name] = _arrays(way, filmed[name], truth, coarse, tracks)
    seconds["coarse picture and truth"] = time.perf_counter() - begun
    return [(_about(config, spec, plan, seconds), arrays[plan.name]) for plan in spec.cameras], seconds


def _about(config: DataConfig, spec: SceneSpec, plan: CameraPlan, seconds: dict[str, float]) -> About:
    reasons = held_out(config, spec, plan.path)
    return About(
        clip=f"{spec.name}_{plan.name}",
        scene=spec.name,
        category=spec.category,
        template=spec.template,
        camera=plan.name,
        path=plan.path,
        seed=spec.seed,
        split="test" if reasons else "train",
        held_out=", ".join(reasons),
        frames=spec.frames,
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        things=len(spec.things) + len(spec.streams),
        spec=msgspec.json.encode(spec).decode(),
        versions=msgspec.json.encode(versions()).decode(),
        seconds=msgspec.json.encode(seconds).decode(),
    )


def versions() -> dict[str, str]:
    """Of this program and of what its clips depend on."""
    import perpetua

    return {"perpetua": perpetua.__version__} | {name: importlib.metadata.version(name) for name in PACKAGES}


def _timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = work()
    seconds[name] = time.perf_counter() - begun
    return result


def _followed_middle(scene: Scene, motion: Trajectory) -> NDArray[np.float64]:
    """[T, 3] m: the middle of all matter that is there, for a camera that follows it."""
    return np.stack([p[there].mean(0) for p, there in zip(motion.positions, present(motion.F), strict=True)])


def _arrays(way: list[Camera], seen: Filmed, truth: Truth, coarse: Coarse, tracks: Followed) -> ClipArrays:
    fine_depth, fine_per_count = counts_of(truth.depth)
    coarse_depth, coarse_per_count = counts_of(np.where(coarse.depth < 1e5, coarse.depth, 0))
    return ClipArrays(
        rgb=seen.rgb,
        inverse_depth=fine_depth,
        flow=_half(truth.flow),
        scene_flow=_half(truth.scene_flow),
        occluded=truth.occluded,
        masks=truth.masks,
        track_position=tracks.position,
        track_visible=visible(tracks, way, truth.depth),
        K=np.stack([camera.K for camera in way]),
        world_to_camera=np.stack([camera.world_to_camera for camera in way]),
        coarse_rgb=coarse.rgb,
        coarse_inverse_depth=coarse_depth,
        coarse_flow=_half(coarse.flow),
        coarse_alpha=(coarse.alpha.clip(0, 1) * 255 + 0.5).astype(np.uint8),
        inverse_depth_per_count=np.array([fine_per_count, coarse_per_count], np.float32),
    )


def _half(values: NDArray) -> NDArray[np.float16]:
    return values.clip(-FLOW_LIMIT, FLOW_LIMIT).astype(np.float16)
