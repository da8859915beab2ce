"""The picture that an artist clicks objects in, made before anything is reconstructed.

For splats it is a view of them; for a video its first frame; for a capture its front picture. It lies as ``front.png`` in a cache without
rounds, whose one camera is the one it was seen from, as far as that is known, in the input's own axes and unit.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from perpetua import __version__
from perpetua.cache.writer import META, file_record
from perpetua.reconstruct.source import front_picture
from perpetua.scene.cameras import Camera
from perpetua_protocol.cache import CacheMeta, CameraRecord
from perpetua_protocol.take import Take

FRONT = "front.png"


def look(take: Take, path: Path, output: Path) -> dict[str, Any]:
    """Write the picture of the input at ``path`` into the folder ``output``. Returns its path and size in pixels.

    Raises what reading the input does.
    """
    rgb, camera = front_picture(path, take)
    output.mkdir(parents=True, exist_ok=True)
    work = output / f".part-{uuid.uuid4().hex[:8]}.png"
    Image.fromarray(rgb).save(work)
    os.replace(work, output / FRONT)
    _publish(output, take, camera)
    return {"picture": str(output / FRONT), "width": rgb.shape[1], "height": rgb.shape[0]}


def _publish(output: Path, take: Take, camera: Camera | None) -> None:
    nowhere = (0.0, 0.0, 0.0)
    meta = CacheMeta(
        name=take.name,
        fps=take.fps,
        rounds=[],
        cameras=[] if camera is None else [camera_record(camera)],
        bodies=[],
        background=0,
        foreground=0,
        particles=0,
        particle_spacing=0.0,
        lower=nowhere,
        upper=nowhere,
        files={FRONT: file_record(output / FRONT)},
        take=take,
        backend=__version__,
    )
    work = output / f".part-{uuid.uuid4().hex[:8]}.json"
    work.write_bytes(msgspec.json.encode(meta))
    os.replace(work, output / META)


def camera_record(camera: Camera) -> CameraRecord:
    """A camera as the cache keeps it."""
    matrix = tuple(float(v) for v in camera.matrix_world.ravel())
    return CameraRecord(
        camera.name,
        camera.role,
        matrix,  # type: ignore[arg-type]
        camera.horizontal_fov_degrees,
        camera.width,
        camera.height,
    )
