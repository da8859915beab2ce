"""Sixteen float32 numbers in one vector register, as a type that numba kernels calculate with.

A tile has 16 x 16 pixels, in 16 blocks of 4 x 4. A `Lanes` value holds one number for each pixel of a block (or for
each block of a tile), a `Mask` one truth value for each:

    weight = select(alpha >= MIN_ALPHA, alpha * t, ZERO)
    store(state, at, load(state, at) + weight * color)

The functions and operators:

    load, store         sixteen neighbours of a flat float32 array
    + - * / abs         float32 arithmetic, - also with one operand; a * b + c becomes a fused multiply-add
    < <= > >=           -> Mask;   & and | combine masks, ~ inverts one
    select              lane by lane one of two;   smaller, larger
    bits                Mask -> integer with bit l for lane l;   lowest_bit finds its first
    sum_each            sums over the lanes of sixteen rows, in a fixed order
    exp2                2**x

Operators take two `Lanes`, or `Lanes` and a float32, which then stands for sixteen equal ones. Each becomes one
instruction for all lanes, AVX-512 in one register, AVX2 in two, NEON in four: LLVM splits what is too wide. Written
as a loop over sixteen floats instead, the same code is only turned into vectors while LLVM can prove that no two
arrays overlap, and is five times slower when it cannot.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.core.datamodel.registry import register_default
from numba.extending import intrinsic, lower_builtin, type_callable
from numba.np.arrayobj import make_array

from perpetua.render.numba_backend.compile import inlined

F = np.float32
LANES = 16
TILE = 16  # pixels, the side of a tile
BLOCK = 4  # pixels, the side of a block: as many pixels as lanes, as many blocks in a tile as lanes

ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)
LOG2E = F(1.4426950408889634)

# The three thresholds of the composite, as in 3D Gaussian Splatting (Kerbl et al. 2023) and gsplat.
MIN_ALPHA = F(1 / 255)  # below this a Gaussian does not touch a pixel
LOG2_MIN_ALPHA = F(-7.994353436858858)
MAX_ALPHA = F(0.999)
MIN_TRANSMITTANCE = F(1e-4)  # a pixel is finished before the Gaussian that would bring it here


class LanesType(types.Type):
    """numba's type of sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class MaskType(types.Type):
    """numba's type of sixteen truth values."""

    def __init__(self) -> None:
        super().__init__(name="Mask")


lanes_type, mask_type = LanesType(), MaskType()
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)


@register_default(LanesType)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _FLOATS)


@register_default(MaskType)
class _MaskModel(PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _BITS)


def _shuffle(builder: Any, a: Any, b: Any, source: list[int]) -> Any:
    """The lanes `source` of a followed by b."""
    indices = ir.Constant(ir.VectorType(ir.IntType(32), len(source)), source)
    return builder.shuffle_vector(a, b, indices)


def _as_lanes(builder: Any, numba_type: Any, value: Any) -> Any:
    """The value, or a float32 in all lanes."""
    if numba_type == lanes_type:
        return value
    nothing = ir.Constant(_FLOATS, ir.Undefined)
    return _shuffle(builder, builder.insert_element(nothing, value, ir.IntType(32)(0)), nothing, [0] * LANES)


def _is_operand(*numba_types: Any) -> bool:
    """Whether these are Lanes or float32, and one of them is Lanes."""
    return lanes_type in numba_types and all(t in (lanes_type, types.float32) for t in numba_types)


def _define(function: Any, operands: tuple[Any, ...], result: Any, generate: Callable[..., Any]) -> None:
    """Let numba lower `function` of `operands` by `generate(builder, *values)`; float32 values arrive broadcast."""

    def typer(context: Any) -> Any:
        # numba looks at the names of the typer's parameters
        def of_one(a: Any) -> Any:
            return result if (a,) == operands else None

        def of_two(a: Any, b: Any) -> Any:
            return result if (a, b) == operands else None

        return of_one if len(operands) == 1 else of_two

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if mask_type in operands:
            return generate(builder, *args)
        return generate(builder, *(_as_lanes(builder, t, v) for t, v in zip(operands, args, strict=True)))

    type_callable(function)(typer)
    lower_builtin(function, *operands)(lower)


def _absolute(builder: Any, x: Any) -> Any:
    without_sign = ir.Constant(_INTS, [0x7FFFFFFF] * LANES)
    return builder.bitcast(builder.and_(builder.bitcast(x, _INTS), without_sign), _FLOATS)


def _define_operators() -> None:
    pairs = [(lanes_type, lanes_type), (lanes_type, types.float32), (types.float32, lanes_type)]
    arithmetic = {
        operator.add: "fadd",
        operator.sub: "fsub",
        operator.mul: "fmul",
        operator.truediv: "fdiv",
    }
    comparisons = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">="}
    for operands in pairs:
        for function, instruction in arithmetic.items():
            _define(function, operands, lanes_type, lambda b, x, y, name=instruction: getattr(b, name)(x, y))
        for function, symbol in comparisons.items():
            _define(function, operands, mask_type, lambda b, x, y, s=symbol: b.fcmp_ordered(s, x, y))
    _define(operator.neg, (lanes_type,), lanes_type, lambda b, x: b.fneg(x))
    _define(abs, (lanes_type,), lanes_type, _absolute)
    _define(operator.and_, (mask_type, mask_type), mask_type, lambda b, x, y: b.and_(x, y))
    _define(operator.or_, (mask_type, mask_type), mask_type, lambda b, x, y: b.or_(x, y))
    _define(operator.invert, (mask_type,), mask_type, lambda b, x: b.not_(x))


_define_operators()


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Pointer to the 16 float32 from array[at] as one vector."""
    view = make_array(array_type)(context, builder, array)
    return builder.bitcast(builder.gep(view.data, [at]), _FLOATS.as_pointer())


def _load(typing_context: Any, array: Any, at: Any) -> Any:
    """Lanes from array[at], array[at + 1], ... of a flat float32 array; not checked against its length."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *args), align=4)

    return lanes_type(array, types.int64), generate


def _store(typing_context: Any, array: Any, at: Any, value: Any) -> Any:
    """Write Lanes (or a float32 sixteen times) to array[at], array[at + 1], ...; not checked against its length."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = _as_lanes(builder, signature.args[2], args[2])
        builder.store(lanes, _pointer(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), generate


def _select(typing_context: Any, mask: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes where the mask is true, else `no`."""
    if mask != mask_type or not all(t in (lanes_type, types.float32) for t in (yes, no)):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (_as_lanes(builder, signature.args[k], args[k]) for k in (1, 2))
        return builder.select(args[0], a, b)

    return lanes_type(mask, yes, no), generate


def _broadcast(typing_context: Any, value: Any) -> Any:
    """A float32 in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _as_lanes(builder, types.float32, args[0])

    return lanes_type(types.float32), generate


def _bits(typing_context: Any, mask: Any) -> Any:
    """The mask as an int64 whose bit l is lane l; 0 if no lane is true."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(mask_type), generate


def _lowest_bit(typing_context: Any, value: Any) -> Any:
    """Place of the lowest bit that is set in an int64 other than 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero_does_not_occur = ir.IntType(1)(1)
        return builder.cttz(args[0], zero_does_not_occur)

    return types.int64(types.int64), generate


def _times_power_of_two(typing_context: Any, value: Any, shifted: Any) -> Any:
    """value * 2**k, where the integer k is in the low mantissa bits of `shifted`; see exp2."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        mantissa_bits = ir.Constant(_INTS, [23] * LANES)
        exponent = builder.shl(builder.bitcast(args[1], _INTS), mantissa_bits)
        return builder.bitcast(builder.add(builder.bitcast(args[0], _INTS), exponent), _FLOATS)

    return lanes_type(lanes_type, lanes_type), generate


def _sum_each(typing_context: Any, array: Any, at: Any) -> Any:
    """Sums of the 16 rows of 16 float32 from array[at], as Lanes: lane k is the sum of row k.

    Four times two rows a and b become one that holds the half sums of both, so sixteen sums take 15 additions. In the
    first round a is row k and b is row k + 8, and they meet in the lanes below and above 8; then 4, 2, 1.
    The order is the same for every row: lanes at distance 8, then 4, 2, 1.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        int64 = ir.IntType(64)
        offsets = [builder.add(args[1], int64(k * LANES)) for k in range(LANES)]
        pointers = [_pointer(context, builder, signature.args[0], args[0], offset) for offset in offsets]
        rows = [builder.load(pointer, align=4) for pointer in pointers]
        half = LANES // 2
        while half >= 1:
            # Lanes without the bit `half` are for a, those with it for b (whose lanes count from LANES on here).
            near = [l + LANES * bool(l & half) for l in range(LANES)]
            far = [(l ^ half) + LANES * bool(l & half) for l in range(LANES)]
            rows = [
                builder.fadd(_shuffle(builder, a, b, near), _shuffle(builder, a, b, far))
                for a, b in zip(rows[:half], rows[half:], strict=True)
            ]
            half //= 2
        return rows[0]

    return lanes_type(array, types.int64), generate


def _prefetch(typing_context: Any, array: Any, row: Any) -> Any:
    """Ask the processor to bring the start of `array[row]` into its cache."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = make_array(signature.args[0])(context, builder, args[0])
        stride = builder.extract_value(view.strides, 0)
        start = builder.ptrtoint(view.data, ir.IntType(64))
        byte_pointer, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.inttoptr(builder.add(start, builder.mul(args[1], stride)), byte_pointer)
        name = "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte_pointer, int32, int32, int32]), name
        )
        read, keep_in_all_caches, data_cache = int32(0), int32(3), int32(1)
        builder.call(function, [address, read, keep_in_all_caches, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
select: Any = intrinsic(_select)
broadcast: Any = intrinsic(_broadcast)
bits: Any = intrinsic(_bits)
lowest_bit: Any = intrinsic(_lowest_bit)
sum_each: Any = intrinsic(_sum_each)
prefetch: Any = intrinsic(_prefetch)
_times_two_to: Any = intrinsic(_times_power_of_two)

# 1.5 * 2**23: adding it to x and taking it away again rounds x to an integer, which is then in the low mantissa bits.
_ROUNDER = F(12582912.0)
# Polynomial for 2**f that is exact at 0 and has the smallest greatest relative error in [-0.5, 0.5]: 9e-8, in float32
# 1.6e-7. Found by linear programming over 4001 Chebyshev points.
_P5, _P4, _P3, _P2, _P1 = (
    F(1.326472749e-3),
    F(9.671512642e-3),
    F(5.550733742e-2),
    F(2.402224209e-1),
    F(6.931469776e-1),
)


@inlined
def exp2(x: Any) -> Any:
    """2**x of Lanes in [-126, 126]: the integer part goes to the exponent bits, the rest to a polynomial.

    Lanes out of that range get arbitrary numbers: the caller must select them away.
    """
    shifted = x + _ROUNDER
    f = x - (shifted - _ROUNDER)
    y = f * _P5 + _P4
    y = y * f + _P3
    y = y * f + _P2
    y = y * f + _P1
    y = y * f + ONE
    return _times_two_to(y, shifted)


@inlined
def empty_lanes(count: Any) -> Any:
    """Memory for `count` Lanes, flat, that begins where a cache line does.

    numba aligns arrays to 32 bytes, so that else each load and store of a row may touch two lines.
    """
    memory = np.empty((count + 1) * LANES, np.float32)
    skip = -(memory.ctypes.data // memory.itemsize) % LANES
    return memory[skip : skip + count * LANES]


@inlined
def smaller(a: Any, b: Any) -> Any:
    """Lane by lane the smaller of two."""
    return select(a < b, a, b)


@inlined
def larger(a: Any, b: Any) -> Any:
    """Lane by lane the larger of two."""
    return select(a > b, a, b)


@inlined
def floor(x: Any) -> Any:
    """Largest integer (int64) not above x: math.floor is a call of the C library, this is two instructions."""
    i = np.int64(x)
    return i - 1 if F(i) > x else i
