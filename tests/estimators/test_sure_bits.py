"""Bits that are sure: logits of ±∞ have a gradient of 0 and leave the others theirs; probabilities of 0 and 1."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, OneHotCategorical

import estimators
from estimators import BadInput, Estimator, Evidence, Function, ImportanceBound, Objective, Terms, unmet
from estimators.core import Fitted
from estimators.needs import unmet_samples

SURE = torch.tensor([0.4, torch.inf, -0.8, -torch.inf], dtype=torch.float64)
FREE = SURE.isfinite()


def rows(logits: Tensor) -> Distribution:
    return Independent(Bernoulli(logits=logits), 1)


def alone(logits: Tensor) -> Distribution:
    return Bernoulli(logits=logits)


def of_rows(z: Tensor) -> Tensor:
    return (z.sum(-1) - 0.45).square() + 2 * z[..., 0] * z[..., 1] - z[..., 2] * z[..., 3] + z[..., 2]


def of_one(z: Tensor) -> Tensor:
    return (z - 0.3).square() + z


PROBLEMS: dict[str, tuple] = {
    "rows": (rows, Function(of_rows)),
    "evidence of rows": (rows, Evidence(of_rows)),
    "each alone": (alone, Function(of_one)),
    "evidence of each": (alone, Evidence(of_one)),
    "bound of rows": (rows, ImportanceBound(lambda z: 0.5 * of_rows(z), 3)),
    "chain": (
        rows,
        Terms(lambda z: (z[..., 1:] - 0.6 * z[..., :-1]).square(), torch.eye(4)[:-1] + torch.eye(4)[1:]),
    ),
}


def exact(build, f: Objective) -> Tensor:
    """By the values of the free bits, whose log-density is written out; for a bound, of all sets of three draws."""
    free = SURE[FREE].clone().requires_grad_()
    both = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 2)
    z = torch.zeros(4, 4, dtype=torch.float64)
    z[:, FREE], z[:, 1] = both, 1.0
    each = both * free - torch.nn.functional.softplus(free)
    log_p = each.sum(-1)
    if isinstance(f, ImportanceBound):
        sets = torch.cartesian_prod(*[torch.arange(4)] * f.draws)
        log_w = (f.log_joint(z) - log_p)[sets]
        expected = (log_p[sets].sum(1).exp() * (log_w.logsumexp(1) - math.log(f.draws))).sum()
    else:
        log_q = torch.zeros_like(z).masked_scatter(FREE, each.detach()) if build is alone else log_p.detach()
        value = f.log_joint(z) - log_q if isinstance(f, Evidence) else f(z, build(torch.zeros(4)))
        expected = (log_p.exp() * value.movedim(0, -1)).sum()
    (found,) = torch.autograd.grad(expected, free)
    return torch.zeros(4, dtype=torch.float64).masked_scatter(FREE, found)


def draws(estimator: Estimator) -> int:
    return next(n for n in (2, 4, 6, 1) if unmet_samples(estimator.traits, n) is None)


def fits(name: str, problem: str) -> bool:
    build, f = PROBLEMS[problem]
    estimator = estimators.get(name)
    return unmet(estimator, build(SURE), f, draws(estimator)) is None


WALK = [(name, problem) for name in estimators.available() for problem in PROBLEMS if fits(name, problem)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("name", "problem"), WALK)
def test_a_sure_bit_has_no_gradient_and_the_others_theirs(name, problem, dtype):
    build, f = PROBLEMS[problem]
    estimator = estimators.get(name)
    n = draws(estimator)
    torch.manual_seed(3)
    if isinstance(estimator, Fitted):
        estimator = estimator.fit(build(SURE.to(dtype)), f, n, 2)
    logits = SURE.to(dtype).expand(1000, 4).clone().requires_grad_()
    value = estimator.surrogate(build(logits), f, n)
    value.sum().backward()
    assert logits.grad is not None
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, ~FREE] == 0).all()
    if estimator.traits.unbiased:
        mean, error = logits.grad.double().mean(0), logits.grad.double().std(0) / len(logits) ** 0.5
        off = (mean - exact(build, f))[FREE].abs()
        assert (off < 6.5 * error[FREE] + 30 * torch.finfo(dtype).eps).all(), f"{mean} ± {error}"


def test_the_walk_is_complete():
    """All that takes bits, but for bounds of several draws."""
    q = rows(torch.zeros(4))
    left = [name for name in estimators.available() if name not in {name for name, _ in WALK}]
    bound = ImportanceBound(of_rows, 2)
    for estimator in map(estimators.get, left):
        assert unmet(estimator, q, bound, draws(estimator)) is None or unmet(estimator, q, F, draws(estimator))


def test_a_distribution_is_left_as_it_was():
    logits = torch.tensor([torch.inf, 0.3], requires_grad=True)
    q = Independent(Bernoulli(logits=logits), 1)
    estimators.get("rloo").surrogate(q, Function(lambda z: z.sum(-1)), 4)
    assert q.base_dist.logits[0] == torch.inf


BY_PROBS = {
    "bits": lambda p: Independent(Bernoulli(probs=p), 1),
    "one-hot": lambda p: OneHotCategorical(probs=p),
    "rows of one-hot": lambda p: Independent(OneHotCategorical(probs=p.expand(2, 3)), 1),
}
F = Function(lambda z: (z * torch.tensor([1.0, 2.0, -1.0])).flatten(-1).sum(-1))


def by_probs(kind: str) -> list[str]:
    q = BY_PROBS[kind](torch.tensor([0.2, 0.3, 0.5]))
    return [
        name
        for name in estimators.available()
        if unmet(estimators.get(name), q, F, draws(estimators.get(name))) is None
    ]


@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["bits", "one-hot"])
def test_a_probability_of_0_or_1_that_is_itself_a_parameter_gets_a_sentence(kind, at):
    """∂E f/∂p = f(1) − f(0) there, which hardly any estimator sees: torch's 0 would be wrong without a word."""
    p = torch.tensor([at, 0.4, 0.6] if kind == "bits" else [at, (1 - at) / 2, (1 - at) / 2], requires_grad=True)
    for name in by_probs(kind):
        if kind == "one-hot" or not estimators.get(name).traits.ends:
            with pytest.raises(BadInput, match="is exactly 0 or 1 and is itself a parameter"):
                estimators.get(name).surrogate(BY_PROBS[kind](p), F, draws(estimators.get(name)))


ENDS = [name for name in estimators.available() if estimators.get(name).traits.ends]


@pytest.mark.parametrize("at", [0.0, 1.0])
@pytest.mark.parametrize("name", ENDS)
def test_what_sees_both_values_of_a_bit_is_right_at_a_probability_of_0_or_1(name, at):
    estimator = estimators.get(name)
    f = Function(lambda z: z[..., 0] * (1 + 2 * z[..., 1]) - z[..., 1] + 0.5 * z[..., 2])
    p = torch.tensor([at, 0.4, 0.6], dtype=torch.float64).expand(4000, 3).clone().requires_grad_()
    torch.manual_seed(0)
    (found,) = torch.autograd.grad(estimator.surrogate(BY_PROBS["bits"](p), f, draws(estimator)).sum(), p)
    truth, error = torch.tensor([1.8, 2 * at - 1, 0.5], dtype=torch.float64), found.std(0) / 4000**0.5
    assert ((found.mean(0) - truth).abs() < 6 * error + 1e-9).all()


def test_no_other_estimator_would_be_right_there(monkeypatch):
    """So that none is refused for nothing."""
    monkeypatch.setattr("estimators.tools.parameters._require_inside", lambda q, probs: None)
    square = Function(lambda z: (z.sum(-1) - 0.45).square())
    for name in by_probs("bits"):
        if name not in ENDS:
            p = torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64).expand(1000, 3).clone().requires_grad_()
            value = estimators.get(name).surrogate(BY_PROBS["bits"](p), square, draws(estimators.get(name)))
            (found,) = torch.autograd.grad(value.sum(), p)
            error = found[:, 0].std() / 1000**0.5
            assert (found[:, 0].mean() - 2.1).abs() > 4 * error, name  # E (1 + z₁ + z₂ − .45)² − (z₁ + z₂ − .45)²


@pytest.mark.parametrize("kind", ["bits", "one-hot"])
def test_probabilities_that_are_computed_or_inside_go_on_working(kind):
    """A sigmoid or a softmax that is saturated has a derivative of 0 itself; so has a masked category."""
    inside = torch.tensor([0.2, 0.3, 0.5], requires_grad=True)
    saturated = torch.tensor([40.0, -120.0, 0.0], requires_grad=True)
    computed = saturated.sigmoid() if kind == "bits" else (saturated * torch.tensor([0.1, 9.0, 1.0])).softmax(-1)
    assert ((computed == 0) | (computed == 1)).any()
    for name in by_probs(kind):
        for leaf, p in ((inside, inside), (saturated, computed), (None, computed.detach())):
            value = estimators.get(name).surrogate(BY_PROBS[kind](p), F, draws(estimators.get(name)))
            if leaf is not None:
                (found,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True, allow_unused=True)
                assert found is None or found.isfinite().all(), name
