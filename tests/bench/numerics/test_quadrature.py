"""Gauss–Legendre rules against 50 digits of mpmath."""

import mpmath as mp
import numpy as np
import pytest

from bench.numerics.quadrature import gauss_legendre

EPS = np.finfo(float).eps


def true_rule(order):
    """Nodes and weights at 50 digits."""
    found = []
    for start in np.polynomial.legendre.leggauss(order)[0]:
        x = mp.findroot(lambda t: mp.legendre(order, t), mp.mpf(float(start)))
        slope = order * (x * mp.legendre(order, x) - mp.legendre(order - 1, x)) / (x * x - 1)
        found.append((x, 2 / ((1 - x * x) * slope**2)))
    return found


def off(weights, rule):
    return max(abs(float(mp.mpf(float(found)) / weight - 1)) for found, (_, weight) in zip(weights, rule, strict=True))


@pytest.mark.parametrize("order", [2, 5, 20])
def test_weights_and_nodes_are_rounded_correctly(order):
    with mp.workdps(50):
        rule = true_rule(order)
        node, weight = gauss_legendre(order)
        assert off(weight, rule) < EPS
        assert max(abs(float(mp.mpf(float(x)) - y)) for x, (y, _) in zip(node, rule, strict=True)) < EPS / 2


def test_a_weight_computed_in_float64_is_seen():
    """The formula itself, in float64 at the rounded node, is not right to the last digit."""
    with mp.workdps(50):
        rule = true_rule(20)
    x = np.array([float(node) for node, _ in rule])
    last = np.polynomial.legendre.Legendre.basis(20)
    with mp.workdps(50):
        assert off(2 / ((1 - x**2) * last.deriv()(x) ** 2), rule) > 10 * EPS
