"""What a scene of the data is, before anything is simulated: drawn from a seed, written beside its clips, and enough to make them again.

All quantities are SI, in the axes of the scene (Z up, the table at z = 0). The same description is simulated twice, coarse and fine.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from perpetua_protocol.actions import Action, Emitter
from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.tracks import Quaternion, Vec3

Category = Literal["rigid", "articulated", "cloth", "fluid", "soft", "granular", "rope", "inflatable", "gas"]
CATEGORIES: tuple[Category, ...] = (
    "rigid", "articulated", "cloth", "fluid", "soft", "granular", "rope", "inflatable", "gas",
)  # fmt: skip

Kind = Literal["ball", "box", "cylinder", "cone", "torus", "stone", "sheet", "rope"]
Texture = Literal["plain", "noise", "checker", "stripes", "marble"]
Path = Literal["fixed", "orbit", "dolly", "crane", "tracking", "first person"]
MOVING_PATHS: tuple[Path, ...] = ("orbit", "dolly", "crane", "tracking", "first person")


class Form(msgspec.Struct, frozen=True):
    """A shape by its name and its size along x, y and z, m. A sheet lies in x and y, or hangs in x and z when its y is 0; a rope lies
    along x, or hangs along z when its x is 0, and its y is its thickness. ``seed`` shapes a stone."""

    kind: Kind
    size: Vec3
    seed: int = 0


class Look(msgspec.Struct, frozen=True):
    """How a surface looks in the fine video. colours: linear RGB, two that the texture mixes.  scale: m, of the texture.
    roughness, metallic: 0 to 1, of Blender's principled shader."""

    colour: Vec3
    second: Vec3
    texture: Texture = "plain"
    scale: float = 0.02
    roughness: float = 0.5
    metallic: float = 0.0


class Thing(msgspec.Struct, frozen=True):
    """An object. at: m, the middle of its foot as the scene begins, before it is turned.  turn: w x y z, about
    its centre.  velocity: m/s and spin:
    rad/s (rigid) as the scene begins.  held: cloth and rope that hang by their highest points.  core: what a shell of ``material``
    is filled with; the shell is ``wall`` m thick."""

    name: str
    form: Form
    material: MaterialSpec
    look: Look
    at: Vec3 = (0.0, 0.0, 0.0)
    turn: Quaternion = (1.0, 0.0, 0.0, 0.0)
    velocity: Vec3 = (0.0, 0.0, 0.0)
    spin: Vec3 = (0.0, 0.0, 0.0)
    held: bool = False
    core: MaterialSpec | None = None
    wall: float = 0.0


class Stream(msgspec.Struct, frozen=True):
    """What an emitter lets out, and how that looks."""

    emitter: Emitter
    look: Look


class Joint(msgspec.Struct, frozen=True):
    """What the link ``child`` hangs on: another, or the world (-1), about a common point. anchor: m, as the scene begins.  axis: of a
    hinge, None for a ball joint.  damping: N m s."""

    parent: int
    child: int
    anchor: Vec3
    axis: Vec3 | None = None
    damping: float = 1e-5


class Lamp(msgspec.Struct, frozen=True):
    """A square lamp that shines at the scene's middle. at: m.  power: W.  size: m.  colour: linear RGB."""

    at: Vec3
    power: float
    size: float
    colour: Vec3


class Room(msgspec.Struct, frozen=True):
    """Table, the round wall around it, and the light of the sky above: strength times colour, linear RGB."""

    table: Look
    wall: Look
    sky: Vec3
    sky_strength: float


class CameraPlan(msgspec.Struct, frozen=True):
    """A camera's way. azimuth: degrees to the right of the front; elevation: degrees; distance: m from what it looks at; all at the
    start and at the end.  field_of_view: degrees, horizontal."""

    name: str
    path: Path
    azimuth: tuple[float, float]
    elevation: tuple[float, float]
    distance: tuple[float, float]
    field_of_view: float


class SceneSpec(msgspec.Struct, frozen=True):
    """A scene. category, template: what kind it is.  seed: what it was drawn from.  middle: m, where the cameras look.
    spacings: m between particles, coarse and fine."""

    name: str
    category: Category
    template: str
    seed: int
    things: tuple[Thing, ...]
    streams: tuple[Stream, ...]
    actions: tuple[Action, ...]
    joints: tuple[Joint, ...]
    gravity: Vec3
    lamps: tuple[Lamp, ...]
    room: Room
    cameras: tuple[CameraPlan, ...]
    middle: Vec3
    spacings: tuple[float, float]
    frames: int
    fps: float
    width: int
    height: int
