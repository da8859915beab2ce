"""Reading clips: every form of every layer, and one sentence for all that can be wrong."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from perpetua.clips.clip import read_clip
from perpetua.errors import ClipError, ExrError
from perpetua.exr import read_exr_depth
from perpetua.mp4 import write_video


def test_a_clip_comes_back_as_it_was_written(world, write_clip):
    clip = read_clip(write_clip(world, "ball"))
    assert (clip.name, clip.fps, clip.size, clip.frames) == ("ball", 12.0, (64, 48), 7)
    assert (clip.rgb == world.rgb).all()
    assert (clip.depth == world.depth).all()
    assert (clip.flow.forward == world.flow.forward).all()
    assert (clip.flow.occluded == world.flow.occluded).all()
    assert (clip.masks == world.masks).all()
    assert clip.cameras.K.shape == (7, 3, 3)
    assert clip.take_2 is None


def test_a_video_alone_is_a_clip(world, tmp_path):
    write_video(tmp_path / "rgb.mp4", world.rgb, 12.0, (64, 48))
    clip = read_clip(tmp_path)
    assert (clip.fps, clip.rgb.shape) == (12.0, world.rgb.shape)
    assert clip.depth is None
    assert clip.flow is None


def test_depth_is_read_from_16_bit_pictures(world, write_clip):
    folder = write_clip(world, "ball", depth=False)
    (folder / "clip.json").write_text(json.dumps({"fps": 12, "inverse_depth_per_count": 1e-5}))
    (folder / "depth").mkdir()
    for t, depth in enumerate(world.depth):
        counts = np.rint(1 / depth / 1e-5).astype(np.uint16)
        counts[0, 0] = 0
        cv2.imwrite(str(folder / "depth" / f"{t:03d}.png"), counts)
    depth = read_clip(folder).depth
    assert (depth[:, 0, 0] == 0).all()
    assert np.abs(depth - world.depth)[:, 1:].max() < 1e-4


def test_depth_is_read_packed_as_counts(world, write_clip):
    folder = write_clip(world, "ball", depth=False)
    counts = np.rint(1 / world.depth / 1e-5).astype(np.uint16)
    np.savez(folder / "depth.npz", inverse_depth=counts, inverse_depth_per_count=1e-5)
    assert np.abs(read_clip(folder).depth - world.depth).max() < 1e-4


def write_exr(path: Path, channels: dict[str, np.ndarray], compression: int) -> None:
    """A scan-line EXR, from its specification."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    kinds = {np.dtype("f2"): 1, np.dtype("f4"): 2}
    listed = b"".join(
        n.encode() + b"\0" + struct.pack("<iiii", kinds[channels[n].dtype], 0, 1, 1) for n in names
    )
    window = struct.pack("<4i", 0, 5, width - 1, height + 4)

    def attribute(name, kind, data):
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data

    header = struct.pack("<ii", 20000630, 2) + attribute("channels", "chlist", listed + b"\0")
    header += attribute("compression", "compression", bytes([compression]))
    header += attribute("dataWindow", "box2i", window) + attribute("displayWindow", "box2i", window)
    header += b"\0"
    lines = {0: 1, 2: 1, 3: 16}[compression]
    blocks = []
    for first in range(0, height, lines):
        rows = range(first, min(first + lines, height))
        raw = b"".join(channels[n][row].tobytes() for row in rows for n in names)
        if compression:
            apart = np.frombuffer(raw[0::2] + raw[1::2], np.uint8).astype(int)
            apart[1:] = (np.diff(apart) + 128) & 255
            packed = zlib.compress(apart.astype(np.uint8).tobytes())
            raw = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<ii", first + 5, len(raw)) + raw)
    at = len(header) + 8 * len(blocks)
    offsets = []
    for block in blocks:
        offsets.append(at)
        at += len(block)
    path.write_bytes(header + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks))


@pytest.mark.parametrize("compression", [0, 2, 3])
@pytest.mark.parametrize("kind", ["f2", "f4"])
def test_depth_is_read_from_exr(tmp_path, compression, kind):
    y, x = np.mgrid[:21, :13]
    depth = (1 + 0.1 * x + 0.03 * y).astype(kind)
    path = tmp_path / "d.exr"
    write_exr(path, {"ViewLayer.Depth.Z": depth, "A": np.ones_like(depth, "f2")}, compression)
    assert (read_exr_depth(path) == depth.astype(np.float32)).all()
    write_exr(path, {"normal": depth}, compression)
    with pytest.raises(ExrError, match="none called Z"):
        read_exr_depth(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExrError, match=r"d\.exr"):
        read_exr_depth(path)


def damage(folder: Path, which: str) -> None:
    if which == "nan":
        depth = np.ones((7, 48, 64), np.float32)
        depth[3, 2, 1] = np.nan
        np.savez(folder / "depth.npz", depth=depth)
    elif which == "shape":
        np.savez(folder / "flow.npz", forward=np.zeros((7, 48, 64, 2)))
    elif which == "key":
        np.savez(folder / "flow.npz", backward=np.zeros((6, 48, 64, 2)))
    elif which == "infinite flow":
        np.savez(folder / "flow.npz", forward=np.full((6, 48, 64, 2), np.inf))
    elif which == "broken":
        (folder / "masks.npz").write_bytes(b"PK nothing")
    elif which == "pickle":
        np.savez(folder / "masks.npz", object=np.array([{}], dtype=object))
    elif which == "no fps":
        (folder / "clip.json").unlink()
    elif which == "version":
        (folder / "clip.json").write_text('{"fps": 12, "version": 9}')
    elif which == "picture size":
        cv2.imwrite(str(folder / "rgb" / "0003.png"), np.zeros((5, 5, 3), np.uint8))
    elif which == "no pictures":
        for path in (folder / "rgb").iterdir():
            path.unlink()
    elif which == "sheared camera":
        np.savez(folder / "cameras.npz", K=np.eye(3), world_to_camera=2 * np.eye(4))
    elif which == "float masks":
        np.savez(folder / "masks.npz", object=np.zeros((7, 48, 64)))


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("nan", r"depth\.npz holds NaN in frame 3; write 0"),
        ("shape", r"flow\.npz holds 'forward' of shape \[7, 48, 64, 2\].*asks for \[6, 48, 64, 2\]"),
        ("key", r"flow\.npz lacks 'forward' \(it has backward\); add it"),
        ("infinite flow", r"flow\.npz holds NaN or infinity in 'forward'"),
        ("broken", r"masks\.npz is no readable \.npz"),
        ("pickle", r"masks\.npz is no readable \.npz"),
        ("no fps", r"numbered pictures but no clip\.json: add one"),
        ("version", r"has format perpetua-clip 9, this program reads perpetua-clip 1"),
        ("picture size", r"0003\.png has another size than 0000\.png"),
        ("no pictures", r"rgb holds no PNG files"),
        ("sheared camera", r"cameras\.npz has a world_to_camera that scales"),
        ("float masks", r"masks\.npz holds 'object' of type float64"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(world, write_clip, which, said):
    folder = write_clip(world, "ball")
    damage(folder, which)
    with pytest.raises(ClipError, match=said):
        read_clip(folder)
