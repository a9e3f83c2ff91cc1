"""Off-policy and downstream score functions against exact gradients."""

import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators import BadInput, Function, Terms, unmet
from estimators.off_policy import OffPolicyClipped
from tests.support.cases import (
    CASES,
    EXTREME,
    LOGITS,
    TWO_HOT,
    bits,
    build_normal,
    build_one_hot,
    double,
    exact,
    single,
)
from tests.support.exactness import assert_biased, assert_unbiased, enough, enumerated, estimates


@pytest.mark.parametrize("case", CASES)
def test_off_policy_is_unbiased(case):
    sample = enough(estimators.get("off_policy"), *CASES[case], 2, 600_000 if case == "extreme_bits" else 200_000)
    assert_unbiased(sample, exact(case))


@pytest.mark.parametrize("case", ["bits", "normal"])
def test_off_policy_in_float32(case):
    sample = enough(estimators.get("off_policy"), *single(CASES[case], torch.float32), 4, 200_000)
    assert_unbiased(sample.double(), exact(case))


def test_reinforce_at_width_one():
    plain = estimates(estimators.get("reinforce"), *CASES["bits"], 3, 20)
    same = estimates(estimators.get("off_policy", width=1.0), *CASES["bits"], 3, 20)
    torch.testing.assert_close(same, plain)


@pytest.mark.parametrize("case", ["bits", "one_hot", "normal"])
def test_clipping_biases(case):
    assert_biased(estimates(estimators.get("off_policy_clipped"), *CASES[case], 2, 100_000), exact(case))


def test_never_clipped_is_off_policy():
    free = estimates(estimators.get("off_policy_clipped", clip=1e9, baseline="none"), *CASES["bits"], 3, 20)
    torch.testing.assert_close(free, estimates(estimators.get("off_policy"), *CASES["bits"], 3, 20))


BANDIT = Problem(distributions.get("categorical", size=5), objectives.get("bandit"))


def of_bandit(estimator, bonus, n=8, replicates=20_000):
    """Estimates on the bandit, whose rewards are moved by `bonus`, and the exact gradient."""
    theta = BANDIT.encode(BANDIT.theta())
    f = BANDIT.function(theta["logits"])
    moved = Function(lambda z: f(z, BANDIT.build(theta)) + bonus)
    sample = estimates(estimator, lambda logits: BANDIT.build({"logits": logits}), theta, moved, n, replicates)
    return sample, enumerated(lambda logits: BANDIT.build({"logits": logits}), theta, f)


def test_a_constant_added_to_f_changes_nothing_that_is_clipped():
    clipped = estimators.get("off_policy_clipped")
    (sample, _), (moved, _) = of_bandit(clipped, 0.0, replicates=200), of_bandit(clipped, 1000.0, replicates=200)
    torch.testing.assert_close(sample, moved, atol=1e-9, rtol=1e-9)
    raw = estimators.get("off_policy_clipped", baseline="none")
    assert not torch.allclose(of_bandit(raw, 0.0, replicates=200)[0], of_bandit(raw, 1000.0, replicates=200)[0])


def test_an_advantage_is_clipped_on_the_bandit():
    """f is between 10 and 15 over five rounds: raw, the mean points elsewhere (relative bias 4.3, cosine .04)."""
    sample, exact = of_bandit(estimators.get("off_policy_clipped"), 0.0)
    assert (sample.mean(0) - exact).norm() < 0.5 * exact.norm()
    assert torch.cosine_similarity(sample.mean(0), exact, 0) > 0.92
    raw, _ = of_bandit(estimators.get("off_policy_clipped", baseline="none"), 0.0)
    assert (raw.mean(0) - exact).norm() > 3 * exact.norm()
    assert_biased(sample, exact)


def test_clipping_is_for_an_f_that_is_maximised():
    """A draw that has become likelier by more than the clip gives nothing if it is good; a bad one goes on pushing."""
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5], requires_grad=True)
    OffPolicyClipped().gain(ratio, torch.tensor([1.0, -1.0, 1.0, -1.0])).sum().backward()
    torch.testing.assert_close(ratio.grad, torch.tensor([0.0, -4 / 3, 4 / 3, 0.0]))


def test_a_baseline_takes_two_draws():
    q, f = CASES["bits"][0](**LOGITS), CASES["bits"][2]
    assert "at least 2" in str(unmet(estimators.get("off_policy_clipped"), q, f, 1))
    assert unmet(estimators.get("off_policy_clipped", baseline="none"), q, f, 1) is None
    with pytest.raises(BadInput, match="leave_one_out"):
        estimators.get("off_policy_clipped", baseline="mean")


def test_width_must_be_positive():
    with pytest.raises(BadInput, match="width"):
        estimators.get("off_policy", width=0.0)


CHAIN = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 1]])


def chain(z):
    pairs = (z[..., 1:] - 0.6 * z[..., :-1]).square()
    return torch.cat([pairs, z[..., 2:].exp()], -1)


def of_variables(z):
    rank = z @ torch.arange(3, dtype=z.dtype)
    return torch.stack([(rank[..., 0] - 0.7).square(), rank[..., 0] * rank[..., 1]], -1)


STRUCTURED = {
    "bits": (bits, LOGITS, Terms(chain, CHAIN)),
    "extreme_bits": (bits, EXTREME, Terms(chain, CHAIN)),
    "one_hot": (build_one_hot, TWO_HOT, Terms(of_variables, torch.tensor([[1, 0], [1, 1]]))),
}


@pytest.mark.parametrize("case", STRUCTURED)
def test_downstream_is_unbiased_and_quieter(case):
    build, parameters, f = STRUCTURED[case]
    replicates = 400_000 if case == "extreme_bits" else 100_000
    sample, plain = (
        estimates(estimators.get(name), build, parameters, f, 2, replicates) for name in ("downstream", "reinforce")
    )
    assert_unbiased(sample, enumerated(build, parameters, f))
    assert sample.var(0).sum() < plain.var(0).sum()


def test_downstream_variance_does_not_grow_with_the_dimension():
    """Fact 27: REINFORCE's grows as D² (552 at D = 10), one coordinate alone has 30; f = Σ x², a = s = 1."""
    D, replicates = 10, 200_000
    at = {"loc": torch.ones(D, dtype=torch.float64), "scale": torch.ones(D, dtype=torch.float64)}
    f = Terms(lambda z: z.square(), torch.eye(D))
    for name, truth in [("downstream", 30), ("reinforce", 552)]:
        sample = estimates(estimators.get(name), build_normal, at, f, 1, replicates)[:, :D]
        kurtosis = ((sample - sample.mean(0)) ** 4).mean(0) / sample.var(0) ** 2
        assert torch.all((sample.var(0) / truth - 1).abs() < 5.5 * ((kurtosis - 1) / replicates).sqrt())


def test_downstream_needs_terms():
    f = Function(lambda z: z.sum(-1))
    assert "given as terms" in str(unmet(estimators.get("downstream"), bits(double(0.0, 1.0)), f, 1))
