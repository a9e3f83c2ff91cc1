"""Categories of probability 0 (a logit of −∞), or of hardly any.

The others' gradients are exact in the mean; a masked logit has none.
"""

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, OneHotCategorical

import estimators
from bench.distributions.categorical import CategoricalFamily, FastOneHot
from bench.measure.estimates.gradients import Gradients
from bench.numerics.tensors import Tensors
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators import Estimator, Evidence, Function, Objective
from estimators.core import Fitted
from estimators.needs import Offer, unmet_samples
from estimators.stratified import inverse_cdf
from estimators.tools.parameters import support
from tests.support.cases import bits
from tests.support.exactness import estimates

MASK = torch.tensor([True, False, True, True])
MASKS = torch.tensor([[True, False, True], [False, True, True]])
LOGITS = torch.tensor([0.3, -0.1, -0.5, 1.0], dtype=torch.float64)
TWO = torch.tensor([[0.5, -0.7, 0.2], [-0.4, 0.9, 0.1]], dtype=torch.float64)


def masked(logits: Tensor) -> Distribution:
    return OneHotCategorical(logits=logits.masked_fill(~MASK, -torch.inf), validate_args=False)


def fast(logits: Tensor) -> Distribution:
    return FastOneHot(logits.masked_fill(~MASK, -torch.inf), validate_args=False)


def several(logits: Tensor) -> Distribution:
    inner = OneHotCategorical(logits=logits.masked_fill(~MASKS, -torch.inf), validate_args=False)
    return Independent(inner, 1, validate_args=False)


def lone(logits: Tensor) -> Distribution:
    """All of the mass on the last category."""
    only = torch.tensor([False, False, False, True])
    return OneHotCategorical(logits=logits.masked_fill(~only, -torch.inf), validate_args=False)


def faint(logits: Tensor) -> Distribution:
    """The second category has a probability of about 1e-30."""
    return OneHotCategorical(logits=logits - 69 * (~MASK).to(logits), validate_args=False)


def vanishing(logits: Tensor) -> Distribution:
    """The second category's logit is about −10⁴: its probability is below the smallest number."""
    return OneHotCategorical(logits=logits - 1e4 * (~MASK).to(logits), validate_args=False)


def by_probability(logits: Tensor) -> Distribution:
    p = logits.exp() * MASK
    return OneHotCategorical(probs=p / p.sum(-1, keepdim=True), validate_args=False)


def sure_bits(logits: Tensor) -> Distribution:
    """Logits of 0.4 and ∓10⁴."""
    return bits(logits * torch.tensor([1.0, 1e4, -1e4], dtype=logits.dtype))


def sure_by_probability(logits: Tensor) -> Distribution:
    p = torch.stack([logits[..., 0].sigmoid(), 0 * logits[..., 1], 0 * logits[..., 2] + 1], -1)
    return Independent(Bernoulli(probs=p, validate_args=False), 1, validate_args=False)


def of_one(z: Tensor) -> Tensor:
    return (z * torch.tensor([1.0, 2.0, -1.0, 3.0], dtype=z.dtype)).sum(-1)


def of_two(z: Tensor) -> Tensor:
    rank = (z * torch.arange(3, dtype=z.dtype)).sum(-1)
    return (rank[..., 0] - 1.4 * rank[..., 1] + 0.3).square() + rank.sum(-1)


def of_bits(z: Tensor) -> Tensor:
    return (z.sum(-1) - 0.45).square() + z[..., 0] * z[..., 1]


PROBLEMS = {
    "masked": (masked, LOGITS, of_one),
    "several": (several, TWO, of_two),
    "faint": (faint, LOGITS, of_one),
    "fast": (fast, LOGITS, of_one),
    "lone": (lone, LOGITS, of_one),
    "vanishing": (vanishing, LOGITS, of_one),
    "by_probability": (by_probability, LOGITS, of_one),
    "sure_bits": (sure_bits, torch.tensor([0.4, -1.0, -1.0], dtype=torch.float64), of_bits),
    "sure_by_probability": (sure_by_probability, torch.tensor([0.4, -0.3, 0.2], dtype=torch.float64), of_bits),
}
QUICK = ("masked", "several", "faint")


def exact(build, logits: Tensor, f: Objective) -> Tensor:
    """By the states that have mass."""

    def expectation(logits: Tensor) -> Tensor:
        q = build(logits)
        z = support(q)
        p = q.log_prob(z).exp()
        return (p * torch.where(p > 0, f.held(z, q), 0)).sum()

    return torch.func.grad(expectation)(logits).flatten()


def draws(estimator: Estimator, few: bool) -> int:
    """A number of draws that suits: the smallest above 1, or more than there are categories with mass."""
    return next(n for n in ((2, 4, 6) if few else (6, 8)) if unmet_samples(estimator.traits, n) is None)


def takes(name: str, problem: str, kind: type[Function] | type[Evidence] = Function, *, few: bool = True) -> bool:
    estimator = estimators.get(name)
    return offered(problem, kind).unmet(estimator, draws(estimator, few)) is None


@cache
def offered(problem: str, kind: type[Function] | type[Evidence]) -> Offer:
    build, logits, f = PROBLEMS[problem]
    return Offer(build(logits), kind(f))


def gives_the_exact_gradient(
    estimator: Estimator, problem: str, f: Objective, n: int, dtype: torch.dtype, replicates: int
) -> None:
    """Value and gradient are finite, the gradient in a masked logit is 0, and the mean is exact where unbiased."""
    build, logits, _ = PROBLEMS[problem]
    x = logits.to(dtype).expand(replicates, *logits.shape).clone().requires_grad_()
    torch.manual_seed(3)
    value = estimator.surrogate(build(x), f, n)
    value.sum().backward()
    assert x.grad is not None
    sample, truth = x.grad.flatten(1).double(), exact(build, logits, f)
    assert value.isfinite().all()
    assert sample.isfinite().all()
    if problem in ("masked", "several", "fast", "lone"):
        assert (sample[:, build(logits).mean.flatten() == 0] == 0).all()
    if estimator.traits.unbiased:
        error = sample.std(0) / replicates**0.5
        rounding = 30 * torch.finfo(dtype).eps * (1 + truth.abs())
        off = (sample.mean(0) - truth).abs()
        assert (off < 6.5 * error + rounding).all(), f"{sample.mean(0)} ± {error}, exact {truth}"


def named(problems: tuple[str, ...], kind: type[Function] | type[Evidence] = Function) -> list[tuple[str, str]]:
    return [(name, problem) for name in estimators.available() for problem in problems if takes(name, problem, kind)]


@pytest.mark.parametrize(("name", "problem"), named(QUICK))
def test_a_category_without_mass_has_no_gradient_and_the_others_theirs(name, problem):
    estimator = estimators.get(name)
    f = Function(PROBLEMS[problem][2])
    gives_the_exact_gradient(estimator, problem, f, draws(estimator, True), torch.float64, 1500)
    gives_the_exact_gradient(estimator, problem, f, draws(estimator, False), torch.float32, 400)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "problem"), named(tuple(PROBLEMS)))
def test_more_problems_with_categories_without_mass(name, problem, dtype):
    estimator = estimators.get(name)
    for few in (True, False):
        if takes(name, problem, few=few):
            f = Function(PROBLEMS[problem][2])
            gives_the_exact_gradient(estimator, problem, f, draws(estimator, few), dtype, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "problem"), named(tuple(PROBLEMS), Evidence))
def test_an_evidence_with_categories_without_mass(name, problem):
    """−log q is infinite where q has no mass, and counts nothing there."""
    estimator = estimators.get(name)
    for few in (True, False):
        f = Evidence(PROBLEMS[problem][2])
        gives_the_exact_gradient(estimator, problem, f, draws(estimator, few), torch.float64, 20_000)


FITTED = [(name, problem) for name, problem in named(QUICK) if isinstance(estimators.get(name), Fitted)]


@pytest.mark.parametrize(("name", "problem"), FITTED)
def test_fitted_with_a_category_without_mass(name, problem):
    build, logits, function = PROBLEMS[problem]
    f, estimator = Function(function), estimators.get(name)
    assert isinstance(estimator, Fitted)
    n = draws(estimator, True)
    torch.manual_seed(0)
    fitted = estimator.fit(build(logits), f, n, 3)
    gives_the_exact_gradient(fitted, problem, f, n, torch.float64, 1500)


BIASED = [(name, problem) for name, problem in named(QUICK[:2]) if not estimators.get(name).traits.unbiased]


@pytest.mark.parametrize(("name", "problem"), [pair for pair in BIASED if pair[1] == "masked"])
def test_a_biased_estimator_does_as_if_the_category_were_not_there(name, problem):
    build, logits, function = PROBLEMS[problem]
    estimator = estimators.get(name)
    n, replicates = draws(estimator, True), 4000
    there = estimates(estimator, build, {"logits": logits}, Function(function), n, replicates, 1)[:, MASK]

    def smaller(logits: Tensor) -> Distribution:
        return OneHotCategorical(logits=logits, validate_args=False)

    without = Function(lambda z: (z * torch.tensor([1.0, -1.0, 3.0], dtype=z.dtype)).sum(-1))
    gone = estimates(estimator, smaller, {"logits": logits[MASK]}, without, n, replicates, 2)
    error = ((there.var(0) + gone.var(0)) / replicates).sqrt()
    assert ((there.mean(0) - gone.mean(0)).abs() < 6 * error + 1e-9).all()


def test_the_masked_model_has_its_exact_gradient():
    torch.testing.assert_close(
        exact(masked, LOGITS, Function(of_one)),
        torch.tensor([-0.261, 0.0, -0.377, 0.638], dtype=torch.float64),
        atol=5e-4,
        rtol=0,
    )


@dataclass(frozen=True)
class Masked(CategoricalFamily):
    """The first category of every variable is masked."""

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        hidden = torch.arange(self.categories, device=theta["logits"].device) == 0
        return {"logits": theta["logits"].masked_fill(hidden, -torch.inf)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["reinforce", "rloo", "optimal_coefficient", "tree_disarm", "gumbel_rao", "exact"])
def test_a_family_with_a_masked_category_is_measured(name, dtype):
    problem = Problem(Masked(size=2, categories=3), objectives.get("squared_sum"))
    sample = Gradients(problem, estimators.get(name), samples=2, dtype=dtype)(500)
    truth = Gradients(problem, estimators.get("exact"), samples=1)(1)[0]
    assert sample.isfinite().all()
    assert truth.isfinite().all()
    assert (sample[:, ::3] == 0).all()
    if estimators.get(name).traits.unbiased:
        error = sample.double().std(0) / len(sample) ** 0.5
        assert ((sample.double().mean(0) - truth).abs() < 6 * error + 1e-5).all()


def test_no_uniform_number_reaches_a_category_without_mass():
    """Probabilities may sum to less than the largest number below 1 that is drawn."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0])
    p = torch.cat([p[:4] * (1 - 2**-20), p[4:]])
    last = inverse_cdf(torch.tensor([1 - 2**-24]), p)
    assert last.argmax(-1).item() == 3
    assert inverse_cdf(torch.tensor([0.0]), torch.tensor([0.0, 0.5, 0.5])).argmax(-1).item() == 1


def test_a_category_below_the_smallest_number_has_a_finite_weight(monkeypatch):
    """p/q_κ is e^κ where both underflow."""
    from estimators import without_replacement

    first = torch.eye(3).unsqueeze(1)[:2]
    monkeypatch.setattr(without_replacement, "without_replacement", lambda log_p, K: (first, torch.tensor([0.5])))
    q = OneHotCategorical(logits=torch.tensor([[0.0, -200.0, 0.0]]), validate_args=False)
    _, _, w = without_replacement.priority_weights(q, 2)
    assert w.isfinite().all()
    assert w[1].item() == pytest.approx(torch.tensor(0.5).exp().item())
