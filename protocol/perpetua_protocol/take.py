"""What a take is: the picture, its objects, the cameras and the rounds of forces an artist plays.

One description serves three places: the message a bake is asked with, the ``take.yaml`` a technical director
writes by hand, and the record kept beside a finished cache. All quantities are SI (metres, kilograms, seconds,
newtons) in Blender's axes: right-handed, Z up, gravity along -Z, the support plane at z = 0.

Frames are counted from the picture: frame 0 is the picture itself, and round ``r`` of ``n`` frames advances the
scene by ``n`` frames from where the round before it ended. A frame number may be fractional in a key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from perpetua_protocol.action_checks import action_problems, emitter_problems, track_problems
from perpetua_protocol.actions import (
    Action,
    Collider,
    Drag,
    Emitter,
    Falloff,
    Force,
    Mesh,
    Pin,
    Poke,
    Push,
    Turbulence,
    Vortex,
    Wind,
)
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.scene_checks import scene_problems
from perpetua_protocol.scene_settings import Matrix16, Provider, SceneSettings, SplatView, ViewMaker
from perpetua_protocol.tracks import (
    Quaternion,
    Rotation,
    RotationTrack,
    Scalar,
    ScalarTrack,
    Vec3,
    Vector,
    VectorTrack,
)

__all__ = [
    "TAKE_VERSION",
    "Action",
    "CameraSpec",
    "Click",
    "Collider",
    "Drag",
    "Emitter",
    "Falloff",
    "Force",
    "Identify",
    "MaterialSpec",
    "Matrix16",
    "Mesh",
    "ObjectSpec",
    "Pin",
    "Poke",
    "Provider",
    "Push",
    "Quality",
    "Quaternion",
    "RefinerSpec",
    "Rotation",
    "RotationTrack",
    "Round",
    "Scalar",
    "ScalarTrack",
    "SceneSettings",
    "SplatView",
    "Take",
    "Turbulence",
    "Vec3",
    "Vector",
    "VectorTrack",
    "ViewMaker",
    "Vortex",
    "Wind",
    "validate",
]

TAKE_VERSION = 1
CAPTURE = "transforms.json"
"""Name of the file that makes pictures a capture."""

Identify = Literal["off", "offer", "accept"]
"""Whether a round's videos are asked what the physics is: no; yes, and the answer stands in the round's record; yes, and the round
is played once more with it and the rounds after it use it."""


class Click(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point in the picture, pixels from its top left corner."""

    x: float
    y: float
    inside: bool = True
    """True marks the object, False marks what is not the object."""


class RegionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a soft object that is made of something else; it goes right through the object."""

    name: str
    clicks: tuple[Click, ...] = ()
    """The region around these, as found in the picture; empty takes the whole box."""
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in pixels around the region."""
    material: MaterialSpec = MaterialSpec()


class ObjectSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of the picture that will move."""

    name: str
    clicks: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in pixels around the object."""
    outline: bool = False
    """The clicks are the corners of its outline, in their order, and nobody looks for it: for glass, and for what looks like what is
    behind it. In a single picture only."""
    material: MaterialSpec = MaterialSpec()
    height: float | None = None
    """Real height of the object as seen, m; None guesses from the material."""
    resting: bool = True
    """False for an object that hangs in the air in the picture."""
    held: bool = True
    """Cloth that hangs is held at its highest points; False lets it fall."""
    regions: tuple[RegionSpec, ...] = ()
    """Parts of it made of something else; where two overlap the later one counts."""


class CameraSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view. Without a matrix it stands on an orbit around the object, starting from the picture's camera."""

    name: str
    role: Literal["front", "side"] = "side"
    orbit_degrees: float = 0.0
    """Angle around the vertical through the object; positive is to the picture's right."""
    matrix_world: Matrix16 | None = None
    """Blender's camera matrix, row by row (camera looks along its -Z, +Y up); None uses the orbit."""
    horizontal_fov_degrees: float | None = None
    """None takes the picture's."""


class RefinerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which video refiner corrects the rendered videos, by its registered name, and its options."""

    name: str = "none"
    options: dict[str, bool | int | float | str] = {}


class Quality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much to spend. The defaults bake a round in about a minute on two cores."""

    width: int = 320
    """Width of the videos the loop renders and refines, pixels; height follows the picture's shape."""
    particles: int = 6000
    """Particles to aim at over all objects."""
    splat_width: int = 640
    """Picture width the splats carry; finer splats are kept when the picture is larger."""
    sub_gaussians: int = 1
    """Interior sub-gaussians per particle (K of the visual-physical particle)."""
    optimise_renders: int = 300
    """Rendered frames the backward pass may spend on each of its two passes; four for each frame of the round if that is more. None
    with 0."""
    max_substeps: int | None = None
    """Cap on substeps per frame; None lets the stability rule choose."""


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of the take: how long, and which forces act."""

    frames: int
    actions: tuple[Action, ...] = ()
    name: str = ""
    refiner: RefinerSpec | None = None
    """None refines as the take says. The take's refiner by name: these options instead of its own of that name, the others as
    they are. Another refiner: these options alone."""
    identify: Identify | None = None
    """None as the take says."""
    gravity: Vector | None = None
    """m/s^2, keyed over the frames of the take; None is the take's."""
    draw: int = 0
    """Another number bakes the round anew with other random choices of video models and of the correction."""


class Take(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a bake needs besides the picture's pixels."""

    name: str
    picture: str
    """Path of the picture; in ``take.yaml`` relative to that file. A path to ``transforms.json`` is that of a capture: pictures from
    several places, with cameras and with masks that show each object under its name, which then needs neither clicks nor a box. A
    video (``.mp4``) goes around a still scene; its first frame is clicked in. Splats (``.ply``, ``.splat``) are clicked in ``scene.view``."""
    objects: tuple[ObjectSpec, ...]
    rounds: tuple[Round, ...] = ()
    cameras: tuple[CameraSpec, ...] = (
        CameraSpec("front", "front"),
        CameraSpec("left", "side", -25.0),
        CameraSpec("right", "side", 25.0),
    )
    gravity: Vector = (0.0, 0.0, -9.81)
    """m/s^2"""
    fps: float = 24.0
    scene: SceneSettings = SceneSettings()
    refiner: RefinerSpec = RefinerSpec()
    quality: Quality = Quality()
    identify: Identify = "offer"
    """Whether rounds are asked what stiffness, friction, viscosity or wind their videos speak for, and whether that is used from then on
    or only said. A round whose videos changed something is then simulated about ten times more, with few particles where it has many."""
    seed: int = 0
    version: int = TAKE_VERSION

    @property
    def is_capture(self) -> bool:
        """Whether the take starts from pictures from several places."""
        return self.picture.endswith(CAPTURE)

    def round_refiner(self, index: int) -> RefinerSpec:
        """The refiner of round ``index`` (0-based), with all its options."""
        own = self.rounds[index].refiner
        if own is None:
            return self.refiner
        if own.name != self.refiner.name:
            return own
        return RefinerSpec(own.name, {**self.refiner.options, **own.options})

    def round_identify(self, index: int) -> Identify:
        """Whether round ``index`` (0-based) is asked what the physics is."""
        return self.rounds[index].identify or self.identify

    def round_gravity(self, index: int) -> Vector:
        """Gravity in round ``index`` (0-based), m/s^2."""
        own = self.rounds[index].gravity
        return self.gravity if own is None else own

    def round_start(self, index: int) -> int:
        """Frame that round ``index`` (0-based) starts from."""
        return sum(r.frames for r in self.rounds[:index])


def validate(take: Take, look: bool = False) -> None:
    """Check what the types cannot say; ``look``: nothing is asked for but the picture that objects are clicked in.

    Raises ``InvalidTake`` with a sentence that names the value and the remedy.
    """
    for problem in _problems(take, look):
        raise InvalidTake(problem)


def _problems(take: Take, look: bool) -> Iterator[str]:
    for place, value in _numbers(take, "take"):
        if not math.isfinite(value):
            yield f"{place} is {value}; it must be a finite number."
    for kind, names in (("take", [take.name]), ("camera", [c.name for c in take.cameras])):
        for name in names:
            if not usable_name(name):
                yield f"The {kind} is called '{name}', which cannot be a file's name; use letters, digits, space, - and _."
    if take.version != TAKE_VERSION:
        yield (
            f"The take has version {take.version}, this program reads version {TAKE_VERSION}; "
            "install the matching version."
        )
    if not take.picture:
        yield "The take names no picture; set `picture` to the path of an image."
    if not take.objects and not look:
        yield "The take has no object; click or box at least one object in the picture."
    names = [o.name for o in take.objects]
    if len(set(names)) != len(names):
        yield f"Two objects share a name ({', '.join(names)}); give each its own."
    for thing in take.objects:
        marked = thing.box is not None or any(click.inside for click in thing.clicks)
        if not marked and not take.is_capture:
            yield f"Object '{thing.name}' has neither a click inside it nor a box; click it in the picture."
        if thing.outline and (len(thing.clicks) < 3 or not all(click.inside for click in thing.clicks)):
            yield f"The outline of '{thing.name}' has no three corners; click them in their order, all as inside, or switch `outline` off."
        if thing.outline and thing.box is not None:
            yield f"'{thing.name}' has both an outline and a box; leave one of them out."
        for part in thing.regions:
            if part.box is None and not any(click.inside for click in part.clicks):
                yield f"Region '{part.name}' of '{thing.name}' has neither a click inside it nor a box; mark it in the picture."
        if thing.height is not None and not _positive(thing.height):
            yield f"Object '{thing.name}' has height {thing.height} m; it must be above zero."
    if sum(c.role == "front" for c in take.cameras) != 1:
        yield "A take needs exactly one camera with the role 'front'; change the roles of the cameras."
    if len({c.name for c in take.cameras}) != len(take.cameras):
        yield "Two cameras share a name; give each its own."
    if not _positive(take.fps):
        yield f"The frame rate is {take.fps}; it must be above zero."
    if take.quality.width < 32 or take.quality.particles < 50 or take.quality.splat_width < 64:
        yield "The quality is too low to bake; use a width of 32, 50 particles and a splat width of 64 at least."
    if take.quality.sub_gaussians < 0 or take.quality.optimise_renders < 0:
        yield "sub_gaussians and optimise_renders cannot be negative; use zero or more."
    if take.quality.max_substeps is not None and take.quality.max_substeps < 1:
        yield f"max_substeps is {take.quality.max_substeps}; allow at least one, or leave it out."
    yield from scene_problems(take)
    yield from track_problems(take.gravity, "The take's gravity")
    yield from emitter_problems([turn.actions for turn in take.rounds], names)
    for index, turn in enumerate(take.rounds, 1):
        if turn.draw < 0:
            yield f"Round {index} has draw {turn.draw}; it is 0 or more."
        if turn.gravity is not None:
            yield from track_problems(turn.gravity, f"The gravity of round {index}")
        names += [a.name for a in turn.actions if isinstance(a, Emitter) and a.name not in names]
        if not 1 <= turn.frames <= 100_000:
            yield f"Round {index} has {turn.frames} frames; it needs at least one."
        yield from action_problems(turn.actions, index, take.round_start(index - 1), turn.frames, names)


def _numbers(thing: object, place: str) -> Iterator[tuple[str, float]]:
    """Every float in a take, with where it stands."""
    if isinstance(thing, float):
        yield place, thing
    elif isinstance(thing, msgspec.Struct):
        for field in thing.__struct_fields__:
            yield from _numbers(getattr(thing, field), f"{place}.{field}")
    elif isinstance(thing, tuple | list):
        for index, item in enumerate(thing):
            yield from _numbers(item, f"{place}[{getattr(item, 'name', '') or index}]")
    elif isinstance(thing, dict):
        for key, item in thing.items():
            yield from _numbers(item, f"{place}.{key}")


def usable_name(name: str) -> bool:
    """Whether a file can be called so on every system, and no path hides in it."""
    return bool(name.strip()) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|\0')


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
