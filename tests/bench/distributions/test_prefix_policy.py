"""Tables of next-token logits: tree, behaviours, rewards, exact gradients and moments, against enumeration."""

import io
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.distributions.behaviours import kept_tokens
from bench.distributions.prefix_policy import PrefixPolicyFamily, table_from_file
from bench.distributions.prefix_tree import sequence_log_probs, sequence_rows, sequences, starts
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.objectives.right_answers import TableReward
from bench.problems.exact import climb, enumeration, reference
from bench.problems.problem import Problem
from bench.problems.rollout_moments import rollout_moments
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from estimators.policy import PolicyGradient
from estimators.policy.prefix_table import PrefixTable
from tests.support.exactness import assert_biased, assert_unbiased
from tests.support.policies import policy

STALE = {"stale": 2, "optimiser": "adam", "learning_rate": 0.2, "logit_noise": 0.1, "temperature": 1.2}


def family(**settings) -> Any:
    return distributions.get("prefix_policy", **({"size": 3} | settings))


def problem(objective="right_answers", settings=None, **of_objective):
    return Problem(family(**(settings or {})), objectives.get(objective, **of_objective))


def exact_gradient(which):
    exact = reference(which)
    assert exact is not None
    return as_vector(exact.gradient)


def by_hand(logits, prompt_rewards, pay):
    """The mean over prompts of Σ_y π(y) pay(R(y), log π(y)), sequence by sequence, with Python's loops."""
    _, prefixes, V = logits.shape
    T = next(T for T in range(1, 9) if starts(T, V)[-2] == prefixes)
    total = torch.zeros((), dtype=torch.float64)
    for table, rewards in zip(logits.log_softmax(-1), prompt_rewards, strict=True):
        contents = [y for n in range(T + 1) for y in itertools.product(range(V - 1), repeat=n)]
        order = {y: row for row, y in enumerate(contents)}
        for y in contents:
            log_p = sum((table[order[y[:t]], y[t]] for t in range(len(y))), torch.zeros((), dtype=torch.float64))
            log_p = log_p + (table[order[y], V - 1] if len(y) < T else 0)
            total = total + log_p.exp() * pay(rewards[order[y]], log_p, order[y])
    return total / len(logits)


def test_rows_number_the_sequences_and_the_law_is_that_of_the_prefix_table():
    torch.manual_seed(0)
    logits = torch.randn(2, 13, 4, dtype=torch.float64)
    z = sequences(3, 4, logits)
    assert torch.equal(sequence_rows(z), torch.arange(starts(3, 4)[-1]))
    expected = PrefixTable(logits).log_prob(z.unsqueeze(1).expand(-1, 2, -1, -1)).mT
    assert torch.allclose(sequence_log_probs(logits.log_softmax(-1), 3), expected, rtol=1e-13)
    assert torch.allclose(expected.exp().sum(-1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("settings", [{}, STALE, {"top_p": 0.7}, {"top_k": 2, "truncated_trainer": True}], ids=str)
def test_the_policy_is_a_prefix_table_and_draws_by_its_law(settings):
    q = policy(problem(settings=settings))
    z = q.enumerate_support()
    slow = PrefixTable(q.logits)
    assert torch.allclose(q.log_prob(z), slow.log_prob(z), rtol=1e-13)
    assert torch.equal(q.mode, slow.mode)
    torch.manual_seed(0)
    for drawn_by in (q, q.behaviour or q):
        law = sequence_log_probs(drawn_by.logits.log_softmax(-1), 3).exp()
        rows = sequence_rows(drawn_by.sample((40_000,))).mT
        count = torch.stack([torch.bincount(each, minlength=law.shape[-1]) for each in rows])
        assert (count[law == 0] == 0).all()
        expected = 40_000 * law
        chi2 = ((count - expected).square() / expected.clamp_min(1e-300))[law > 0].sum()
        free = int((law > 0).sum()) - 2
        assert abs(float(chi2) - free) < 7 * (2 * free) ** 0.5


@pytest.mark.parametrize("law", ["short", "long"])
def test_exact_gradients_of_all_three_targets_are_those_of_a_loop_over_answers(law):
    for objective, of_objective in (
        ("right_answers", {}),
        ("regularised_answers", {"beta": 0.3}),
        ("best_answer", {"draws": 3}),
    ):
        which: Any = problem(objective, {"law": law, "prompts": 3}, **of_objective)
        R, q = which.family.right(), policy(which)
        ref = sequence_log_probs(q.reference.logits.log_softmax(-1), 3)

        def value(logits, objective=objective, R=R, ref=ref):
            if objective == "best_answer":
                wrong = 1 - torch.stack([by_hand(logits[b : b + 1], R[b : b + 1], lambda r, *_: r) for b in range(3)])
                return (1 - wrong**3).mean()
            if objective == "right_answers":
                return by_hand(logits, R, lambda r, *_: r)
            each = [
                by_hand(logits[b : b + 1], R[b : b + 1], lambda r, p, y, b=b: r - 0.3 * (p - ref[b, y]))
                for b in range(3)
            ]
            return torch.stack(each).mean()

        expected = torch.func.grad(value)(q.logits).flatten()
        exact = reference(which)
        assert exact is not None
        assert exact.method == "closed form"
        found = as_vector(exact.gradient)
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-15)
        assert not torch.allclose(found, expected * (1 + 1e-8), rtol=1e-10, atol=1e-15)
        if objective != "best_answer":
            listed = climb(which, enumeration, "enumeration")
            assert listed is not None
            assert torch.allclose(as_vector(listed.gradient), found, rtol=1e-10, atol=1e-15)


def test_success_rates_and_lengths_of_right_answers():
    for rate in (0.02, 0.3, 0.9):
        which = family(size=5, rate=rate, prompts=3)
        p = which.success(which.theta("default", "unconstrained"))
        expected = torch.logit(torch.tensor(rate, dtype=p.dtype)) + torch.tensor([-1.0, 0, 1], dtype=p.dtype)
        assert torch.allclose(torch.logit(p), expected)
    z = sequences(5, 4, torch.zeros(()))
    length = (z[..., -1] == 0).sum(-1) + 1
    short, long = (family(size=5, law=law).right() > 0 for law in ("short", "long"))
    assert length[short.any(0)].max() == 3
    assert length[long.any(0)].min() == 4
    assert length[long.any(0)].max() == 5
    assert short.any(-1).all()
    assert long.any(-1).all()


def test_stale_policies_are_those_of_optimiser_steps():
    which = family(stale=3, learning_rate=0.5)
    theta = which.theta("default", "unconstrained")["logits"]
    for _ in range(3):
        slope = torch.func.grad(lambda at: which.success({"logits": at}).mean())(theta)
        theta = theta - 0.5 * slope
    assert np.allclose(which.beside[0], theta, rtol=1e-13)
    assert which.success({"logits": theta}).mean() < which.success(which.theta("default", "unconstrained")).mean()
    assert family().beside[0] is None


def test_truncation():
    law = torch.tensor([[0.1, 0.5, 0.25, 0.15], [0.97, 0.01, 0.01, 0.01]]).log()
    assert kept_tokens(law, 0, 0.7).tolist() == [[False, True, True, False], [True, False, False, False]]
    assert kept_tokens(law, 2, 1.0).tolist()[0] == [False, True, True, False]
    assert kept_tokens(law, 2, 0.6).tolist()[0] == [False, True, False, False]  # top-p of what top-k left: 0.5 / 0.75
    assert bool(kept_tokens(law, 0, 1.0).all())


def test_a_truncated_trainer_has_the_law_among_the_tokens_that_stay():
    q = policy(problem(settings={"top_k": 2, "truncated_trainer": True}))
    z = q.behaviour.sample((50,))
    assert torch.allclose(q.log_prob_steps(z), q.behaviour.log_prob_steps(z), rtol=1e-12)
    full = policy(problem(settings={"top_k": 2}))
    assert (full.log_prob_steps(z) <= q.log_prob_steps(z) + 1e-12).all()
    assert not torch.allclose(full.log_prob_steps(z), q.log_prob_steps(z))


def test_state_values_are_conditional_means():
    which: Any = problem()
    q, f = policy(which), TableReward(which.family.right())
    z = q.enumerate_support()
    law, R = q.log_prob(z).exp(), f(z, q)
    values = f.state_values(z, q)
    for t in range(3):
        same = (z[:, None, :, :t] == z[None, :, :, :t]).all(-1).all(-1).to(law.dtype)  # [S, S, B]
        expected = (same * law * R).sum(1) / (same * law).sum(1)
        assert torch.allclose(values[..., t], expected * q.mask(z)[..., t], rtol=1e-11)


LOSSES = [
    {"preset": "reinforce"},
    {"baseline": "none"},
    {"baseline": "critic", "ratio": "token", "critic_error": 0.2},
    {"preset": "reinforce", "aggregate": "sequence_mean", "ratio": "token", "limit": "clip"},
    {"preset": "reinforce", "baseline": "greedy"},
]


@pytest.mark.parametrize("settings", [{}, STALE, {"top_k": 2, "truncated_trainer": True}], ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_moments_of_one_rollout_are_those_of_the_estimates(settings, loss):
    """Each pair of answers of two prompts, with its probability: what the suite's own pullback gives for it."""
    which, estimator = problem(settings=settings), PolicyGradient(**loss)
    found = rollout_moments(which, estimator)
    q = policy(which)
    mu = q.behaviour or q
    each = mu.log_prob(q.enumerate_support()).exp()
    S = len(each)
    a, b = torch.cartesian_prod(torch.arange(S), torch.arange(S)).unbind(-1)
    drawn = each[a, 0] * each[b, 1] > 0
    a, b = a[drawn], b[drawn]
    table = q.enumerate_support()
    z = torch.stack([table[a, 0], table[b, 1]], 1).unsqueeze(0)
    probability = each[a, 0] * each[b, 1]
    gradients = Gradients(which, estimator, 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("estimators.policy.policy_gradient.drawn_from", lambda *_: z)
        estimate = gradients(len(a))
    mean = probability @ estimate
    variance = probability @ (estimate - mean).square()
    assert torch.allclose(found.mean, mean, rtol=1e-9, atol=1e-14)
    assert torch.allclose(found.variance, variance, rtol=1e-9, atol=1e-14)
    assert not torch.allclose(found.mean, 0.999 * mean + 1e-6, rtol=1e-9, atol=1e-14)


def test_moments_say_what_is_biased():
    which = problem(settings=STALE)
    exact = exact_gradient(which)
    assert torch.allclose(rollout_moments(which, PolicyGradient(baseline="none")).mean, exact, rtol=1e-10, atol=1e-14)
    wrong = rollout_moments(which, PolicyGradient(preset="reinforce")).mean
    assert (wrong - exact).norm() > 0.01 * exact.norm()


@pytest.mark.parametrize("objective", ["right_answers", "regularised_answers"])
def test_estimates_of_the_suite_are_unbiased_where_they_say_so(objective):
    which = problem(objective, STALE)
    exact = exact_gradient(which)
    torch.manual_seed(0)
    for estimator in (estimators.get("rloo"), PolicyGradient()):
        assert_unbiased(Gradients(which, estimator, 4)(20_000), exact, resolution=0.1)
    assert_biased(Gradients(which, PolicyGradient(preset="reinforce"), 4)(20_000), exact)


def test_pass_at_k():
    which = problem("best_answer", draws=2)
    torch.manual_seed(0)
    exact = exact_gradient(which)
    assert_unbiased(Gradients(which, estimators.get("set_reinforce"), 4)(20_000), exact, resolution=0.1)


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv"])
def test_a_table_from_a_file_or_an_array(tmp_path, suffix):
    logits = np.random.default_rng(0).normal(size=(2, 13, 4))
    path = str(tmp_path / f"table.{suffix}")
    if suffix == "npy":
        np.save(path, logits)
    elif suffix == "npz":
        np.savez(path, logits=logits)
    else:
        np.savetxt(path, logits.reshape(26, 4), delimiter=",", fmt="%.17g")
    from_array = PrefixPolicyFamily.of(logits)
    assert (from_array.size, from_array.vocabulary, from_array.prompts) == (3, 4, 2)
    for which in (family(table=path), from_array):
        assert np.array_equal(which.theta("default", "unconstrained")["logits"], logits)
    assert replace(from_array, law="long") != from_array


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"law": "shrt"}, "did you mean 'short'"),
        ({"optimiser": "adm"}, "did you mean 'adam'"),
        ({"vocabulary": 2}, "vocabulary must be at least 3"),
        ({"size": 30}, "prefixes"),
        ({"top_p": 0.0}, "top_p must be in"),
        ({"rate": 1.0}, "rate must be in"),
    ],
)
def test_wrong_settings(settings, said):
    with pytest.raises(BadInput, match=said):
        family(**settings)


WHOLE = io.BytesIO()
np.savez_compressed(WHOLE, logits=np.zeros((1, 13, 4)))
LARGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
CLAIM = b"\x93NUMPY\x01\x00v\x00" + LARGE.ljust(117) + b"\n"
DAMAGED = {
    "empty.npy": b"",
    "claim.npy": CLAIM + bytes(80),
    "pickle.npy": b"\x80\x04\x95",
    "cut.npz": WHOLE.getvalue()[:-30],
    "changed.npz": WHOLE.getvalue()[:60] + b"\xff" * 10 + WHOLE.getvalue()[70:],
    "empty.npz": b"PK\x05\x06" + bytes(18),
    "text.csv": b"a,b",
    "bytes.csv": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_tables_are_said(tmp_path, name):
    """As fault C16 has it for images."""
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(BadInput, match=f"cannot read the table .*{name}: ."):
        table_from_file(str(tmp_path / name))


def test_an_archive_that_unpacks_to_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.distributions.prefix_policy.MOST_BYTES", 2**20)
    np.savez_compressed(tmp_path / "zeros.npz", logits=np.zeros(2**18))
    with pytest.raises(BadInput, match=r"it unpacks to 20972\d\d bytes; at most 1048576 are read"):
        table_from_file(str(tmp_path / "zeros.npz"))


def test_a_byte_order_mark_is_no_number(tmp_path):
    """Fault C9."""
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbf1,2\n3,4\n")
    assert table_from_file(str(tmp_path / "table.csv")).tolist() == [[1, 2], [3, 4]]


def test_wrong_tables(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((2, 12, 4)))
    with pytest.raises(BadInput, match=r"has the shape \[2, 12, 4\]"):
        family(table=str(tmp_path / "flat.npy")).theta("default", "unconstrained")
    with pytest.raises(BadInput, match="cannot read"):
        family(table=str(tmp_path / "none.npy")).theta("default", "unconstrained")
    with pytest.raises(BadInput, match="finite"):
        PrefixPolicyFamily.of(np.full((1, 13, 4), np.nan)).theta("default", "unconstrained")
    with pytest.raises(BadInput, match="baseline 'none'"):
        rollout_moments(problem(), PolicyGradient())
