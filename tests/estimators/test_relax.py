"""RELAX and fitted REBAR: unbiased whatever was learned, less variance after fitting, the right gradient in fitting."""

import pytest
import torch

import estimators
from estimators import Function, Need
from estimators.rebar import controlled
from estimators.relax import FittedRebar, Relax, untuned, with_slope
from tests.support.cases import CASES, bits, double, exact, single
from tests.support.exactness import assert_unbiased, enough, estimates

LEARNED = [FittedRebar(), Relax(), Relax(relaxes_f=False)]


def fitted(estimator, case, steps=60):
    torch.manual_seed(1)
    build, parameters, f = case
    expanded = {name: value.expand(20, *value.shape) for name, value in parameters.items()}
    return estimator.fit(build(**expanded), f, 1, steps)


@pytest.mark.parametrize(
    "case", ["bits", "extreme_bits", pytest.param("evidence_of_bits", marks=pytest.mark.slow), "one_hot"]
)
@pytest.mark.parametrize("estimator", LEARNED, ids=str)
def test_unbiased_and_quieter_once_fitted(estimator, case):
    learned = fitted(estimator, CASES[case])
    replicates = 150_000 if case == "extreme_bits" else 50_000
    after = enough(learned, *CASES[case], 2, replicates)
    assert_unbiased(after, exact(case), resolution=0.08)
    if case != "extreme_bits":  # there most draws show one value, and 60 steps have seen little else
        before = estimates(estimators.get("reinforce"), *CASES[case], 2, 50_000)
        assert after.var(0).sum() < 0.9 * before.var(0).sum()


def test_unbiased_with_any_weights():
    """Weights that nobody fitted, so that a term that is missing somewhere shows."""
    torch.manual_seed(0)
    for estimator in LEARNED:
        state = {
            name: w + 0.5 * torch.randn_like(w)
            for name, w in estimator.initial(bits(**CASES["bits"][1]), hidden=10).items()
        }
        assert_unbiased(enough(estimator.frozen(state), *CASES["bits"], 2, 100_000), exact("bits"))


def test_float32():
    case = single(CASES["one_hot"], torch.float32)
    sample = enough(fitted(Relax(), case), *case, 2, 100_000)
    assert sample.dtype == torch.float32
    assert_unbiased(sample.double(), exact("one_hot"))


@pytest.mark.parametrize("name", ["eta", "log_temperature"])
def test_fitting_descends_the_variance(name):
    """The gradient of ‖ĝ‖² in the weights against central differences with the same draws."""
    build, parameters, f = CASES["evidence_of_bits"]
    q = build(**parameters)

    def squared(weights):
        def surrogate(values):
            control = lambda x: FittedRebar().control(x, q, f, weights)  # noqa: E731
            return controlled(build(**values), f, 1, lambda z: with_slope(control, z)).sum()

        torch.manual_seed(2)
        return torch.func.grad(surrogate)(parameters)["logits"].square().sum()

    start = untuned(q)
    found = torch.func.grad(squared)(start)[name]
    step = 1e-6
    up, down = ({**start, name: start[name] + move} for move in (step, -step))
    torch.testing.assert_close(found, (squared(up) - squared(down)) / (2 * step), rtol=1e-5, atol=1e-8)


def test_eta_nears_the_best():
    """On one bit Var is a parabola in η: the fit comes near its lowest point."""
    case = (bits, {"logits": double(0.0)}, Function(lambda b: (b - 0.45).square().sum(-1)))
    learned = fitted(FittedRebar(), case, 150).state
    assert learned is not None
    tau = float(learned["log_temperature"].exp())
    etas = double(0.0, 0.5, 1.0)
    found = [
        float(estimates(estimators.get("rebar", eta=float(e), temperature=tau), *case, 1, 100_000).var()) for e in etas
    ]
    a, b = 2 * (found[0] + found[2] - 2 * found[1]), 4 * found[1] - 3 * found[0] - found[2]
    assert float(learned["eta"]) == pytest.approx(-b / (2 * a), abs=0.15)


def test_a_black_box_need_not_be_relaxable():
    assert Need.RELAXABLE in Relax().traits.needs
    assert Need.RELAXABLE not in Relax(relaxes_f=False).traits.needs


def test_reproducible_and_apart():
    case = CASES["bits"]
    assert fitted(Relax(), case, 5) == fitted(Relax(), case, 5)
    assert fitted(Relax(), case, 5) != Relax()
