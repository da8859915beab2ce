"""A reconstructed picture: background and objects as splats, objects as particles too, and the camera that saw it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import CacheError
from perpetua.scene.binding import Binding
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.materials import Material
from perpetua.scene.particles import Particles, State


@dataclass(frozen=True)
class Body:
    """An object. name and material; vertices [V, 3] m and faces [F, 3] int64: its closed surface at rest (outward
    winding), or of cloth the sheet whose corners are its particles in their order; resting says whether it stands on the plane
    z = 0, held whether cloth that does not is held at its highest points."""

    name: str
    material: Material
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    resting: bool = True
    held: bool = True
    regions: tuple[Material, ...] = ()
    """What parts of it are made of instead; ``Scene.region`` says which."""
    emitted: bool = False
    """Whether it is what an emitter lets out (``emission``). Its vertices then are corners of the space that its streams are for."""


@dataclass(frozen=True)
class Scene:
    """The world of frame 0.

    background: splats that never move.  foreground: splats of all bodies at rest, bound to ``particles`` by
    ``binding``.  bodies: by the index in ``Particles.body``.  spacing: m between particles (a particle's volume is
    spacing^3).  camera: the picture's own, at the picture's full size.  picture: [H, W, 3] uint8 sRGB and matte: [H, W] float32,
    the objects' coverage, both at the size ``camera`` says.  centre: [3] m, where cameras orbit.  The support plane is z = 0.
    """

    background: Gaussians
    foreground: Gaussians
    binding: Binding
    particles: Particles
    bodies: list[Body]
    spacing: float
    camera: Camera
    picture: NDArray[np.uint8]
    matte: NDArray[np.float32]
    centre: NDArray[np.float64]
    region: NDArray[np.int32] | None = None
    """[P]: 0 for a particle of its body's own material, n for one of ``regions[n - 1]``; None where no body has regions."""
    released: NDArray[np.float64] | None = None
    """[P]: frame of the take in which an emitter lets a particle out, -inf for the picture's; None where nothing is emitted."""
    fading: torch.Tensor | None = None
    """[N]: how the foreground's opacities change within the round that is shown (``fading.py``), which no file keeps; None for none."""

    def materials(self) -> tuple[list[Material], NDArray[np.int32]]:
        """The materials of all bodies and their regions, in order, and which one each particle [P] is made of."""
        kinds: list[Material] = []
        material = np.zeros(len(self.particles), np.int32)
        region = np.zeros(len(material), np.int32) if self.region is None else self.region
        for index, body in enumerate(self.bodies):
            for number, kind in enumerate((body.material, *body.regions)):
                material[(self.particles.body == index) & (region == number)] = len(kinds)
                kinds.append(kind)
        return kinds, material

    def rest_state(self) -> State:
        """The state of frame 0: everything at rest, and nothing emitted yet."""
        from perpetua.scene.particles import RigidPose

        eye = np.broadcast_to(np.eye(3, dtype=np.float32), (len(self.particles), 3, 3)).copy()
        eye[np.array([body.emitted for body in self.bodies], bool)[self.particles.body]] = 0.0
        rigid = {i: RigidPose.at_rest() for i, body in enumerate(self.bodies) if body.material.is_rigid}
        return State(self.particles, eye, rigid, 0.0)

    def save(self, folder: Path) -> None:
        """Write as ``.npy`` arrays and a ``scene.json`` into an existing folder."""
        for name in ("background", "foreground"):
            for f in fields(Gaussians):
                np.save(folder / f"{name}.{f.name}.npy", getattr(getattr(self, name), f.name).numpy())
        for f in fields(Binding):
            np.save(folder / f"binding.{f.name}.npy", getattr(self.binding, f.name).numpy())
        for f in fields(Particles):
            np.save(folder / f"particles.{f.name}.npy", getattr(self.particles, f.name))
        for index, body in enumerate(self.bodies):
            np.save(folder / f"body{index}.vertices.npy", body.vertices)
            np.save(folder / f"body{index}.faces.npy", body.faces)
        for name in ("picture", "matte", "centre"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        for name in ("region", "released"):
            if getattr(self, name) is not None:
                np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "camera.K.npy", self.camera.K)
        np.save(folder / "camera.world_to_camera.npy", self.camera.world_to_camera)
        record = {
            "spacing": self.spacing,
            "width": self.camera.width,
            "height": self.camera.height,
            "bodies": [
                {
                    "name": b.name,
                    "material": b.material,
                    "resting": b.resting,
                    "held": b.held,
                    "regions": b.regions,
                    "emitted": b.emitted,
                }
                for b in self.bodies
            ],
        }
        (folder / "scene.json").write_bytes(msgspec.json.encode(record))

    @staticmethod
    def load(folder: Path) -> Scene:
        """Read what ``save`` wrote. Raises ``CacheError`` if a part is missing."""
        try:
            record = msgspec.json.decode((folder / "scene.json").read_bytes())

            def array(name: str) -> NDArray:
                return np.load(folder / f"{name}.npy", allow_pickle=False)

            def optional(name: str) -> NDArray | None:
                return array(name) if (folder / f"{name}.npy").is_file() else None

            def tensors(name: str, kind: type) -> list[torch.Tensor]:
                return [torch.from_numpy(array(f"{name}.{f.name}")) for f in fields(kind)]

            bodies = [
                Body(
                    entry["name"],
                    msgspec.convert(entry["material"], Material),
                    array(f"body{index}.vertices"),
                    array(f"body{index}.faces"),
                    entry["resting"],
                    entry["held"],
                    tuple(msgspec.convert(r, Material) for r in entry["regions"]),
                    entry.get("emitted", False),  # scenes of before there were emitters say nothing
                )
                for index, entry in enumerate(record["bodies"])
            ]
            camera = Camera(
                array("camera.K"),
                array("camera.world_to_camera"),
                record["width"],
                record["height"],
                "picture",
                "front",
            )
            return Scene(
                Gaussians(*tensors("background", Gaussians)),
                Gaussians(*tensors("foreground", Gaussians)),
                Binding(*tensors("binding", Binding)),
                Particles(*(array(f"particles.{f.name}") for f in fields(Particles))),
                bodies,
                record["spacing"],
                camera,
                array("picture"),
                array("matte"),
                array("centre"),
                optional("region"),
                optional("released"),
            )
        except FileNotFoundError as error:
            raise CacheError(
                f"The scene in {folder} lacks {error.filename}; delete that folder and bake again."
            ) from error
