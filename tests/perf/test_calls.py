"""What the checks at each call cost: of n and q in an estimator, of z and the value's shape in an objective.

    GRADEST_NO_SHAPES=1 pytest tests/perf/test_calls.py --benchmark-enable

Each is the difference of a line with and without the check. On a core of an AMD EPYC: 0.5 µs for n and 1.0 µs for z
(the least of three runs, beside other work), where the surrogate of reparameterisation with 4 draws of 3 coordinates
takes 104 µs and that of reinforce 311 µs. Of z and the shape of its value together 1.2 µs of CPU time, and of torch's
Bernoulli by logits, whose infinite ones are made finite, 6 µs more. A compiled step has none but the last.
"""

from dataclasses import dataclass

import pytest
import torch
from torch.distributions import Independent, Normal

from estimators import Estimator, Function, Traits


@dataclass(frozen=True)
class Nothing(Estimator):
    """Gives n back."""

    traits = Traits(unbiased=True, min_samples=2, samples_step=2)

    def surrogate(self, q, f, n):
        return n


@pytest.mark.parametrize("checked", [True, False])
def test_the_check_of_n(benchmark, checked):
    estimator, q, f = Nothing(), Normal(torch.zeros(3), 1.0), Function(lambda z: z)
    call = Nothing.surrogate if checked else Nothing.surrogate.__wrapped__
    assert benchmark(lambda: call(estimator, q, f, 4)) == 4  # pyright: ignore


@pytest.mark.parametrize("checked", [True, False])
def test_the_check_of_z(benchmark, checked):
    f, z = Function(lambda z: z), torch.zeros(3)
    call = Function.__call__ if checked else Function.__call__.__wrapped__
    assert benchmark(lambda: call(f, z, None)) is z


@pytest.mark.parametrize("checked", [True, False])
def test_the_check_of_a_value(benchmark, checked):
    f, z, value, q = (
        Function(lambda z: value),
        torch.zeros(4, 3),
        torch.zeros(4),
        Independent(Normal(torch.zeros(3), 1.0), 1),
    )
    call = Function.__call__ if checked else Function.__call__.__wrapped__
    assert benchmark(lambda: call(f, z, q)) is value
