"""Arrays and classes whose kernels compile once, for all scenes.

The compiler makes a kernel for each object it is called with: it keeps a weak reference to the object as the key. Weak references
compare as what they refer to, so objects that say they are equal share their kernels. They may, where nothing of a scene is compiled
in: all numbers lie in arrays, whose shapes are read when a kernel runs, and plain numbers of an object are passed at each call
(``template_primitives=False``).

So a class with kernels of its own is written as

    @shared_kernels
    class Thing(Shared): ...

with arrays made by ``floats``, ``integers``, ``vectors`` and ``matrices``, never fields, and with arrays that stay the same objects.
Import after ``runtime.fresh``: the compiler needs Genesis to have started.
"""

from __future__ import annotations

from typing import Any, ClassVar

import quadrants as qd


class Shared:
    """What all instances of a class have in common to the compiler: everything."""

    _first: ClassVar[dict[type, Shared]] = {}
    """Kept alive: kernels go with the object they were first compiled for (``let_go`` frees its arrays)."""

    def __new__(cls, *_: Any, **__: Any) -> Shared:
        made = super().__new__(cls)
        Shared._first.setdefault(cls, made)
        return made

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


Floats = qd.types.ndarray(qd.f32, 1)
Integers = qd.types.ndarray(qd.i32, 1)
Vectors = qd.types.ndarray(qd.types.vector(3, qd.f32), 1)
"""Annotations of kernels' arguments: arrays of one dimension, of floats, integers, or vectors of three floats."""


def let_go(owner: Any) -> None:
    """Free the arrays of all that ``owner`` holds of this kind, which is used no more."""
    for name, value in list(vars(owner).items()):
        if isinstance(owner, Shared) and isinstance(value, qd.Ndarray):
            kind = value.dtype
            if value.element_shape:
                kind = getattr(qd.types, ("vector", "matrix")[len(value.element_shape) - 1])(
                    *value.element_shape, kind
                )
            setattr(owner, name, qd.ndarray(kind, (1,) * len(value.shape)))
        for held in value if isinstance(value, list) else [value]:
            if isinstance(held, Shared):
                let_go(held)


shared_kernels = qd.data_oriented(stable_members=True, template_primitives=False)


def floats(*shape: int) -> qd.Ndarray:
    """Array of ``shape`` of single floats, zero; without a shape one number, ``a[None]``."""
    return qd.ndarray(qd.f32, shape)


def integers(*shape: int) -> qd.Ndarray:
    """Array of ``shape`` of integers of 32 bits, zero."""
    return qd.ndarray(qd.i32, shape)


def vectors(size: int, *shape: int) -> qd.Ndarray:
    """Array of ``shape`` of vectors of ``size`` single floats, zero."""
    return qd.ndarray(qd.types.vector(size, qd.f32), shape)


def integer_vectors(size: int, *shape: int) -> qd.Ndarray:
    """Array of ``shape`` of vectors of ``size`` integers of 32 bits, zero."""
    return qd.ndarray(qd.types.vector(size, qd.i32), shape)


def matrices(size: int, *shape: int) -> qd.Ndarray:
    """Array of ``shape`` of square matrices of ``size`` x ``size`` single floats, zero."""
    return qd.ndarray(qd.types.matrix(size, size, qd.f32), shape)
