"""A thousand dimensions within the stated memory, and the same numbers whatever the chunks."""

import pytest
import torch

import estimators
from bench.measure.timing.memory import peak_memory
from estimators import Function
from estimators.tools import coordinates
from tests.support.cases import CASES, bits, build_normal, location_normal, of_line
from tests.support.counts import COUNTS, F, poisson
from tests.support.exactness import Build, Tensors, estimates

D = 1000
LINE = torch.linspace(-1, 1, D, dtype=torch.float64)
MEAN = Function(lambda z: (z.mean(-1) - 0.4).square())
WIDE: dict[str, tuple[Build, Tensors]] = {
    "measure_valued": (build_normal, {"loc": LINE, "scale": LINE.exp()}),
    "weak_derivative": (poisson, {"rate": LINE.exp()}),
    "boundary_pathwise": (build_normal, {"loc": LINE, "scale": LINE.exp()}),
    "local_expectation": (bits, {"logits": 3 * LINE}),
    "indecater": (bits, {"logits": 3 * LINE}),
    "finite_differences": (location_normal, {"loc": LINE}),
    "rodeo": (bits, {"logits": 3 * LINE}),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_thousand_dimensions_within_the_bound(name, monkeypatch):
    """The peak is a few times what one call of f may see: the points, f's own temporaries, the noise."""
    monkeypatch.setattr(coordinates, "MAX_ELEMENTS", 2**19)
    f = Function(MEAN.function, breaks=(0.3,))
    build, parameters = WIDE[name]
    found = []

    def step():
        found.append(estimates(estimators.get(name), build, parameters, f, 2, 1))

    peak, _ = peak_memory(step, "cpu")
    unit = 8 * (2**19 + D * D)  # a chunk, and the identity that picks its coordinates
    assert peak < 5 * unit, f"{peak / unit:.1f} units"
    assert found[0].isfinite().all() and found[0].any()


@pytest.mark.parametrize("name", ["measure_valued", "boundary_pathwise", "weak_derivative"])
def test_chunks_change_nothing(name, monkeypatch):
    counts, kinked = (*COUNTS["poisson"], F), (*CASES["normal"][:2], Function(of_line, breaks=(0.1,)))
    build, parameters, f = counts if name == "weak_derivative" else kinked
    whole = estimates(estimators.get(name), build, parameters, f, 2, 10)
    monkeypatch.setattr(coordinates, "MAX_ELEMENTS", 1)
    torch.testing.assert_close(estimates(estimators.get(name), build, parameters, f, 2, 10), whole)
