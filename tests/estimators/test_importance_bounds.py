"""Estimators of the importance-weighted bound's gradient, against enumeration of all sets of K draws."""

import itertools
import math

import pytest
import torch

import estimators
from estimators import BadInput, Function, ImportanceBound, unmet
from estimators.importance_bounds import Vimco, log_mean, others
from estimators.tools.parameters import support
from tests.support.cases import TWO_HOT, bits, build_one_hot, double
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates


def joint_of_bits(z):
    return 1.5 * z[..., 0] - 2 * z[..., 1] * z[..., 0] + (z.sum(-1) - 0.7).square() - 1.0


def joint_of_one_hot(z):
    rank = z @ torch.arange(3, dtype=z.dtype, device=z.device)
    return -(rank[..., 0] - 1.3 * rank[..., 1]).square() + 0.5 * rank[..., 1] - 1.0


BOUNDS = {
    "bits": (bits, {"logits": double(-0.8, 0.9)}, joint_of_bits),
    "extreme": (bits, {"logits": double(-4.0, 4.0)}, joint_of_bits),
    "one_hot": (build_one_hot, TWO_HOT, joint_of_one_hot),
}
UNBIASED = {
    "importance_reinforce": {},
    "vimco": {},
    "vimco geometric": {"geometric": True},
    "ovis": {},
    "ovis fresh": {"fresh": 3},
    "ovis_asymptotic": {},
    "multi_sample_disarm": {},
}


def exact(case, K):
    """Every set of K draws, weighted by its probability."""
    build, parameters, joint = BOUNDS[case]

    def expectation(values):
        q = build(**values)
        z = support(q)
        index = torch.tensor(list(itertools.product(range(len(z)), repeat=K)))
        log_q = q.log_prob(z)
        log_w = (joint(z) - log_q)[index]
        return (log_q[index].sum(1).exp() * (log_w.logsumexp(1) - math.log(K))).sum()

    return torch.func.grad(expectation)(parameters)["logits"].flatten()


def sampled(name, settings, case, K, replicates, n=1, dtype=torch.float64, draw=estimates):
    build, parameters, joint = BOUNDS[case]
    parameters = {key: value.to(dtype) for key, value in parameters.items()}
    estimator = estimators.get(name.split()[0], **settings)
    f = ImportanceBound(joint, draws=K)
    assert unmet(estimator, build(**parameters), f, n) is None
    return draw(estimator, build, parameters, f, n, replicates)


@pytest.mark.parametrize("case", BOUNDS)
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased(name, case):
    if name == "multi_sample_disarm" and case == "one_hot":
        return  # for bits only
    replicates = 600_000 if case == "extreme" else 200_000
    sample = sampled(name, UNBIASED[name], case, 3, replicates, draw=enough)
    assert_unbiased(sample, exact(case, 3), resolution=0.1)


@pytest.mark.parametrize("name", ["vimco", "ovis_asymptotic", "multi_sample_disarm"])
def test_two_draws_in_float32(name):
    sample = sampled(name, {}, "bits", 2, 200_000, n=2, dtype=torch.float32, draw=enough)
    assert_unbiased(sample.double(), exact("bits", 2), resolution=0.1)


def test_vimco_is_exact_by_enumeration_and_needs_its_direct_term():
    """Fact 20: the mean over every set of draws, weighted by its probability, is the gradient to rounding."""
    build, parameters, joint = BOUNDS["bits"]
    q = build(**parameters)
    z = support(q)
    index = torch.tensor(list(itertools.product(range(len(z)), repeat=3)))
    log_q = q.log_prob(z)
    log_w, score = (joint(z) - log_q)[index], (z - parameters["logits"].sigmoid())[index]
    p = log_q[index].sum(1).exp().unsqueeze(-1)
    for geometric in (False, True):
        signal = Vimco(geometric).signal(log_w, q, ImportanceBound(joint, 3)).unsqueeze(-1)
        with_direct = (p * ((signal - log_w.softmax(1).unsqueeze(-1)) * score).sum(1)).sum(0)
        without = (p * (signal * score).sum(1)).sum(0)
        torch.testing.assert_close(with_direct, exact("bits", 3), rtol=1e-13, atol=1e-15)
        assert (without - exact("bits", 3)).norm() > 0.05 * exact("bits", 3).norm()


@pytest.mark.parametrize(("name", "settings"), [("wake", {}), ("ovis_asymptotic", {"gamma": 1.0})])
def test_biased(name, settings):
    assert_biased(sampled(name, settings, "bits", 3, 100_000), exact("bits", 3))
    assert not estimators.get(name, **settings).traits.unbiased


def test_gamma_one_is_vimco_without_its_direct_term():
    """The difference of the two, draw by draw, is ∇L = −Σ v_k s_k."""
    build, parameters, joint = BOUNDS["bits"]
    f = ImportanceBound(joint, 3)
    ovis, vimco, direct = (
        estimates(estimator, build, parameters, f, 1, 40)
        for estimator in (estimators.get("ovis_asymptotic", gamma=1.0), Vimco(), Direct())
    )
    torch.testing.assert_close(vimco - ovis, direct)


class Direct(estimators.Estimator):
    """∇L alone."""

    traits = estimators.Traits(unbiased=False)

    def surrogate(self, q, f, n):
        assert isinstance(f, ImportanceBound)
        return f(q.sample((n, f.draws)), q).mean(0)


def test_wake_tends_to_the_posteriors_score():
    """Its own target, E_{p(z|x)}[s], is missed by O(1/K): visible at K = 3, an eighth of that or less at K = 50."""
    build, parameters, joint = BOUNDS["bits"]
    q = build(**parameters)
    z = support(q)
    target = (joint(z).softmax(0).unsqueeze(-1) * (z - parameters["logits"].sigmoid())).sum(0)
    few, many = (sampled("wake", {}, "bits", K, 50_000).mean(0) for K in (3, 50))
    assert (few - target).norm() > 0.1 * target.norm()
    assert (many - target).norm() < (few - target).norm() / 8


def test_variances_are_ordered_as_published():
    reinforce, vimco, disarm = (
        sampled(name, {}, "bits", 3, 50_000).var(0).sum()
        for name in ("importance_reinforce", "vimco", "multi_sample_disarm")
    )
    assert vimco < reinforce
    assert disarm < reinforce


def test_leaving_one_out_of_huge_weights():
    log_w = torch.tensor([[800.0, -800.0, 0.0]])
    torch.testing.assert_close(others(log_w), torch.tensor([[0.0, 800.0, 800.0]]))
    assert log_mean(log_w).isfinite().all()


def test_other_estimators_refuse_the_bound_and_these_refuse_others():
    q = bits(double(0.0, 1.0))
    assert "importance-weighted" in str(unmet(estimators.get("reinforce"), q, ImportanceBound(joint_of_bits, 2), 1))
    assert "importance-weighted" in str(unmet(Vimco(), q, Function(joint_of_bits), 1))
    with pytest.raises(BadInput, match="at least 2"):
        ImportanceBound(joint_of_bits, 1)
