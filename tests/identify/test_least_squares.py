"""The fit against closed forms: a straight line's, an exponential's, and what the prior and the bounds do to it."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.identify.least_squares import Fit, Prior, Residual, fit

T = np.linspace(0, 1, 40)


def prior(count: int, spread: float = 10.0, low: float = -100.0) -> Prior:
    each = np.ones(count)
    return Prior(0 * each, spread * each, low * each, 100 * each, 0.3 * each, np.arange(count))


def fitted(residual: Residual, known: Prior, weights: np.ndarray, *rest: float) -> Fit | None:
    """From what is known."""
    independent, floor, most = rest
    return fit(residual, known, weights, independent, floor, int(most), known.mean)


def along_x(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.zeros_like(values), np.zeros_like(values)], 1)


def test_a_straight_line_is_found_at_once_and_its_spread_is_the_textbook_s():
    rng = np.random.default_rng(0)
    data = 2.0 + 3.0 * T + rng.normal(0, 0.1, len(T))

    def residual(x):
        return along_x(x[0] + x[1] * T - data)

    found = fitted(residual, prior(2, 1e3), np.ones(len(T)), 1.0 * len(T), 1e-12, 20)
    A = np.stack([np.ones_like(T), T], 1)
    np.testing.assert_allclose(found.x, np.linalg.lstsq(A, data, rcond=None)[0], atol=0.01)
    left = data - A @ found.x
    variance = (left @ left) / (3 * len(T))  # of a component: two of the three axes hold no error here
    np.testing.assert_allclose(found.spread, np.sqrt(variance * np.diag(np.linalg.inv(A.T @ A))), rtol=0.15)
    assert found.calls <= 8
    assert found.after < 0.01 * found.before


def test_a_decay_that_is_four_times_as_fast_is_found_in_few_calls():
    def residual(x):
        return along_x(np.exp(-np.exp(x[0]) * T) - np.exp(-4.0 * T))

    found = fitted(residual, prior(1, 1.0), np.ones(len(T)), 30.0, 1e-8, 12)
    assert found.x[0] == pytest.approx(np.log(4), abs=0.05)
    assert found.calls <= 12


def test_what_the_data_do_not_say_stays_as_it_was_thought_to_be():
    found = fitted(lambda x: along_x(x[0] - T * 0 - 1), prior(2, 2.0), np.ones(len(T)), 30.0, 1e-6, 12)
    assert found.x[0] == pytest.approx(1.0, abs=0.01)
    assert found.x[1] == 0.0
    assert found.spread[1] == pytest.approx(2.0)


def test_a_bound_holds_and_the_others_make_the_best_of_it():
    def residual(x):
        return along_x(x[0] + x[1] * T + 1.0)

    found = fitted(residual, prior(2, 10.0, low=-0.5), np.ones(len(T)), 1.0 * len(T), 1e-9, 20)
    assert (found.x >= -0.5).all()
    assert found.x[0] == pytest.approx(-0.5)
    assert found.x[1] == pytest.approx(-0.5, abs=0.02)


def test_some_that_are_far_off_do_not_rule():
    data = 1.0 + 0 * T
    data[::8] = 30.0
    found = fitted(lambda x: along_x(x[0] - data), prior(1), np.ones(len(T)), 100.0, 1e-6, 25)
    assert found.x[0] == pytest.approx(1.0, abs=1.0)
    assert abs(found.x[0] - data.mean()) > 2.0


def test_what_has_no_answer_is_gone_round():
    def residual(x):
        return None if x[0] > 0.2 else along_x(x[0] + 1.0 + 0 * T)

    found = fitted(residual, prior(1), np.ones(len(T)), 100.0, 1e-9, 12)
    assert found.x[0] == pytest.approx(-1.0, abs=0.01)
    assert fitted(lambda x: None, prior(1), np.ones(len(T)), 100.0, 1e-9, 12) is None
