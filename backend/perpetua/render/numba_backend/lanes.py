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


float_bits: Any = intrinsic(_float_bits)
bits_float: Any = intrinsic(_bits_float)
prefetch: Any = intrinsic(_prefetch)

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
