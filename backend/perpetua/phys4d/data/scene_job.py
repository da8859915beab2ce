"""One scene from its number to its shard: drawn, simulated twice, filmed, measured, kept; or only its coarse films made anew."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.phys4d.data.cameras import camera_path
from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.coarse import film_coarse
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.cycles import Filmed, film
from perpetua.phys4d.data.dressing import Seen
from perpetua.phys4d.data.motion import coarse_motion
from perpetua.phys4d.data.spec import CameraPlan, SceneSpec
from perpetua.phys4d.data.store import About, read_shard, shard_of, write_shard
from perpetua.phys4d.data.surfaces import surfaces
from perpetua.phys4d.data.templates import draw_scene, held_out
from perpetua.phys4d.data.truth import Followed, Truth, followed_points, truth_of, visible
from perpetua.phys4d.data.world import build, simulate
from perpetua.progress import Progress
from perpetua.scene import Camera, Scene, Trajectory
from perpetua.scene.particles import present

FLOW_LIMIT = 1.0e4
"""pixels; a 16-bit float holds it."""
FAR_M = 1e5
"""Renderers write larger depths where nothing is."""
T = TypeVar("T")
PACKAGES = ("genesis-world", "torch", "numpy")


def make_scene(config: DataConfig, index: int, folder: Path) -> str:
    """Make scene ``index`` and write its shard, or why its physics failed, into ``folder``. Returns a few words."""
    spec = draw_scene(config, index)
    try:
        if shard_of(folder, spec.name).is_file():
            clips, seconds = film_again(folder, spec.name)
        else:
            clips, seconds = make_clips(config, spec, folder)
    except SimulationError as error:
        path = folder / "failed" / f"{spec.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            msgspec.json.encode({"scene": spec.name, "template": spec.template, "error": str(error)})
        )
        return f"{spec.name} ({spec.template}) failed: {error}"
    write_shard(folder, spec.name, clips)
    return f"{spec.name} ({spec.template}): " + ", ".join(f"{k} {v:.0f} s" for k, v in seconds.items())


def film_again(folder: Path, name: str) -> tuple[list[tuple[About, ClipArrays]], dict[str, float]]:
    """The clips of a scene that has a shard, their coarse films made anew, and the seconds that took."""
    clips = read_shard(folder, name)
    spec = msgspec.json.decode(clips[0][0].spec, type=SceneSpec)
    seconds: dict[str, float] = {}
    _, motion = _timed(seconds, "coarse physics", lambda: coarse_motion(spec, folder))
    built = build(spec, spec.spacings[0])
    made = _timed(
        seconds, "coarse picture", lambda: [_with_coarse(clip, spec, built, motion) for _, clip in clips]
    )
    said = msgspec.json.encode(versions()).decode()
    abouts = [msgspec.structs.replace(about, versions=said) for about, _ in clips]
    return list(zip(abouts, made, strict=True)), seconds


def make_clips(
    config: DataConfig, spec: SceneSpec, folder: Path
) -> tuple[list[tuple[About, ClipArrays]], dict[str, float]]:
    """The clips of all cameras, and the seconds that each stage took."""
    seconds: dict[str, float] = {}
    _, moved = _timed(seconds, "coarse physics", lambda: coarse_motion(spec, folder))
    (scene, motion) = _timed(seconds, "fine physics", lambda: simulate(spec, spec.spacings[1], Progress()))
    shown = _timed(seconds, "surfaces", lambda: surfaces(spec, scene, motion))
    middle = _followed_middle(scene, motion)
    ways = {plan.name: camera_path(spec, plan, middle) for plan in spec.cameras}
    filmed = _timed(seconds, "fine picture", lambda: film(spec, shown, ways, config.samples))
    tracks = followed_points(spec, shown, scene, motion)
    built = build(spec, spec.spacings[0])
    arrays = {}
    begun = time.perf_counter()
    for name, way in ways.items():
        truth = truth_of(filmed[name], way, scene, motion)
        arrays[name] = _with_coarse(_arrays(way, filmed[name], truth, tracks), spec, built, moved)
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


def _arrays(way: list[Camera], seen: Filmed, truth: Truth, tracks: Followed) -> ClipArrays:
    """All but the coarse film, in whose place the truth stands."""
    depth, per_count = counts_of(truth.depth)
    flow = _half(truth.flow)
    return ClipArrays(
        rgb=seen.rgb,
        inverse_depth=depth,
        flow=flow,
        scene_flow=_half(truth.scene_flow),
        occluded=truth.occluded,
        masks=truth.masks,
        track_position=tracks.position,
        track_visible=visible(tracks, way, truth.depth),
        K=np.stack([camera.K for camera in way]),
        world_to_camera=np.stack([camera.world_to_camera for camera in way]),
        coarse_rgb=seen.rgb,
        coarse_inverse_depth=depth,
        coarse_flow=flow,
        coarse_alpha=truth.masks,
        inverse_depth_per_count=np.array([per_count, per_count], np.float32),
    )


def _with_coarse(clip: ClipArrays, spec: SceneSpec, built: Scene, motion: Trajectory) -> ClipArrays:
    """``clip`` with the film of the coarse ``motion``, dressed from what the clip keeps of the fine one."""
    way = [
        Camera(K.copy(), pose.copy(), spec.width, spec.height)
        for K, pose in zip(clip.K, clip.world_to_camera, strict=True)
    ]
    coarse = film_coarse(spec, built, motion, way, Seen(clip.rgb[0], clip.depth[0], clip.masks[0]))
    depth, per_count = counts_of(np.where(coarse.depth < FAR_M, coarse.depth, 0))
    return replace(
        clip,
        coarse_rgb=coarse.rgb,
        coarse_inverse_depth=depth,
        coarse_flow=_half(coarse.flow),
        coarse_alpha=(coarse.alpha.clip(0, 1) * 255 + 0.5).astype(np.uint8),
        inverse_depth_per_count=np.array([clip.inverse_depth_per_count[0], per_count], np.float32),
    )


def _half(values: NDArray) -> NDArray[np.float16]:
    return values.clip(-FLOW_LIMIT, FLOW_LIMIT).astype(np.float16)
