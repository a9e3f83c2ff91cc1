"""The estimator policy_loss: the losses over rollouts, measured as every other estimator is."""

import pytest
import torch
from torch import Tensor

import estimators
from estimators import Function, Terms
from estimators.checks import check_estimator
from estimators.core import SetObjective
from estimators.needs import unmet
from estimators.policy import PRESETS, PolicyGradient, Regularised, Rollouts
from estimators.policy.loss import PolicyLoss
from estimators.policy.prefix_table import PrefixTable
from tests.support import tiny_policy as tiny
from tests.support.cases import EVERY
from tests.support.tiny_policy import BEHAVIOUR, COSTS, GRADED, REFERENCE, RIGHT, THETA, mean_estimate

R = 6_000
LIMIT = 5.8
"""In standard errors, of the largest of 42 numbers: a false alarm in fewer than one of 1,000,000 tests."""


def number_of(z: Tensor) -> Tensor:
    """The number of each sequence among all of them, `[*sample, B]`."""
    return (z.unsqueeze(0) == tiny.Z[(slice(None),) + (None,) * (z.dim() - 3)]).all(-1).all(-1).to(z.dtype).argmax(0)


def reward(table: Tensor) -> Function:
    """R by sequence and prompt, `[B, S]`."""
    return Function(lambda z: table[torch.arange(2), number_of(z)], differentiable=False)


def policy(theta: Tensor, behaviour: Tensor | None = None) -> PrefixTable:
    return PrefixTable(theta, behaviour, REFERENCE, prompt_axes=1)


def drawn(estimator: PolicyGradient, f: estimators.Objective, n: int, behaviour: Tensor | None = None) -> Tensor:
    """R estimates of the mean over prompts, `[R, B, 7, 3]`."""

    def total(theta: Tensor) -> Tensor:
        return estimator.surrogate(policy(theta, behaviour), f, n).mean(-1).sum()

    torch.manual_seed(0)
    return torch.func.grad(total)(THETA.expand(R, *THETA.shape))


def errors(found: Tensor, exact: Tensor) -> float:
    """The largest difference of the mean, in standard errors."""
    error = found.std(0) / R**0.5
    return float(((found.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@pytest.mark.parametrize(
    ("preset", "n", "together"),
    [("importance_sampling", 2, False), ("trl:grpo", 3, False), ("verl:grpo", 2, True), ("gspo", 2, False)],
)
def test_the_mean_off_policy_is_that_of_all_rollouts(preset, n, together):
    estimator = PolicyGradient(preset=preset, beta=0.0)
    exact = mean_estimate(estimator.loss, n, together=together, behaviour=BEHAVIOUR)
    found = drawn(estimator, reward(RIGHT), n, BEHAVIOUR)
    assert errors(found, exact) < LIMIT
    other = mean_estimate(PolicyLoss(), 1, behaviour=BEHAVIOUR)
    assert errors(found, other) > LIMIT


def test_a_regularised_reward_gives_beta_to_the_kl_term():
    f = Regularised(reward(RIGHT), 0.7)
    exact = mean_estimate(PolicyLoss(kl="k1", beta=0.7), 1)
    for estimator in (
        PolicyGradient(preset="reinforce", kl="k1"),
        PolicyGradient(preset="reinforce"),  # the penalty as a part of the reward
        PolicyGradient(preset="importance_sampling", kl="k3", kl_level="sequence", kl_place="loss_times_ratio"),
    ):
        assert errors(drawn(estimator, f, 2), exact) < LIMIT, estimator
    wrong = PolicyGradient(preset="reinforce", kl="k2", kl_place="loss")
    assert errors(drawn(wrong, f, 2), exact) > LIMIT


def test_the_value_is_that_of_the_policy_and_not_of_the_behaviour():
    q = policy(THETA.expand(R, *THETA.shape), BEHAVIOUR)
    torch.manual_seed(0)
    value = PolicyGradient().surrogate(q, reward(RIGHT), 2)
    assert value.shape == (R, 2)
    exact = tiny.expected_reward()(THETA)
    error = value.std(0) / R**0.5
    assert ((value.mean(0) - exact).abs() < LIMIT * error).all()
    assert ((value.mean(0) - tiny.expected_reward()(BEHAVIOUR)).abs() > LIMIT * error).any()


class Costs(Terms):
    """A reward at each token, which depends on the tokens so far; and the exact values of the tokens' prefixes."""

    def __init__(self) -> None:
        depends = torch.ones(3, 3).tril()
        super().__init__(lambda z: COSTS[torch.arange(2), number_of(z)], depends)

    def state_values(self, z: Tensor, q: PrefixTable) -> Tensor:
        total, past = tiny.values_of(COSTS.sum(-1)), COSTS.cumsum(-1) - COSTS
        return ((total - past) * tiny.MASK)[torch.arange(2), number_of(z)]


COST_GRADIENT = tiny.gradient(lambda theta: (tiny.log_law(theta).exp() * COSTS.sum(-1)).sum(-1))


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "reinforce"},
        {"preset": "reinforce", "returns": "to_go"},
        {"preset": "per_decision"},
        {"preset": "reinforce", "baseline": "critic", "lam": 0.5},
        {"preset": "reinforce", "baseline": "critic", "critic_error": 0.5},
    ],
    ids=str,
)
def test_rewards_of_steps_to_go_and_with_a_critic(settings):
    found = drawn(PolicyGradient(**settings), Costs(), 2)
    assert errors(found, COST_GRADIENT) < LIMIT


def test_a_wrong_critic_is_biased_and_an_exact_one_lowers_the_variance():
    wrong = PolicyGradient(preset="reinforce", baseline="critic", lam=0.5, critic_error=0.5)
    assert errors(drawn(wrong, Costs(), 2), COST_GRADIENT) > LIMIT
    whole, to_go, critic = (
        float(drawn(estimator, Costs(), 2).var(0).sum())
        for estimator in (
            PolicyGradient(preset="reinforce"),
            PolicyGradient(preset="reinforce", returns="to_go"),
            PolicyGradient(preset="reinforce", baseline="critic", lam=0.0),
        )
    )
    assert critic < to_go < whole


class BestOf(SetObjective):
    """The largest reward of two draws."""

    differentiable = twice_differentiable = relaxable = False
    draws, weights = 2, (0.0, 1.0)

    def rewards(self, z: Tensor, q: PrefixTable) -> Tensor:
        return reward(GRADED)(z, q)

    def __call__(self, z: Tensor, q: PrefixTable) -> Tensor:
        return self.rewards(z, q).amax(1)


def test_a_set_takes_its_size_from_the_objective():
    estimator = PolicyGradient(preset="pass@k", k=3)
    assert unmet(estimator, policy(THETA), BestOf(), 3) is None
    exact = mean_estimate(PolicyLoss(set="plain", k=2), 2, rewards=GRADED)
    found = drawn(estimator, BestOf(), 4)
    assert errors(found, exact) < LIMIT
    assert errors(found, mean_estimate(PolicyLoss(), 1, rewards=GRADED)) > LIMIT
    assert "the largest reward of several draws" in str(unmet(estimator, policy(THETA), reward(RIGHT), 3))


def test_a_greedy_baseline_takes_the_reward_of_the_greedy_rollout():
    q = policy(THETA)
    found = drawn(PolicyGradient(preset="remax"), reward(RIGHT), 2)
    greedy = RIGHT[torch.arange(2), number_of(q.mode)]
    exact = mean_estimate(PolicyLoss(baseline="greedy"), 1, greedy_rewards=greedy)
    assert errors(found, exact) < LIMIT


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("group_mean", {"baseline": "group_mean"}),
        ("rloo", {"baseline": "leave_one_out"}),
        ("reinforce", {}),
        ("grpo", {"baseline": "group_mean", "scale": "group"}),
    ],
)
@pytest.mark.parametrize("case", ["bits", "one_hot", "normal"])
def test_on_draws_without_steps_it_is_the_estimator_of_that_name(name, parts, case):
    build, parameters, f = EVERY[case]
    found = []
    for estimator in (estimators.get(name), PolicyGradient(preset="reinforce", **parts)):
        leaves = {key: value.expand(50, *value.shape).clone() for key, value in parameters.items()}
        torch.manual_seed(0)
        found.append(torch.func.grad(lambda v: estimator.surrogate(build(**v), f, 4).sum())(leaves))  # noqa: B023
    for key in found[0]:
        torch.testing.assert_close(found[0][key], found[1][key], rtol=1e-9, atol=1e-9)


def test_on_draws_of_another_policy_it_is_off_policy_clipped():
    """The ratio of a whole draw, clipped, with a leave-one-out baseline: the same gradient in the draws' densities."""
    draw = torch.Generator().manual_seed(0)
    log_q, log_mu, f = (torch.randn(6, generator=draw, dtype=torch.float64) for _ in range(3))
    theirs = torch.func.grad(
        lambda x: estimators.get("off_policy_clipped").gain((x - log_mu).exp(), f).mean()  # type: ignore[attr-defined]
    )(log_q)
    loss = PolicyLoss(baseline="leave_one_out", ratio="token", limit="clip")
    row = {"mask": torch.ones(1, 6, 1), "rewards": f[None], "behaviour": log_mu[None, :, None]}
    C = loss.coefficients(Rollouts(log_probs=log_q[None, :, None], **row))
    torch.testing.assert_close(C.flatten(), theirs, rtol=1e-12, atol=1e-14)


def test_a_biased_preset_passes_the_checks():
    """tests/bench/validation/test_checks.py checks the default."""
    check_estimator(PolicyGradient(preset="grpo", beta=0.0))


@pytest.mark.parametrize(
    ("settings", "unbiased"),
    [
        ({}, True),
        ({"preset": "per_decision"}, True),
        ({"preset": "rloo"}, False),  # on-policy alone
        ({"baseline": "group_mean"}, False),
        ({"aggregate": "sequence_mean"}, False),
        ({"limit": "clip"}, False),
        ({"filter": "drop"}, False),
        ({"baseline": "critic", "critic_error": 0.5}, True),
        ({"baseline": "critic", "critic_state_error": 0.5}, True),
        ({"baseline": "critic", "lam": 0.5, "critic_state_error": 0.5}, False),
        ({"baseline": "critic", "lam": 0.5}, True),
        ({"baseline": "critic", "lam": 0.5, "critic_error": 0.5}, False),
        ({"kl": "k1"}, True),
        ({"kl": "k1", "kl_policy": "proximal"}, False),
        ({"kl": "k3", "kl_level": "sequence", "kl_place": "loss_times_ratio"}, True),
        ({"kl": "k3", "kl_place": "loss_times_ratio"}, False),
    ],
    ids=str,
)
def test_what_it_claims(settings, unbiased):
    assert PolicyGradient(**settings).traits.unbiased is unbiased


def test_every_preset_is_an_estimator_with_a_source_and_needs():
    for name in PRESETS:
        traits = estimators.get("policy_loss", preset=name).traits
        assert traits.paper and traits.min_samples >= 1
    assert estimators.get("policy_loss").traits.paper == "Precup, Sutton, Singh 2000"


def test_what_does_not_fit_is_told():
    q, f = policy(THETA), reward(RIGHT)
    assert "expected rewards from each token on" in str(unmet(PolicyGradient(preset="ppo"), q, f, 2))
    assert "a policy with a reference" in str(unmet(PolicyGradient(preset="trl:rloo"), q, f, 2))
    assert unmet(PolicyGradient(preset="trl:rloo"), q, Regularised(f, 0.1), 2) is None
    assert "at least 2 samples" in str(unmet(PolicyGradient(preset="trl:grpo"), q, f, 1))
    assert "at least 3 samples" in str(unmet(PolicyGradient(preset="pass@k", k=3), q, BestOf(), 2))
    with pytest.raises(estimators.BadInput, match="depend on 2 variables, and q has 3 steps"):
        PolicyGradient(preset="reinforce").surrogate(q, Terms(lambda z: z[..., :2, 0], torch.eye(2)), 2)
