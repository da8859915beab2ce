"""What another program gets of a view, in formats that any reads.

README.txt                 what is here and what is wanted back
request.json               frames, size, frame rate, prompts, camera, objects, scale of the depth pictures
coarse/frame_0000.png ...  the coarse video, 8 bit sRGB; and coarse.mp4
depth/frame_0000.png ...   nearness, 16 bit: white is the nearest thing of the video, black the farthest
depth.npz                  `depth` [frames, H, W] float32, m along the optical axis
flow/frame_0000.flo ...    optical flow from that frame to the next, pixels (Middlebury format)
masks/<object>/frame_0000.png ...   how much of a pixel is that object, 8 bit; request.json says which folder is whose
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.mp4 import write_video
from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo
from perpetua.refine.nearness import nearness
from perpetua.scene import Camera
from perpetua_protocol.take import usable_name

FLO_TAG = np.float32(202021.25)
"""First number of a Middlebury flow file."""

README = """This folder is one view of one round, to be refined in any program you like.

What is here: the coarse video (coarse/ and coarse.mp4), depth (depth/: near is white; depth.npz: metres), optical flow to the
next frame (flow/), object masks (masks/), and camera, prompt and frame rate (request.json).

What is wanted back, in this folder, either
  refined/      {frames} pictures (PNG or JPEG), numbered, {width} x {height}
  refined.mp4   {frames} frames, {width} x {height}, {fps:g} frames per second (also .mov, .mkv, .webm)

Frame 0 must stay the first frame of the coarse video, only better: the same camera, the same things in the same places.
Another size of the same shape, another constant frame rate over the same time, and up to 7 frames too many at the end are put right.
Then bake again (or run `perpetua run` again): it goes on from here.
"""


def hand_over(
    folder: Path,
    video: RenderedVideo,
    objects: list[str],
    fps: float,
    prompts: Mapping[str, str],
    progress: Progress,
) -> None:
    """Write the folder, whole or not at all."""
    frames, height, width = video.alpha.shape
    work = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    work.mkdir(parents=True)
    try:
        colour = (video.rgb * 255 + 0.5).astype(np.uint8)
        near = (nearness(video.depth) * 65535 + 0.5).astype(np.uint16)
        for number in range(frames):
            write_picture(work / "coarse" / f"frame_{number:04d}.png", colour[number])
            write_picture(work / "depth" / f"frame_{number:04d}.png", near[number])
            progress((number + 1) / frames, f"handing over frame {number + 1} of {frames}")
        write_video(work / "coarse.mp4", colour, fps, (width, height))
        np.savez_compressed(work / "depth.npz", depth=video.depth)
        if video.flow is not None:
            for number, flow in enumerate(video.flow):
                write_flow(work / "flow" / f"frame_{number:04d}.flo", flow)
        if video.masks is not None:
            for index, name in enumerate(mask_folders(objects)):
                masks = (video.masks[..., index] * 255 + 0.5).astype(np.uint8)
                for number, mask in enumerate(masks):
                    write_picture(work / "masks" / name / f"frame_{number:04d}.png", mask)
        (work / "request.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(_request(video, objects, fps, prompts)))
        )
        text = README.format(frames=frames, width=width, height=height, fps=fps)
        (work / "README.txt").write_text(text, encoding="utf-8")
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _request(
    video: RenderedVideo, objects: list[str], fps: float, prompts: Mapping[str, str]
) -> dict[str, object]:
    frames, height, width = video.alpha.shape
    return {
        "view": video.camera.name,
        "frames": frames,
        "width": width,
        "height": height,
        "fps": fps,
        **prompts,
        "objects": objects,
        "mask_folders": mask_folders(objects),
        "depth_nearest_m": float(video.depth.min()),
        "depth_farthest_m": float(video.depth.max()),
        "camera": _camera(video.camera),
        "cameras": [_camera(each) for each in video.cameras],  # of each frame, where it moves
    }


def _camera(camera: Camera) -> dict[str, object]:
    return {
        "K": camera.K.tolist(),
        "world_to_camera_opencv": camera.world_to_camera.tolist(),
        "matrix_world_blender": camera.matrix_world.tolist(),
        "horizontal_fov_degrees": camera.horizontal_fov_degrees,
    }


def mask_folders(objects: list[str]) -> list[str]:
    """A folder's name for each object: its own, or ``object_<n>`` (from 0) where no file can be called so or, as some systems read names,
    another is."""
    seen: set[str] = set()
    folders = []
    for index, name in enumerate(objects):
        fits = usable_name(name) and name.casefold() not in seen
        seen.add(name.casefold())
        folders.append(name if fits else f"object_{index}")
    return folders


def write_picture(path: Path, image: NDArray) -> None:
    """[H, W] or [H, W, 3] of 8 or 16 bit as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    path.write_bytes(data.tobytes())


def write_flow(path: Path, flow: NDArray[np.float32]) -> None:
    """[H, W, 2] in the Middlebury format: a tag, width, height, and the values row by row, little-endian."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = np.array([flow.shape[1], flow.shape[0]], "<i4")
    path.write_bytes(FLO_TAG.astype("<f4").tobytes() + size.tobytes() + flow.astype("<f4").tobytes())
