"""Least squares for a function that costs a simulation a call: Gauss-Newton with secant slopes, and no more parameters than it takes.

    minimise   n  sum_i w_i |r_i(x)|^2 / (s^2 sum_i w_i)   +   sum_q ((x_q - m_q) / d_q)^2   +   sum over what moves of ln(3 n)

Residuals r [K, 3] are vectors; the weights w are the given ones times Huber's, s^2 is the weighted mean square that is left, and n says how
many independent vectors the residuals hold, for neighbours say the same. The last term (Schwarz 1978) leaves at m what the data do
not need; in the linear model every set of parameters is tried, which costs nothing. Slopes are kept up by Broyden's rank-one
updates (1965), and those of what moved are taken anew near the end, for the first are secants over long ways.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Residual = Callable[[NDArray[np.float64]], NDArray[np.float64] | None]
"""x [Q] -> [K, 3], or None where there is no answer (a simulation that explodes)."""

HUBER = 2.0
"""Residuals beyond this many medians count linearly."""
LONGEST_STEP = 1.0
"""Of a parameter, in its prior's standard deviations."""
SHRINK = 0.4
"""A step that makes it worse is tried again so much shorter."""
SETTLED = 0.25
"""A step of this share of the standard deviations that are left ends the search."""
MOST_FAILURES = 3
"""Steps in a row that make it worse."""
SHORTER = 0.5
"""Slopes that are taken anew are secants over this share of the first ones' way."""
LAST_CALLS = 6
"""Calls that are kept for the new slopes and what follows from them."""
MOST_SETS = 10
"""Groups of parameters of which all sets are tried; of more, sets of up to ``LARGEST_SET``."""
LARGEST_SET = 3


@dataclass(frozen=True)
class Prior:
    """mean, spread: [Q], what x is thought to be and its standard deviation.  low, high: [Q], bounds.  steps: [Q], over which slopes are
    first taken.  group: [Q] int, parameters that move or stay together."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    steps: NDArray[np.float64]
    group: NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """x: [Q].  spread: [Q], standard deviations, where what stayed may be as far off as the prior says; the prior's for that itself.  before, after: weighted mean squares of
    the residuals where the search began and at x, with the same weights.  calls: how often the residual was asked for."""

    x: NDArray[np.float64]
    spread: NDArray[np.float64]
    before: float
    after: float
    calls: int


def fit(
    residual: Residual,
    prior: Prior,
    weights: NDArray,
    independent: float,
    floor: float,
    most: int,
    begin: NDArray[np.float64],
) -> Fit | None:
    """The best x within about ``most`` calls; None if there is no answer at ``begin`` [Q], where the search begins.

    weights: [K], of the residuals.  independent: n.  floor: the mean square of a component that is noise however good the fit.
    """
    return _Search(residual, prior, weights, independent, floor, most).run(begin)


class _Search:
    """The best point so far, its residuals [K, 3], and slopes [3 K, Q] around it."""

    def __init__(
        self, residual: Residual, prior: Prior, weights: NDArray, independent: float, floor: float, most: int
    ) -> None:
        self.residual, self.prior, self.given = residual, prior, weights
        self.independent, self.floor, self.most = independent, floor, most
        self.calls = 0
        self.sets = _sets(prior.group)

    def run(self, begin: NDArray[np.float64]) -> Fit | None:
        first = self._ask(begin)
        if first is None:
            return None
        self.x, self.r = begin.copy(), first
        self.slopes = np.zeros((first.size, len(self.x)))
        self._take_slopes(np.ones(len(self.x), bool), 1.0)
        self._descend(self.most - LAST_CALLS)
        self._take_slopes(self.x != self.prior.mean, SHORTER)
        self._descend(self.most)
        matrix, _, _ = self._normal()
        free = self.x != self.prior.mean
        spread = self.prior.spread.copy()
        spread[free] = np.sqrt(np.diag(np.linalg.inv(matrix)))[free]
        w = self._weights()
        return Fit(self.x, spread, _mean_square(first, w), _mean_square(self.r, w), self.calls)

    def _ask(self, x: NDArray) -> NDArray[np.float64] | None:
        self.calls += 1
        return self.residual(x)

    def _take_slopes(self, which: NDArray[np.bool_], share: float) -> None:
        """Secants from x over ``share`` of the prior's steps. Where there is no answer the step is turned round, and without one there
        either the parameter is taken to do nothing."""
        for q in np.flatnonzero(which):
            size = share * self.prior.steps[q]
            column = np.zeros(self.r.size)
            for sign in (1.0, -1.0):
                x = self.x.copy()
                x[q] = np.clip(x[q] + sign * size, self.prior.low[q], self.prior.high[q])
                moved = x[q] - self.x[q]
                if abs(moved) < 0.1 * size:
                    continue
                r = self._ask(x)
                if r is not None:
                    column = (r - self.r).ravel() / moved
                    break
            self.slopes[:, q] = column

    def _descend(self, most: int) -> None:
        """Go down until nothing more is gained or ``most`` calls are spent in all."""
        failures, shrink = 0, 1.0
        while self.calls < most and failures < MOST_FAILURES:
            matrix, gradient, scale = self._normal()
            target, left = self._target(matrix, gradient)
            step = target - self.x
            step *= shrink * min(
                1.0, LONGEST_STEP / max(float(np.abs(step / self.prior.spread).max()), 1e-12)
            )
            if (np.abs(step) <= SETTLED * left).all():
                return
            x = target if shrink == 1.0 and np.allclose(self.x + step, target) else self.x + step
            r = self._ask(x)
            if r is not None:
                self._broyden(x - self.x, (r - self.r).ravel())
            if r is not None and self._price(r, x, scale) < self._price(self.r, self.x, scale):
                self.x, self.r = x, r
                failures, shrink = 0, min(1.0, shrink / SHRINK)
            else:
                failures, shrink = failures + 1, shrink * SHRINK

    def _weights(self) -> NDArray[np.float64]:
        """[K]: the given weights times those of iterated least squares; noise counts in full."""
        size = np.linalg.norm(self.r, axis=1)
        usual = max(float(np.median(size)), math.sqrt(3 * self.floor))
        return self.given * np.minimum(1.0, HUBER * usual / np.maximum(size, 1e-12))

    def _normal(self) -> tuple[NDArray, NDArray, float]:
        """Matrix [Q, Q] and half the gradient [Q] of the price but for the last term, and the variance that residuals are weighed by."""
        w, prior = self._weights(), self.prior
        scale = max(_mean_square(self.r, w), self.floor)
        each = np.repeat(w, 3) * self.independent / (max(float(w.sum()), 1e-300) * scale)
        matrix = self.slopes.T @ (each[:, None] * self.slopes) + np.diag(1 / prior.spread**2)
        gradient = self.slopes.T @ (each * self.r.ravel()) + (self.x - prior.mean) / prior.spread**2
        return matrix, gradient, scale

    def _target(self, matrix: NDArray, gradient: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The cheapest x [Q] of the linear model over all sets of parameters, and the standard deviations [Q] left there."""
        best, target, left = math.inf, self.x, self.prior.spread
        for free in self.sets:
            step = _minimum(matrix, gradient, free, self.prior, self.x)
            price = step @ matrix @ step + 2 * gradient @ step + self._fee(free)
            if price < best:
                best, target, left = price, self.x + step, self.prior.spread.copy()
                if free.any():
                    left[free] = np.sqrt(np.diag(np.linalg.inv(matrix[np.ix_(free, free)])))
                target[~free] = self.prior.mean[~free]
        return target, left

    def _fee(self, free: NDArray[np.bool_]) -> float:
        return math.log(3 * self.independent) * int(free.sum())

    def _price(self, r: NDArray, x: NDArray, scale: float) -> float:
        off = (x - self.prior.mean) / self.prior.spread
        data = 3 * self.independent * _mean_square(r, self._weights()) / scale
        return data + float(off @ off) + self._fee(x != self.prior.mean)

    def _broyden(self, step: NDArray, change: NDArray) -> None:
        """Make the slopes explain the ``change`` of residuals over ``step``, and change nothing across it (in units of the prior)."""
        along = step / self.prior.spread**2
        self.slopes += np.outer(change - self.slopes @ step, along / max(float(along @ step), 1e-300))


def _mean_square(r: NDArray, w: NDArray) -> float:
    """Of a residual's components."""
    return float((w * (r**2).sum(1)).sum() / (3 * max(float(w.sum()), 1e-300)))


def _sets(group: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """[Q] masks: sets of groups, the empty one first."""
    groups = np.unique(group)
    largest = len(groups) if len(groups) <= MOST_SETS else LARGEST_SET
    return [
        np.isin(group, chosen)
        for size in range(largest + 1)
        for chosen in itertools.combinations(groups, size)
    ]


def _minimum(
    matrix: NDArray, gradient: NDArray, free: NDArray[np.bool_], prior: Prior, x: NDArray
) -> NDArray[np.float64]:
    """[Q]: the step to the minimum over the ``free`` parameters within the bounds, the others going back to the prior's mean. What
    hits a bound is held there, and the rest is solved for again."""
    step = np.where(free, 0.0, prior.mean - x)
    free = free.copy()
    while free.any():
        right = -gradient[free] - matrix[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], right)
        out = free & ((x + step < prior.low) | (x + step > prior.high))
        if not out.any():
            break
        step[out] = (np.clip(x + step, prior.low, prior.high) - x)[out]
        free &= ~out
    return step
