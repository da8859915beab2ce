"""The sixteen-lane type against numpy, and what the processor is given for it."""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
import pytest

from perpetua.render.numba_backend.compile import careful_kernel
from perpetua.render.numba_backend.lanes import (
    LANES,
    F,
    bits,
    broadcast,
    exp2,
    larger,
    load,
    lowest_bit,
    select,
    smaller,
    store,
    sum_each,
)


@careful_kernel
def arithmetic(a: np.ndarray, b: np.ndarray, s: Any, out: np.ndarray) -> None:
    x, y = load(a, 0), load(b, 0)
    results = (
        x + y,
        x - y,
        x * y,
        x / y,
        x + s,
        s - x,
        s / x,
        -x,
        x * y + s,
        broadcast(s),
        smaller(x, y),
        larger(x, s),
    )
    for k in range(len(results)):
        store(out, k * LANES, results[k])


@careful_kernel
def masks(a: np.ndarray, b: np.ndarray, s: Any, out: np.ndarray) -> None:
    x, y = load(a, 0), load(b, 0)
    found = (x < y, x <= y, x > y, x >= y, x < s, s <= x, (x < y) & (x > s), (x < y) | (x > s), ~(x < y))
    for k in range(len(found)):
        out[k] = bits(found[k])


@careful_kernel
def choose(a: np.ndarray, b: np.ndarray, s: Any, out: np.ndarray) -> None:
    x, y = load(a, 0), load(b, 1)
    store(out, 0, select(x < y, x, y))
    store(out, LANES, select(x < s, s, y))


@careful_kernel
def sums(a: np.ndarray, at: int, out: np.ndarray) -> None:
    store(out, 0, sum_each(a, at))


@careful_kernel
def powers(x: np.ndarray, out: np.ndarray) -> None:
    for at in range(0, x.shape[0], LANES):
        store(out, at, exp2(load(x, at)))


@careful_kernel
def set_bits(value: int, out: np.ndarray) -> int:
    count = 0
    while value != 0:
        out[count] = lowest_bit(value)
        value &= value - 1
        count += 1
    return count


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, LANES)).astype(np.float32)


def test_arithmetic_is_float32_lane_by_lane(numbers: np.ndarray) -> None:
    a, b, _ = numbers
    s = F(0.75)
    out = np.empty((12, LANES), np.float32)
    arithmetic(a, b, s, out.reshape(-1))
    expected = [a + b, a - b, a * b, a / b, a + s, s - a, s / a, -a]
    np.testing.assert_allclose(out[:8], expected, rtol=3e-7)
    np.testing.assert_allclose(out[8], a.astype(float) * b + s, rtol=1e-6)
    assert (out[9] == s).all()
    assert (out[10] == np.minimum(a, b)).all()
    assert (out[11] == np.maximum(a, s)).all()


def test_masks_hold_one_bit_a_lane(numbers: np.ndarray) -> None:
    a, b, _ = numbers
    b[::5] = a[::5]
    s = F(0.1)
    out = np.empty(9, np.int64)
    masks(a, b, s, out)
    expected = [a < b, a <= b, a > b, a >= b, a < s, s <= a, (a < b) & (a > s), (a < b) | (a > s), ~(a < b)]
    assert out.tolist() == [sum(1 << l for l in range(LANES) if mask[l]) for mask in expected]


def test_select_takes_lanes_and_numbers_and_load_any_offset(numbers: np.ndarray) -> None:
    a, b = numbers[0], np.append(numbers[1], F(2))
    out = np.empty((2, LANES), np.float32)
    choose(a, b, F(0.25), out.reshape(-1))
    assert (out[0] == np.minimum(a, b[1:])).all()
    assert (out[1] == np.where(a < F(0.25), F(0.25), b[1:])).all()


def test_sum_each_puts_the_sum_of_row_k_in_lane_k() -> None:
    rows = np.random.default_rng(1).normal(size=(LANES + 1, LANES)).astype(np.float32)
    out, again = np.empty((2, LANES), np.float32)
    sums(rows.reshape(-1), LANES, out)
    np.testing.assert_allclose(out, rows[1:].astype(float).sum(1), atol=2e-6)
    # The order of a sum does not depend on the place of its row: these are the same bytes elsewhere.
    sums(np.ascontiguousarray(rows[::-1]).reshape(-1), 0, again)
    assert again.tolist() == out[::-1].tolist()


def test_exp2_is_good_to_two_units_in_the_last_place() -> None:
    x = np.linspace(-126, 126, 16 * 4096).astype(np.float32)
    out = np.empty_like(x)
    powers(x, out)
    assert np.abs(out / np.exp2(x.astype(float)) - 1).max() < 2e-7
    assert (out[x == np.round(x)] == np.exp2(x[x == np.round(x)])).all()


def test_lowest_bit_walks_through_a_mask() -> None:
    out = np.empty(64, np.int64)
    count = set_bits(0b1000_0000_0010_0101, out)
    assert out[:count].tolist() == [0, 2, 5, 15]


def test_lanes_are_one_vector_to_the_compiler(numbers: np.ndarray) -> None:
    @numba.njit(fastmath={"contract"})
    def multiply_add(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        store(out, 0, load(a, 0) * load(b, 0) + load(out, 0))

    a, b, out = numbers.copy()
    multiply_add(a, b, out)
    np.testing.assert_allclose(out, numbers[0] * numbers[1] + numbers[2], atol=1e-6)
    code = "\n".join(multiply_add.inspect_llvm().values())
    assert re.search(r"fadd ([a-z]+ )*<16 x float>", code)
    assert not re.search(r"f(add|mul) ([a-z]+ )*float", code)
