"""What an artist can do to a scene: fields of force, pushes, pins, colliders and emitters.

Every action has a name, acts on the frames from ``start`` up to ``end`` of the take and on the objects named in ``targets``, and may be
keyed over time. Units are SI. The fields (wind, force, vortex, turbulence, drag) give matter an acceleration

    a = falloff * (strength of the field at the place  -  flow * v),

so a heavy thing and a light one move alike. Blender's force fields give a *force* to particles of 1 kg: a Blender
field of strength s is therefore a field of s m/s^2 here (a vortex: s 1/s^2), and Blender's flow is ``flow`` in 1/s.
Pushes and pokes are newtons and newton seconds: they move a light thing more than a heavy one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.tracks import Rotation, Scalar, Vec3, Vector


class Falloff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a field fades with distance, as Blender's force fields do; the default does not fade.

    With the distance d in metres (sphere: from the centre; tube and cone: along the axis),

        weight = 0 beyond max_distance,  1 below min_distance,  else (1 + d - min_distance)^-power

    and for a tube the same again with the distance from the axis, for a cone with the angle from the axis in degrees,
    and the radial values.
    """

    shape: Literal["sphere", "tube", "cone"] = "sphere"
    power: float = 0.0
    min_distance: float | None = None
    """m; None is Blender's switched off."""
    max_distance: float | None = None
    """m; None is Blender's switched off."""
    radial_power: float = 0.0
    radial_min: float | None = None
    """m for a tube, degrees for a cone."""
    radial_max: float | None = None
    """m for a tube, degrees for a cone."""
    side: Literal["both", "positive", "negative"] = "both"
    """Which side of the centre along the axis the field acts on."""


class Acting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an action acts, and on what."""

    start: float | None = None
    """First frame it acts in; None is the round's first."""
    end: float | None = None
    """Frame it stops at; None is the round's last."""
    targets: tuple[str, ...] = ()
    """Names of the objects it acts on; empty is all."""


class Wind(msgspec.Struct, frozen=True, tag="wind", tag_field="type", forbid_unknown_fields=True):
    """Moving air that drags matter along: acceleration ``drag * falloff * (speed * direction - v)``.

    Blender's wind of strength s with flow f is a drag of f and a speed of s / f.
    """

    name: str
    direction: Vector = (1.0, 0.0, 0.0)
    """Where the air goes; normalised when sampled. Also the axis of its falloff."""
    speed: Scalar = 5.0
    """Air speed, m/s."""
    drag: float = 2.0
    """How quickly matter takes up the air's velocity, 1/s."""
    location: Vector = (0.0, 0.0, 0.0)
    """Centre of the region the wind fills, m."""
    reach: float | None = None
    """Radius of that region, m, with a smooth edge; None blows everywhere."""
    start: float | None = None
    """First frame it acts in; None is the round's first."""
    end: float | None = None
    """Frame it stops at; None is the round's last."""
    targets: tuple[str, ...] = ()
    """Names of the objects it acts on; empty is all."""
    falloff: Falloff = Falloff()


class Force(Acting, frozen=True, tag="force", tag_field="type", forbid_unknown_fields=True):
    """A force away from a point, or towards it where the strength is negative: ``falloff * (strength * r/|r| - flow * v)``."""

    name: str
    location: Vector = (0.0, 0.0, 0.0)
    """Centre, m."""
    strength: Scalar = 5.0
    """m/s^2; negative attracts. Blender's strength."""
    flow: float = 0.0
    """How quickly the field slows matter down, 1/s. Blender's flow."""
    axis: Vector = (0.0, 0.0, 1.0)
    """Direction of a tube's or cone's axis; normalised when sampled."""
    falloff: Falloff = Falloff()


class Vortex(Acting, frozen=True, tag="vortex", tag_field="type", forbid_unknown_fields=True):
    """Spins matter up around an axis: ``falloff * (strength * axis x r - inflow * r_axis - flow * v)``.

    ``r_axis`` is the place's distance vector from the axis. Matter held by an inflow alone circles with sqrt(inflow)
    rad/s. Blender's vortex uses the distance from the centre instead of from the axis, which differs off its plane.
    """

    name: str
    location: Vector = (0.0, 0.0, 0.0)
    """A point of the axis, m."""
    axis: Vector = (0.0, 0.0, 1.0)
    """Direction it turns about, right-handed; normalised when sampled."""
    strength: Scalar = 50.0
    """Angular acceleration, 1/s^2. Blender's strength."""
    inflow: Scalar = 0.0
    """Pull towards the axis, 1/s^2."""
    flow: float = 0.0
    """How quickly the field slows matter down, 1/s. Blender's flow."""
    falloff: Falloff = Falloff()


class Turbulence(Acting, frozen=True, tag="turbulence", tag_field="type", forbid_unknown_fields=True):
    """Eddies: a random field of acceleration without divergence, so that it stirs and does not gather matter."""

    name: str
    strength: Scalar = 5.0
    """Root mean square of the acceleration, m/s^2. Blender's strength."""
    size: float = 0.05
    """Wavelength of the eddies, m. Blender's size."""
    speed: float = 0.1
    """How fast the waves that make up the eddies travel, m/s; zero freezes them."""
    seed: int = 0
    """Another number is another field."""
    flow: float = 0.0
    """How quickly the field slows matter down, 1/s. Blender's flow."""
    location: Vector = (0.0, 0.0, 0.0)
    """Centre of the falloff, m; the eddies themselves stay where they are when it moves."""
    axis: Vector = (0.0, 0.0, 1.0)
    """Direction of a tube's or cone's axis; normalised when sampled."""
    falloff: Falloff = Falloff()


class Drag(Acting, frozen=True, tag="drag", tag_field="type", forbid_unknown_fields=True):
    """Slows matter down: ``-falloff * (linear + quadratic * |v|) * v``. Blender's coefficients."""

    name: str
    linear: Scalar = 2.0
    """1/s"""
    quadratic: Scalar = 0.0
    """1/m"""
    location: Vector = (0.0, 0.0, 0.0)
    """Centre of the falloff, m."""
    axis: Vector = (0.0, 0.0, 1.0)
    """Direction of a tube's or cone's axis; normalised when sampled."""
    falloff: Falloff = Falloff()


class Push(msgspec.Struct, frozen=True, tag="push", tag_field="type", forbid_unknown_fields=True):
    """A force in newtons spread over the matter inside a ball, for a window of time."""

    name: str
    location: Vector
    """Centre of the ball, m."""
    direction: Vector
    """Direction of the force; normalised when sampled."""
    force: Scalar
    """Total force over the ball, N."""
    reach: float = 0.03
    """Radius of the ball, m; the force falls smoothly to zero at its edge."""
    start: float | None = None
    end: float | None = None
    targets: tuple[str, ...] = ()


class Poke(Acting, frozen=True, tag="poke", tag_field="type", forbid_unknown_fields=True):
    """A blow: an impulse given to the matter inside a ball, all of it between ``start`` and ``end`` (None: a frame later)."""

    name: str
    location: Vector
    """Centre of the ball, m."""
    direction: Vector
    """Direction of the blow; normalised when sampled."""
    impulse: float
    """Total momentum it gives, N s."""
    reach: float = 0.03
    """Radius of the ball, m; the blow falls smoothly to zero at its edge."""


class Pin(Acting, frozen=True, tag="pin", tag_field="type", forbid_unknown_fields=True):
    """A hand that holds matter and carries it along a keyed path, whatever else happens to it.

    A soft object or cloth is held by its particles inside the ball; a rigid object of which any is inside is held as a whole. Gas cannot
    be held.
    What is held moves as if welded to the pin, from where it was when the pin took it.
    """

    name: str
    location: Vector
    """Where the hand is, m."""
    rotation: Rotation = (1.0, 0.0, 0.0, 0.0)
    """How the hand is turned, w x y z."""
    reach: float | None = 0.03
    """Radius of the ball, m; None holds its objects whole."""


class Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A surface of triangles, its corners counter-clockwise as seen from outside."""

    vertices: tuple[Vec3, ...] = ()
    """m, in the mesh's own axes."""
    faces: tuple[tuple[int, int, int], ...] = ()
    file: str = ""
    """In a ``take.yaml`` instead of vertices and faces: an OBJ, PLY or STL file in metres, Z up, by its path from there."""


class Collider(Acting, frozen=True, tag="collider", tag_field="type", forbid_unknown_fields=True):
    """A solid thing that nothing can enter, matter, rigid objects, cloth and air, and that pushes it along a keyed path: a hand, a
    spoon, a bowl."""

    name: str
    mesh: Mesh
    location: Vector = (0.0, 0.0, 0.0)
    """Where the mesh's origin is, m."""
    rotation: Rotation = (1.0, 0.0, 0.0, 0.0)
    """How the mesh is turned, w x y z."""
    friction: float = 0.5
    """Coulomb friction of its surface."""


class Emitter(Acting, frozen=True, tag="emitter", tag_field="type", forbid_unknown_fields=True):
    """A tap, a spout or a chute: matter comes out of its mouth, a disc, in a stream.

    The stream leaves with the matter's own density, so it brings ``density * rate * pi radius^2 * speed`` kg/s. What has come
    out stays when the round ends; an emitter of the same name in a later round adds to it. Other actions can act on
    it by the emitter's name. ``targets`` stays empty.
    """

    name: str
    location: Vector = (0.0, 0.0, 0.2)
    """Centre of the mouth, m; where it is keyed, what comes out moves along with it at first."""
    direction: Vector = (0.0, 0.0, -1.0)
    """Where the stream goes; normalised when sampled."""
    radius: float = 0.01
    """Of the mouth, m."""
    speed: Scalar = 1.0
    """m/s, zero or above."""
    rate: Scalar = 1.0
    """Share of the mouth that the stream fills, from 0, shut, to 1; it is thinner then and not slower."""
    material: MaterialSpec = MaterialSpec("water")
    """A liquid, sand, snow, something soft that keeps its shape such as cream, or a gas."""
    colour: Vec3 | None = None
    """sRGB, 0 to 1; None takes that of an object of the same preset, or one that suits the preset."""


Action = Wind | Force | Vortex | Turbulence | Drag | Push | Poke | Pin | Collider | Emitter
