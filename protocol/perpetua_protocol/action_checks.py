"""What the types of an action cannot say, as sentences that name the action, the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from perpetua_protocol.actions import Action, Collider, Drag, Emitter, Falloff, Poke, Turbulence, Wind
from perpetua_protocol.tracks import RotationTrack, Scalar, ScalarTrack, VectorTrack

AXES = ("direction", "axis")


def action_problems(
    actions: tuple[Action, ...], index: int, first: int, frames: int, objects: list[str]
) -> Iterator[str]:
    """What is wrong with the actions of round ``index`` (1-based) of ``frames`` frames from frame ``first``."""
    names = [action.name for action in actions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"Two actions of round {index} are called '{name}'; give each its own name."
    for action in actions:
        where = f"{type(action).__name__} '{action.name}' in round {index}"
        yield from _of_every_action(action, where, objects)
        yield from _of_its_kind(action, where, first, frames)


def _of_every_action(action: Action, where: str, objects: list[str]) -> Iterator[str]:
    reach = getattr(action, "reach", None)
    if reach is not None and not _positive(reach):
        yield f"{where} has no reach ({reach} m), so it would touch nothing; give it a radius above zero."
    if action.start is not None and action.end is not None and action.end <= action.start:
        yield f"{where} ends at frame {action.end:g}, not after its start at {action.start:g}; move its end later."
    for target in action.targets:
        if target not in objects:
            yield f"{where} acts on '{target}', which is no object of this take ({', '.join(objects)})."
    for field in action.__struct_fields__:
        value = getattr(action, field)
        if isinstance(value, ScalarTrack | VectorTrack | RotationTrack):
            yield from track_problems(value, f"{where}: its {field}")
        if field in AXES:
            vectors = value.values if isinstance(value, VectorTrack) else (value,)
            if not all(any(vector) for vector in vectors):
                yield f"{where} has no {field}; give it one that is not zero."
        if isinstance(value, Falloff):
            yield from _falloff_problems(value, where)
        quaternions = value.values if isinstance(value, RotationTrack) else (value,)
        if field == "rotation" and not all(any(quaternion) for quaternion in quaternions):
            yield f"{where} has a rotation of four zeros; 1 0 0 0 does not turn."


def track_problems(value: object, what: str) -> Iterator[str]:
    """What is wrong with the keys of ``value``, if it has any; ``what`` is whose they are."""
    if not isinstance(value, ScalarTrack | VectorTrack | RotationTrack):
        return
    if not value.frames or len(value.frames) != len(value.values):
        yield f"{what} is keyed, but its keys need as many values as frames, and at least one."
    if any(b <= a for a, b in zip(value.frames, value.frames[1:], strict=False)):
        yield f"{what} is keyed, but its keys must be in order of time."


def emitter_problems(rounds: Iterable[tuple[Action, ...]], objects: list[str]) -> Iterator[str]:
    """What is wrong with the emitters of a take's rounds taken together."""
    known: dict[str, Emitter] = {}
    for index, actions in enumerate(rounds, 1):
        for emitter in (action for action in actions if isinstance(action, Emitter)):
            where = f"Emitter '{emitter.name}' in round {index}"
            if emitter.name in objects:
                yield f"{where} has the name of an object; give it one of its own."
            first = known.setdefault(emitter.name, emitter)
            if (first.material, first.colour) != (emitter.material, emitter.colour):
                yield (
                    f"{where} lets out another material or colour than the one of that name in an earlier round; "
                    "give it another name, or the same material and colour."
                )


def _of_its_kind(action: Action, where: str, first: int, frames: int) -> Iterator[str]:
    if isinstance(action, Wind):
        yield from _negative(where, "drag", (action.drag,))
    elif isinstance(action, Drag):
        for field in ("linear", "quadratic"):
            yield from _negative(where, field, _values(getattr(action, field)))
    elif isinstance(action, Turbulence):
        if not _positive(action.size):
            yield f"{where} has the size {action.size:g} m; give its eddies one above zero."
    elif isinstance(action, Poke):
        start = first if action.start is None else action.start
        if not first <= start < first + frames:
            yield (
                f"{where} starts at frame {start:g}, outside its round (frames {first} to {first + frames}); "
                "move its start into the round."
            )
    elif isinstance(action, Collider):
        yield from _negative(where, "friction", (action.friction,))
        yield from _mesh_problems(action, where)
    elif isinstance(action, Emitter):
        yield from _emitter_problems(action, where)
    if (flow := getattr(action, "flow", None)) is not None:
        yield from _negative(where, "flow", (flow,))


def _falloff_problems(falloff: Falloff, where: str) -> Iterator[str]:
    for field in ("power", "radial_power", "min_distance", "max_distance", "radial_min", "radial_max"):
        yield from _negative(where, f"falloff's {field}", (getattr(falloff, field),))
    for low, high in (("min_distance", "max_distance"), ("radial_min", "radial_max")):
        least, most = getattr(falloff, low), getattr(falloff, high)
        if least is not None and most is not None and most < least:
            yield f"{where}: its falloff's {high} ({most:g}) is below its {low} ({least:g}); exchange them."


def _mesh_problems(action: Collider, where: str) -> Iterator[str]:
    mesh = action.mesh
    if mesh.file:
        yield f"{where} names the file {mesh.file}, which only a take.yaml may; send the mesh's vertices and faces."
    elif len(mesh.vertices) < 4 or len(mesh.faces) < 4:
        yield f"{where} has no mesh that could be solid; give it four vertices and four triangles at least."
    elif not all(0 <= corner < len(mesh.vertices) for face in mesh.faces for corner in face):
        yield f"{where} has a triangle with a corner that is none of its {len(mesh.vertices)} vertices; number them from 0."


def _emitter_problems(action: Emitter, where: str) -> Iterator[str]:
    if action.targets:
        yield f"{where} acts on no object, so leave its targets empty; other actions may name it as theirs."
    if not _positive(action.radius):
        yield f"{where} has a mouth with a radius of {action.radius:g} m; give it one above zero."
    yield from _negative(where, "speed", _values(action.speed))
    if any(not 0.0 <= rate <= 1.0 for rate in _values(action.rate)):
        yield f"{where} has a rate outside 0 (shut) to 1 (the whole mouth); for more, use a larger radius or speed."
    if action.colour is not None and any(not 0.0 <= part <= 1.0 for part in action.colour):
        yield f"{where} has the colour {action.colour}; each part goes from 0 to 1."


def _values(value: Scalar) -> tuple[float, ...]:
    return value.values if isinstance(value, ScalarTrack) else (value,)


def _negative(where: str, what: str, values: tuple[float | None, ...]) -> Iterator[str]:
    if any(value is not None and value < 0 for value in values):
        yield f"{where} has a negative {what}; give it one of zero or more."


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
