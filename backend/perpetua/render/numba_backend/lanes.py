"""What a row of 16 pixels is to the kernels: constants, bit casts, a fast power of two, prefetch.

A tile is 16 x 16 pixels and the inner loops run over the 16 pixels of a row, which LLVM turns into one or two
vector registers. That only happens while all per-pixel state of a tile lives in one flat float32 array with
constant distances (no alias checks) and indices are unsigned 64-bit (no negative wrap-around); both are measured to
matter by a factor of five, which is why the kernels look the way they do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from perpetua.render.numba_backend.compile import inlined

F = np.float32
TILE = 16  # pixels, the side of a tile and the number of lanes in a row
LANES = np.uint64(TILE)

ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)
LOG2E = F(1.4426950408889634)

# The three thresholds of the composite, as in 3D Gaussian Splatting (Kerbl et al. 2023) and gsplat.
MIN_ALPHA = F(1 / 255)  # below this a Gaussian does not touch a pixel
LOG2_MIN_ALPHA = F(-7.994353436858858)
MAX_ALPHA = F(0.999)
MIN_TRANSMITTANCE = F(1e-4)  # a pixel is finished before the Gaussian that would bring it here

# Added to an alpha exponent that is out of range so that `exp2` stays defined; far below LOG2_MIN_ALPHA.
UNSEEN_EXPONENT = F(-20)


def _float_bits(typing_context: Any, value: Any) -> Any:
    """The 32 bits of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


def _bits_float(typing_context: Any, value: Any) -> Any:
    """The float32 that has the 32 bits of an int32."""

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


def _prefetch(typing_context: Any, array: Any, row: Any) -> Any:
    """Ask the processor to bring the start of `array[row]` into its cache."""

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
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


_ROW = ir.VectorType(ir.FloatType(), TILE)


def _row_pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Pointer to the 16 float32 from array[offset] as one vector."""
    view = make_array(array_type)(context, builder, array)
    return builder.bitcast(builder.gep(view.data, [offset]), _ROW.as_pointer())


def _load_row(builder: Any, pointer: Any) -> Any:
    row = builder.load(pointer)
    row.align = 4
    return row


def _add_product(builder: Any, pointer: Any, a: Any, b: Any) -> None:
    """Add a * b to the row at `pointer`, as a fused multiply-add where the processor has one."""
    product = builder.fmul(a, b, flags=("contract",))
    builder.store(builder.fadd(_load_row(builder, pointer), product, flags=("contract",)), pointer).align = 4


def _add_scaled_lanes(typing_context: Any, array: Any, into: Any, source: Any, scale: Any) -> Any:
    """array[into + l] += array[source + l] * scale for the 16 lanes l.

    Written as a loop, LLVM cannot see that the rows are apart when their distance is only known at run time, and
    goes through it one lane at a time.
    """

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
        target = _row_pointer(context, builder, signature.args[0], args[0], args[1])
        row = _load_row(builder, _row_pointer(context, builder, signature.args[0], args[0], args[2]))
        one = builder.insert_element(ir.Constant(_ROW, ir.Undefined), args[3], ir.IntType(32)(0))
        splat = ir.Constant(ir.VectorType(ir.IntType(32), TILE), [0] * TILE)
        _add_product(
            builder, target, row, builder.shuffle_vector(one, ir.Constant(_ROW, ir.Undefined), splat)
        )
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64, types.float32), generate


def _add_product_lanes(typing_context: Any, sums: Any, into: Any, array: Any, a: Any, b: Any) -> Any:
    """sums[into + l] += array[a + l] * array[b + l] for the 16 lanes l; see add_scaled_lanes."""

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
        target = _row_pointer(context, builder, signature.args[0], args[0], args[1])
        rows = [
            _load_row(builder, _row_pointer(context, builder, signature.args[2], args[2], args[k]))
            for k in (3, 4)
        ]
        _add_product(builder, target, rows[0], rows[1])
        return context.get_dummy_value()

    return types.void(sums, types.uint64, array, types.uint64, types.uint64), generate


def _sum_lanes(typing_context: Any, array: Any, offset: Any) -> Any:
    """Sum of the 16 float32 from array[offset], in a fixed order: halves onto halves.

    As a loop, LLVM sums several rows at once with gathers, which takes several times as long.
    """

    def generate(context: Any, builder: Any, signature: Signature, args: Any) -> Any:
        total = _load_row(builder, _row_pointer(context, builder, signature.args[0], args[0], args[1]))
        half = TILE // 2
        while half >= 1:
            shape = ir.VectorType(ir.IntType(32), half)
            nothing = ir.Constant(total.type, ir.Undefined)
            low = builder.shuffle_vector(total, nothing, ir.Constant(shape, list(range(half))))
            high = builder.shuffle_vector(total, nothing, ir.Constant(shape, list(range(half, 2 * half))))
            total = builder.fadd(low, high)
            half //= 2
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float32(array, types.uint64), generate


float_bits: Any = intrinsic(_float_bits)
bits_float: Any = intrinsic(_bits_float)
prefetch: Any = intrinsic(_prefetch)
add_scaled_lanes: Any = intrinsic(_add_scaled_lanes)
add_product_lanes: Any = intrinsic(_add_product_lanes)
sum_lanes: Any = intrinsic(_sum_lanes)

# 1.5 * 2**23: adding it to x and taking it away again rounds x to an integer, which is then in the low mantissa bits.
_ROUNDER = F(12582912.0)
# Minimax polynomial for 2**f, f in [-0.5, 0.5]; relative error below 3e-7 in float32.
_P5, _P4, _P3, _P2, _P1 = (
    F(1.33335581e-3),
    F(9.61812911e-3),
    F(5.55041087e-2),
    F(2.40226507e-1),
    F(6.93147181e-1),
)


@inlined
def exp2(x: Any) -> Any:
    """2**x for float32 x in [-126, 126]: the integer part goes to the exponent bits, the rest to a polynomial."""
    shifted = x + _ROUNDER
    f = x - (shifted - _ROUNDER)
    y = f * _P5 + _P4
    y = y * f + _P3
    y = y * f + _P2
    y = y * f + _P1
    y = y * f + ONE
    return bits_float(float_bits(y) + (float_bits(shifted) << np.int32(23)))


@inlined
def floor(x: Any) -> Any:
    """Largest integer (int64) not above x: math.floor is a call of the C library, this is two instructions."""
    i = np.int64(x)
    return i - 1 if F(i) > x else i


@inlined
def ceiling(x: Any) -> Any:
    """Smallest integer (int64) not below x."""
    i = np.int64(x)
    return i + 1 if F(i) < x else i
