"""Estimators that use the steps of q: exact means over every possible sample, wrong declarations, a user's class."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Size
from torch.distributions import Bernoulli, Distribution, constraints

import estimators
from bench.advice.own_model import own_model
from bench.advice.own_offers import own_offer
from bench.distributions.bernoulli_chain import BernoulliChain
from bench.distributions.layered import LayeredBits
from bench.distributions.tabular_policy import Trajectory
from bench.distributions.token_policy import TokenPolicy
from estimators import BadInput, Estimator, EvidenceTerms, Function, Need, Terms, Traits, unmet
from estimators.needs import Offer
from estimators.structured_local_expectation import at, costs, once_per_row, with_other_values
from estimators.tools.parameters import sample, support
from estimators.tools.steps import downstream_of, follows, log_prob_steps
from estimators.tools.steps_checks import steps_refused
from tests.support.cases import CASES as INDEPENDENT
from tests.support.cases import CHAIN, LOGITS, TWO_HOT, bits, build_one_hot, double
from tests.support.every_draw import every_sample, exact_mean, exact_variance, gradient_of_mean
from tests.support.exactness import estimates


class Whole(Distribution):
    """A user's own class: each bit given all earlier ones. It says nothing of its steps."""

    arg_constraints: ClassVar[Any] = {"b": constraints.real_vector, "W": constraints.real}
    support: Any = constraints.independent(constraints.boolean, 1)
    has_rsample = False

    def __init__(self, b, W, validate_args=None):
        self.b, self.W = b, W
        super().__init__(b.shape[:-1], Size([b.shape[-1]]), validate_args=False)

    def logits(self, z):
        return self.b + (self.W.tril(-1) @ z.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def sample(self, sample_shape=()):
        z = torch.zeros(*sample_shape, *self.b.shape, dtype=self.b.dtype)
        for d in range(self.b.shape[-1]):
            z[..., d] = torch.bernoulli(torch.sigmoid(self.logits(z)[..., d]))
        return z

    def log_prob(self, z):
        return Bernoulli(logits=self.logits(z)).log_prob(z).sum(-1)

    has_enumerate_support = True

    def enumerate_support(self, expand=True):
        table = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=self.b.dtype)] * self.b.shape[-1])
        return table.reshape(len(table), *(1 for _ in self.batch_shape), -1).expand(-1, *self.b.shape)


class Autoregressive(Whole):
    """The same with its steps."""

    def log_prob_steps(self, z):
        return Bernoulli(logits=self.logits(z)).log_prob(z)


def autoregressive(b, W):
    return Autoregressive(b, W)


def chain(logits, coupling):
    return BernoulliChain(logits, coupling, validate_args=False)


def layered(logits, weight, bias):
    return LayeredBits(logits, weight, bias, validate_args=False)


TRANSITION = double(0.7, 0.3, 0.2, 0.8, 1.0, 0.0, 0.4, 0.6).reshape(2, 2, 2)


def trajectory(logits):
    """Two states, two actions, three steps; one transition cannot occur."""
    law = TRANSITION.expand(*logits.shape[:-3], 2, 2, 2)
    return Trajectory(logits, law, double(0.6, 0.4).expand(*logits.shape[:-3], 2), validate_args=False)


def tokens(start):
    bigram = torch.tensor([[0.3, -0.8], [0.5, 0.1]]).double()
    return TokenPolicy(start, bigram, -0.4 * bigram, validate_args=False)


def seeded(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


WORTH = double(0.9, -0.4, 1.7, 0.3).reshape(2, 2) * double(1.0, 0.8, 0.5).reshape(3, 1, 1)
TWO_LAYERS = {"logits": double(0.4, -0.7), "weight": seeded(2, 2), "bias": double(0.2, -0.5)}
LAYERS = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]])


def of_layers(z):
    """Terms with the dependence LAYERS."""
    a, b, c, d = z.unbind(-1)
    return torch.stack([2 * a * b - b, (b - 1.3 * d).square(), c * d - 0.4 * c], -1)


def of_tokens(z):
    """The square of how far a walk of +1 and −1 has come after each step."""
    return (z[..., 0] - z[..., 1]).cumsum(-1).square()


def of_ends(z):
    """A term of the first bit, and one of the first and the last."""
    return torch.stack([z[..., 0], (z[..., 0] + z[..., 2] - 1.3).square()], -1)


@dataclass(frozen=True)
class Structured:
    build: Any
    parameters: dict
    f: Any
    n: int = 2
    """Draws of the estimators with a baseline."""


CASES = {
    "chain": Structured(chain, {"logits": double(-0.8, 0.4, 0.1), "coupling": double(0.0, 1.6, -0.9)}, CHAIN),
    "extreme chain": Structured(chain, {"logits": double(-5.0, 2.0, 0.1), "coupling": double(0.0, 6.0, -4.0)}, CHAIN),
    "layers": Structured(layered, TWO_LAYERS, Terms(of_layers, LAYERS)),
    "evidence of layers": Structured(layered, TWO_LAYERS, EvidenceTerms(of_layers, LAYERS)),
    "policy": Structured(
        trajectory, {"logits": seeded(3, 2, 2)}, Terms(lambda z: (z * WORTH).sum((-1, -2)), torch.eye(3)), n=1
    ),
    "tokens": Structured(tokens, {"start": seeded(3, 2)}, Terms(of_tokens, torch.ones(3, 3).tril())),
    "own class": Structured(
        autoregressive,
        {"b": double(0.3, -0.6, 0.2), "W": seeded(3, 3).tril(-1)},
        Terms(of_ends, torch.tensor([[1, 0, 0], [1, 0, 1]])),
    ),
    "independent bits": Structured(bits, LOGITS, CHAIN),
    "independent rows": Structured(
        build_one_hot, TWO_HOT, Terms(lambda z: z @ double(0.5, -1.0, 2.0), torch.eye(2)), n=1
    ),
}
FEWER = {
    "policy": Structured(
        trajectory, {"logits": seeded(2, 2, 2)}, Terms(lambda z: (z * WORTH[:2]).sum((-1, -2)), torch.eye(2))
    ),
    "independent rows": Structured(
        build_one_hot, {"logits": TWO_HOT["logits"][:, :2]}, Terms(lambda z: z @ double(0.5, -1.0), torch.eye(2))
    ),
}
"""Cases with fewer values, whose pairs of draws are few."""
ESTIMATORS = {
    "downstream": (estimators.get("downstream"), 1),
    "downstream, leave one out": (estimators.get("downstream", leave_one_out=True), 2),
    "local": (estimators.get("structured_local_expectation"), 1),
    "local, leave one out": (estimators.get("structured_local_expectation", leave_one_out=True), 2),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("case", CASES)
def test_the_mean_over_every_sample_is_the_gradient(case, name):
    which, (estimator, n) = CASES[case], ESTIMATORS[name]
    if n > which.n:
        which = FEWER[case]
    assert unmet(estimator, which.build(**which.parameters), which.f, n) is None
    found = exact_mean(estimator, which.build, which.parameters, which.f, n)
    exact = gradient_of_mean(which.build, which.parameters, which.f)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_an_f_without_terms_has_exact_local_estimates(case):
    which = CASES[case]
    whole = Function(lambda z: which.f.each(z, which.build(**which.parameters)).sum(-1).square())
    found = exact_mean(ESTIMATORS["local"][0], which.build, which.parameters, whole, 1)
    exact = gradient_of_mean(which.build, which.parameters, whole)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["chain", "layers", "policy", "own class", "tokens"])
def test_the_value_is_the_mean_of_f(case):
    which = CASES[case]
    _, value, p = every_sample(ESTIMATORS["local"][0], which.build, which.parameters, which.f, 1)
    _, plain, _ = every_sample(estimators.get("reinforce"), which.build, which.parameters, which.f, 1)
    torch.testing.assert_close(p @ value, p @ plain)


class Blind(Estimator):
    """Wrong: only the terms that depend on z_i itself, and not those that depend on what follows it."""

    traits = Traits(unbiased=True)

    def surrogate(self, q, f, n):
        assert isinstance(f, Terms)
        z = sample(q, n)
        value, log_q = f.each(z, q), log_prob_steps(q, z)
        cost = value.detach() @ f.dependence(q).to(value)
        return (value.sum(-1) + (cost * (log_q - log_q.detach())).sum(-1)).mean(0)


class Conditional(Estimator):
    """Wrong: each value weighs q_i(c | earlier steps), as if nothing had followed it."""

    traits = Traits(unbiased=True)

    def surrogate(self, q, f, n):
        z = sample(q, n)
        value, cost = costs(f, q, z)
        here, total = log_prob_steps(q, z), torch.zeros_like(value[0])
        for rows, x in with_other_values(q, z):
            own = torch.cat([at(rows, once_per_row(rows, here)), at(rows, log_prob_steps(q, x))])
            gain = torch.cat([at(rows, once_per_row(rows, cost)), at(rows, costs(f, q, x)[1])])
            total = total + (own.exp().detach() * gain.detach() * own).sum((0, 1)).mean(0)
        return value.mean(0) + total - total.detach()


@pytest.mark.parametrize("mutant", [Blind(), Conditional()])
@pytest.mark.parametrize("case", ["chain", "layers", "policy", "own class"])
def test_ignoring_what_follows_is_biased(case, mutant):
    which = CASES[case]
    found = exact_mean(mutant, which.build, which.parameters, which.f, 1)
    exact = gradient_of_mean(which.build, which.parameters, which.f)
    assert (found - exact).norm() > 0.02 * exact.norm()


@pytest.mark.parametrize("case", ["chain", "layers", "policy", "tokens", "own class"])
def test_structure_lowers_the_variance(case):
    """The exact variances of one draw: the sum over a variable's values is a conditional expectation of each score's
    part, and terms that are not downstream are noise."""
    which = CASES[case]
    variance = {
        name: exact_variance(estimator, which.build, which.parameters, which.f, 1)
        for name, estimator in (
            ("reinforce", estimators.get("reinforce")),
            ("downstream", ESTIMATORS["downstream"][0]),
            ("local", ESTIMATORS["local"][0]),
        )
    }
    assert variance["local"] < variance["downstream"]
    assert variance["downstream"] < variance["reinforce"] or case == "tokens"  # where every term depends on the start


@pytest.mark.parametrize("name", ["bits", "chain_of_bits"])
def test_independent_bits_give_local_expectation(name):
    local, structured = estimators.get("local_expectation"), estimators.get("structured_local_expectation")
    plain = estimates(local, *INDEPENDENT[name], 3, 40)
    torch.testing.assert_close(estimates(structured, *INDEPENDENT[name], 3, 40), plain)


def test_which_terms_are_downstream():
    q = chain(double(0.0, 0.0, 0.0), double(0.0, 0.0, 0.0))
    depends = torch.tensor([[1, 1, 0], [0, 0, 1]])
    assert downstream_of(q, depends, q.logits).tolist() == [[1, 1, 0], [1, 1, 1]]
    q = layered(double(0.0, 0.0), seeded(2, 2), double(0.0, 0.0))
    assert follows(q, q.logits).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    depends = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1]])
    assert downstream_of(q, depends, q.logits).tolist() == [[1, 0, 0, 0], [1, 1, 0, 1]]
    q = bits(double(0.0, 0.0))
    assert downstream_of(q, torch.eye(2), q.mean).tolist() == torch.eye(2).tolist()
    with pytest.raises(BadInput, match=r"shape \[2, 3\]: \[terms, 2\] would be right"):
        downstream_of(q, torch.zeros(2, 3), q.mean)


@pytest.mark.parametrize("name", ["downstream", "structured_local_expectation", "policy_loss"])
def test_a_term_without_a_row_is_told(name):
    """One term too many, one too few, and an evidence whose factors depend on too many variables: one sentence each."""
    q = BernoulliChain(torch.zeros(3), torch.zeros(3))
    for rows in (2, 4):
        f = Terms(lambda z: z, torch.ones(rows, 3))
        said = f"gives 3 terms and says of {rows} on which variables they depend"
        with pytest.raises(BadInput, match=said):
            estimators.get(name).surrogate(q, f, 2)
    wide = EvidenceTerms(lambda z: z, torch.ones(3, 4))
    with pytest.raises(BadInput, match=r"depends has shape \[3, 4\]: \[terms, 3\] would be right"):
        estimators.get(name).surrogate(q, wide, 2)


@pytest.mark.parametrize("case", CASES)
def test_steps_sum_to_the_density(case):
    which = CASES[case]
    q = which.build(**which.parameters)
    z = q.sample(Size([50]))
    torch.testing.assert_close(log_prob_steps(q, z).sum(-1), q.log_prob(z))


def declared(**wrong):
    """The user's class with some attributes replaced, at the parameters of the case."""
    which = type("Wrong", (Autoregressive,), wrong)(**CASES["own class"].parameters)
    return steps_refused(which)


WRONG = {
    "do not sum to its log_prob": {"log_prob_steps": lambda self, z: 2 * Autoregressive.log_prob_steps(self, z)},
    r"gives shape \[8\]": {"log_prob_steps": lambda self, z: self.log_prob(z)},
    "step 1 depends on step 0, which it does not follow": {"follows": torch.zeros(3, 3)},
    "not an order": {"follows": torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0]])},
    r"follows has shape \[2, 2\]": {"follows": torch.zeros(2, 2)},
    "raises RuntimeError": {"log_prob_steps": lambda self, z: z @ z},
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_steps_are_refused_with_the_reason(said):
    assert re.search(said, declared(**WRONG[said])[Need.STEPS])


def test_wrong_other_values_are_refused():
    def same(self, z):
        return torch.stack([z, z])

    reasons = declared(other_values=same)
    assert "do not sum to 1" in reasons[Need.OTHER_VALUES] and Need.STEPS not in reasons
    assert not declared()


def test_the_generator_is_left_as_it_was():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    declared(follows=torch.ones(3, 3).tril(-1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_own_class_is_told_what_to_declare():
    """Without `log_prob_steps` the sentence names it; with it local estimates run, with terms `downstream` too."""
    which = CASES["own class"]
    assert "a method log_prob_steps" in str(unmet(ESTIMATORS["downstream"][0], Whole(**which.parameters), which.f, 1))
    f = Function(lambda z: (z.sum(-1) - 1.3).square())
    model = own_model(which.parameters, lambda p: autoregressive(**p), f, "here")
    offer = own_offer(model)
    assert offer.unmet(ESTIMATORS["local"][0], 4) is None
    assert "given as terms" in str(offer.unmet(ESTIMATORS["downstream"][0], 4))
    model = own_model(which.parameters, lambda p: autoregressive(**p), which.f, "here")
    assert own_offer(model).unmet(ESTIMATORS["downstream"][0], 4) is None


def test_the_evidence_in_terms_is_the_evidence():
    which = CASES["evidence of layers"]
    q = which.build(**which.parameters)
    z = support(q)
    plain = estimators.Evidence(lambda z: of_layers(z).sum(-1))
    torch.testing.assert_close(which.f(z, q), plain(z, q))
    torch.testing.assert_close(which.f.each(z, q).sum(-1), plain(z, q))
    assert {Need.EVIDENCE, Need.TERMS} <= Offer(q, which.f).needs
