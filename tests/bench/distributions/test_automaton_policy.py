"""Policies of a counter: law, draws, exact gradients and state values, against tables of prefixes and plain loops."""

from typing import Any

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.distributions.automaton_policy import AutomatonPolicy, states_before
from bench.distributions.prefix_policy import PrefixPolicyFamily
from bench.distributions.prefix_tree import sequence_rows, sequences, starts
from bench.measure.accuracy.rollout_metrics import enumerable
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.exact import climb, enumeration, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from estimators.policy import PolicyGradient
from estimators.policy.prefix_table import PrefixTable
from estimators.policy.sequence import rollouts_of
from tests.support.exactness import assert_biased, assert_unbiased
from tests.support.policies import policy

STALE = {"stale": 2, "optimiser": "adam", "learning_rate": 0.2, "logit_noise": 0.1, "temperature": 1.2}
LONG = 1000


def problem(beta=0.0, draws=1, **settings) -> Any:
    family = distributions.get("automaton_policy", **({"size": 4} | settings))
    return Problem(family, objectives.get("accepted_answers", beta=beta, draws=draws))


def as_prefixes(q, logits=None):
    """The table of all prefixes that has the same law, found by walking the counter through each prefix's tokens."""
    logits = q.logits if logits is None else logits
    T, V = q.event_shape
    B, S, _ = logits.shape
    rows = torch.stack([z.argmax(-1) for z in sequences(T - 1, V, torch.zeros(()))])
    table = []
    for b in range(B):
        states = []
        for tokens in rows.tolist():
            state = b % S
            for token in tokens:
                state = state if token == V - 1 else (state + token + 1) % S
            states.append(state)
        table.append(logits[b, states])
    return torch.stack(table)


def exact_gradient(which):
    exact = reference(which)
    assert exact is not None
    assert exact.method == "closed form"
    return as_vector(exact.gradient)


@pytest.mark.parametrize("settings", [{}, {"prompts": 5, "states": 2}, {"vocabulary": 6, "size": 3}], ids=str)
def test_the_law_is_that_of_the_table_of_all_prefixes(settings):
    q = policy(problem(**settings))
    z = q.enumerate_support()
    table = PrefixTable(as_prefixes(q))
    assert len(z) == starts(*q.event_shape)[-1]
    assert torch.allclose(q.log_prob(z).exp().sum(0), torch.ones(q.batch_shape, dtype=torch.float64))
    for name in ("log_prob", "log_prob_steps", "mask"):
        assert torch.allclose(getattr(q, name)(z), getattr(table, name)(z), rtol=1e-12)
    live = q.mask(z).unsqueeze(-1)
    assert torch.allclose(live * q.next_log_probs(z), live * table.next_log_probs(z), rtol=1e-12)
    assert torch.equal(q.mode, table.mode)
    assert torch.allclose(q.sequence_log_probs(), q.log_prob(z).mT)
    assert not torch.allclose(PrefixTable(as_prefixes(q).roll(1, 0)).log_prob(z), table.log_prob(z))


@pytest.mark.parametrize("settings", [{}, STALE, {"top_k": 2}], ids=str)
def test_draws_follow_the_law(settings):
    q = policy(problem(**settings))
    for drawn_by in (q, q.behaviour or q):
        law = drawn_by.log_prob(drawn_by.enumerate_support()).exp().mT
        torch.manual_seed(0)
        rows = sequence_rows(drawn_by.sample((40_000,))).mT
        count = torch.stack([torch.bincount(each, minlength=law.shape[-1]) for each in rows])
        assert (count[law == 0] == 0).all()
        expected = 40_000 * law

        def apart(count, expected=expected, law=law):
            chi2 = ((count - expected).square() / expected.clamp_min(1e-300))[law > 0].sum()
            free = int((law > 0).sum()) - 2
            return abs(float(chi2) - free) / (2 * free) ** 0.5

        assert apart(count) < 7
        assert apart(count.roll(1, 0)) > 100  # the other prompt's draws


def test_long_draws_walk_the_counter_one_token_at_a_time():
    q = policy(problem(size=LONG, states=5, vocabulary=5))
    noise = torch.rand(3, 2, LONG, 1, dtype=torch.float64)
    z = q._decoded(noise, (3,))
    law = q.logits.softmax(-1).cumsum(-1)
    for k in range(3):
        for b in range(2):
            state, ended = b, False
            for t in range(LONG):
                token = 4 if ended else int((noise[k, b, t] >= law[b, state, :-1]).sum())
                assert int(z[k, b, t].argmax()) == token
                assert ended or int(q.prefix(z)[k, b, t]) == state
                ended = ended or token == 4
                state = (state + token + 1) % 5
    assert q.mask(z).sum(-1).max() > 100


def test_maps_are_composed_in_order():
    torch.manual_seed(1)
    for T in (1, 2, 3, 5, 8, 13):
        after, first = torch.randint(4, (2, 3, T, 4)), torch.tensor([0, 3, 1])
        found = states_before(after, first)
        state = first.expand(2, 3)
        for t in range(T):
            assert torch.equal(found[..., t], state)
            state = after[..., t, :].gather(-1, state.unsqueeze(-1)).squeeze(-1)


def by_loop(q, logits, beta):
    """The mean over prompts of the expected reward: the mass of every state moves one token at a time, forwards."""
    T, V = q.event_shape
    total = torch.zeros((), dtype=torch.float64)
    for b, table in enumerate(logits.log_softmax(-1)):
        S = len(table)
        ratio = table - q.reference.logits[b].log_softmax(-1)
        mass = [torch.tensor(float(s == b % S), dtype=torch.float64) for s in range(S)]
        for _ in range(T):
            after = [torch.zeros((), dtype=torch.float64) for _ in range(S)]
            for s in range(S):
                p = table[s].exp()
                total = total - beta * mass[s] * (p * ratio[s]).sum()
                total = total + mass[s] * p[-1] * (s == 0)
                for v in range(V - 1):
                    after[(s + v + 1) % S] = after[(s + v + 1) % S] + mass[s] * p[v]
            mass = after
    return total / len(logits)


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("size", [4, 37])
def test_exact_gradients_are_those_of_a_forward_loop_and_of_enumeration(beta, size):
    which = problem(beta=beta, size=size, prompts=4)
    q = policy(which)
    theta = which.theta()
    expected = torch.func.grad(lambda at: by_loop(q, which.encode(at)["logits"], beta))(theta)
    found, expected = exact_gradient(which), as_vector(expected)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-14)
    assert not torch.allclose(found, expected * (1 + 1e-8), rtol=1e-10, atol=1e-14)
    if size == 4:
        listed = climb(which, enumeration, "enumeration")
        assert listed is not None
        assert torch.allclose(as_vector(listed.gradient), found, rtol=1e-10, atol=1e-14)


def test_the_reward_and_the_gradient_of_a_prefix_table_of_the_same_law():
    """Its gradient, summed over the prefixes of each state, by another family's recursion."""
    which = problem(prompts=3, states=3, vocabulary=4)
    q = policy(which)
    z = q.enumerate_support()
    right = which.function(q.logits)(z, q)
    assert set(right.unique().tolist()) == {0.0, 1.0}
    table: Any = PrefixPolicyFamily.of(as_prefixes(q).numpy()).build({"logits": as_prefixes(q)})
    assert torch.allclose((table.sequence_log_probs().exp() * right.mT).sum(-1), q.value(), rtol=1e-12)
    for b, tokens in enumerate(z.argmax(-1).movedim(1, 0).tolist()):
        for at, y in enumerate(tokens):
            content = [token for token in y if token != 3]
            assert right[at, b] == (len(content) < 4 and (b + sum(token + 1 for token in content)) % 3 == 0)


def test_state_values_are_means_over_continuations():
    which = problem(size=5, vocabulary=3)
    q, T = policy(which), 5
    f = which.function(q.logits)
    z = q.enumerate_support()
    p, right = q.log_prob(z).exp(), f(z, q)
    found = f.state_values(z, q)
    token, mask = z.argmax(-1), q.mask(z)
    for b in range(2):
        for at in range(0, len(z), 3):
            for t in range(T):
                same = (token[:, b, :t] == token[at, b, :t]).all(-1)
                value = (p[same, b] * right[same, b]).sum() / p[same, b].sum()
                assert torch.allclose(found[at, b, t], value * mask[at, b, t], rtol=1e-10, atol=1e-15)


def test_success_rates_and_lengths():
    for size in (6, 100, LONG):
        for rate in (0.02, 0.3, 0.9):
            which = problem(size=size, rate=rate)
            assert float(which.family.success(which.theta()).mean()) == pytest.approx(rate, rel=1e-9)
    q = policy(problem(size=LONG))
    torch.manual_seed(0)
    z = q.sample((400,))
    assert 0.25 * LONG < float(q.mask(z).sum(-1).mean()) < 0.9 * LONG
    assert abs(float(q.accepted(z).mean()) - 0.3) < 6 * (0.21 / 800) ** 0.5


def test_long_policies_are_not_enumerated():
    q = policy(problem(size=LONG))
    assert not q.has_enumerate_support
    assert not enumerable(q)
    assert enumerable(policy(problem()))


@pytest.mark.parametrize(
    ("estimator", "settings"),
    [
        (estimators.get("rloo"), {"size": 30}),
        (PolicyGradient(preset="importance_sampling"), {"size": 6, "stale": 1}),
        (PolicyGradient(baseline="critic", critic_error=0.0, lam=0.9), {"size": 30}),
    ],
    ids=["rloo", "importance_sampling", "critic"],
)
def test_unbiased_losses_are_unbiased(estimator, settings):
    which = problem(**settings)
    torch.manual_seed(3)
    assert_unbiased(Gradients(which, estimator, 4)(10_000), exact_gradient(which), resolution=0.1)


def test_a_token_ratio_is_biased_where_the_sequence_ratio_is_not():
    which = problem(size=6, stale=2)
    torch.manual_seed(3)
    loss = PolicyGradient(preset="importance_sampling", ratio="token")
    assert_biased(Gradients(which, loss, 4)(20_000), exact_gradient(which))


def test_a_counter_that_moves_after_the_end_is_rejected(monkeypatch):
    """A mutant: acceptance by all T tokens, the end tokens after the end included."""

    def wrong(self, z):
        step = z.argmax(-1) + 1
        return ((self.first + step.sum(-1)) % self.states == 0).to(z.dtype)

    which = problem()
    monkeypatch.setattr(AutomatonPolicy, "accepted", wrong)
    listed = climb(which, enumeration, "enumeration")
    assert listed is not None
    assert not torch.allclose(as_vector(listed.gradient), exact_gradient(which), rtol=0.05)


def test_behaviour_reference_and_a_truncating_trainer():
    which = problem(top_k=2, truncated_trainer=True, stale=1, reference_noise=0.0)
    q = policy(which)
    assert torch.allclose(q.reference.logits, q.logits)
    theta = which.theta()
    slope = torch.func.grad(lambda at: which.family.success(at).mean())(theta)
    before = {name: theta[name] - slope[name] for name in theta}
    moved = which.encode(before)["logits"]
    kept = q.behaviour.logits > -torch.inf
    assert (kept.sum(-1) == 2).all()
    assert torch.allclose(q.behaviour.logits[kept], moved[kept])
    torch.manual_seed(0)
    z = q.behaviour.sample((64,))
    truncated = AutomatonPolicy(q.logits.masked_fill(~kept, -torch.inf), 4)
    assert torch.allclose(q.log_prob_steps(z), truncated.log_prob_steps(z))
    assert not torch.allclose(q.log_prob(z), truncated.log_prob(z))
    assert policy(problem()).behaviour is None
    rollouts = rollouts_of(q, which.function(q.logits), z, q.accepted(z))
    assert rollouts.log_probs.shape == (2, 64, 4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"states": 1}, "states must be at least 2, found 1"),
        ({"vocabulary": 2}, "vocabulary must be at least 3, with the end token, found 2"),
        ({"size": 2}, "size must be at least 3 tokens, found 2"),
        ({"rate": 1.0}, r"rate must be in \(0, 1\), found 1.0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], found 0.0"),
        ({"optimiser": "adm"}, "has no optimiser 'adm'; did you mean 'adam'"),
        ({"stale": -1}, "stale must be 0 steps or more, found -1"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        distributions.get("automaton_policy", **settings)
    with pytest.raises(BadInput, match="beta must be 0 or more, found -1"):
        objectives.get("accepted_answers", beta=-1.0)
    with pytest.raises(BadInput, match="draws must be at least 1, found 0"):
        objectives.get("accepted_answers", draws=0)
    with pytest.raises(BadInput, match="is of single answers: draws must be 1"):
        objectives.get("accepted_answers", draws=2, beta=0.1)
    assert np.isfinite(problem().family.beside[1]).all()


def test_pass_at_k_is_exact_and_its_losses_are_unbiased():
    """E max of 2 answers by enumeration of all pairs of answers; the losses of sets are unbiased for its gradient."""
    which = problem(draws=2)
    q, theta = policy(which), which.theta()
    z = q.enumerate_support(expand=False)
    right = q.accepted(z.expand(-1, *q.batch_shape, -1, -1)).T

    def pairs(theta):
        law = which.build(which.encode(theta)).sequence_log_probs().exp()
        best = torch.maximum(right.unsqueeze(-1), right.unsqueeze(-2))
        return (law.unsqueeze(-1) * law.unsqueeze(-2) * best).sum((-2, -1)).mean()

    expected = torch.cat([each.flatten() for each in torch.func.grad(pairs)(theta).values()])
    exact = exact_gradient(which)
    assert torch.allclose(exact, expected, rtol=1e-9)
    torch.manual_seed(0)
    for form in ("plain", "leave_one_out", "leave_one_out_sets"):
        estimator = PolicyGradient(preset="pass@k", set=form)
        assert_unbiased(Gradients(which, estimator, 4)(8_000), exact, resolution=0.15)
    assert_biased(Gradients(problem(), PolicyGradient(preset="rloo"), 4)(8_000), exact)
