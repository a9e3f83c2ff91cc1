"""Per-step costs on Markov and token policies: returns to go and GAE with exact values, against enumeration.

All trajectories of a small problem are weighed by their law in float64, so means are exact: no draws, no tolerance but
rounding.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

import estimators
from bench.distributions import distributions
from bench.distributions.bernoulli_chain import BernoulliChain
from bench.distributions.state_values import values_of_states
from bench.distributions.tabular_policy import Trajectory
from bench.distributions.token_policy import TokenPolicy
from bench.objectives import objectives
from bench.problems.problem import Problem
from estimators import BadInput, Function, Objective, Terms
from estimators.needs import unmet
from estimators.policy import PolicyGradient, Rollouts
from estimators.policy.critics import errors_of_states
from estimators.policy.loss import PolicyLoss
from estimators.policy.state_values import state_values

DOUBLE = torch.float64
H, S, A, V = 3, 3, 2, 3
LIMIT = 5.8
"""In standard errors, of the largest of about 40 numbers: a false alarm in fewer than one of 1,000,000 tests."""


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


REWARDS = normal(1, H, S, A)
COSTS = normal(2, H, V)
BITS = normal(3, H)


def trajectories(theta: Tensor) -> Trajectory:
    """A policy whose logits differ from step to step, in a random environment."""
    return Trajectory(theta, normal(4, S, A, S).softmax(-1), normal(5, S).softmax(-1), validate_args=False)


def tokens(theta: Tensor) -> TokenPolicy:
    return TokenPolicy(theta, normal(6, V, V), normal(7, V, V), validate_args=False)


def chain(theta: Tensor) -> BernoulliChain:
    return BernoulliChain(theta, normal(8, H), validate_args=False)


def all_trajectories() -> Tensor:
    table = torch.eye(S * A, dtype=DOUBLE).reshape(S * A, S, A)
    return table[torch.tensor(list(itertools.product(range(S * A), repeat=H)))]


SO_FAR = torch.ones(H, H).tril()
CASES: dict[str, tuple[Callable[[Tensor], Any], Tensor, Objective]] = {
    "markov": (trajectories, normal(9, H, S, A), Terms(lambda z: (z * REWARDS).sum((-1, -2)), torch.eye(H))),
    "tokens": (tokens, normal(10, H, V), Terms(lambda z: (z * COSTS).sum(-1).cumsum(-1).sin(), SO_FAR)),
    "terminal": (tokens, normal(10, H, V), Function(lambda z: ((z * COSTS).sum((-1, -2)) > 0.3).to(DOUBLE))),
    "chain": (chain, normal(11, H), Terms(lambda z: (z * BITS).cumsum(-1).cos(), SO_FAR)),
}


def every(q: Distribution) -> tuple[Tensor, Tensor]:
    """All draws `[N, …]`, and the logarithm of what their law has besides the policy."""
    if isinstance(q, Trajectory):
        z = all_trajectories()
        return z, q.log_environment(z)
    z = q.enumerate_support()
    return z, torch.zeros(len(z), dtype=DOUBLE)


def rewards_by_step(f: Objective, z: Tensor, q: Distribution) -> Tensor:
    return f.each(z) if isinstance(f, Terms) else torch.nn.functional.pad(f(z, q).unsqueeze(-1), (H - 1, 0))


def enumerated_values(case: str) -> Tensor:
    """E[Σ_{u≥t} c_u | what is known before step t's choice], by the definition of a conditional mean, `[N, T]`."""
    build, theta, f = CASES[case]
    q = build(theta)
    z, environment = every(q)
    law = (q.log_prob(z) + environment).exp()
    to_go = rewards_by_step(f, z, q).flip(-1).cumsum(-1).flip(-1)
    values = []
    for t in range(H):
        known = z.flatten(2)[:, :t] if case != "markov" and z.dim() > 2 else z[:, :t]
        if case == "markov":
            known = z[:, t].sum(-1)
        known = known.reshape(len(z), -1)
        same = (known[:, None] == known[None]).all(-1).to(DOUBLE)
        values.append((same @ (law * to_go[:, t])) / (same @ law))
    return torch.stack(values, -1)


def mean_gradient(case: str, loss: PolicyLoss, values: Tensor) -> Tensor:
    """The exact mean of the loss's estimate with these values of a critic, each trajectory being a replicate."""
    build, theta, f = CASES[case]
    z, environment = every(build(theta))

    def rows(x: Tensor) -> Tensor:
        return x[:, None, None]  # [N, B = 1, K = 1, T]

    def total(at: Tensor) -> Tensor:
        q = build(at)
        steps = q.log_prob_steps(z)
        law = (steps.detach().sum(-1) + environment).exp()
        rollouts = Rollouts(
            log_probs=rows(steps),
            mask=torch.ones_like(rows(steps)),
            rewards=torch.zeros(len(z), 1, 1, dtype=DOUBLE),
            step_rewards=rows(rewards_by_step(f, z, q)),
            values=rows(values),
        )
        return (law * loss.objective(rollouts).squeeze(-1)).sum()

    return torch.func.grad(total)(theta)


def exact(case: str) -> Tensor:
    build, theta, f = CASES[case]
    z, environment = every(build(theta))
    return torch.func.grad(lambda at: ((build(at).log_prob(z) + environment).exp() * f(z, build(at))).sum())(theta)


def distance(found: Tensor, right: Tensor) -> float:
    """The relative distance of two gradients."""
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize("case", CASES)
def test_values_are_the_conditional_means(case):
    build, theta, f = CASES[case]
    q = build(theta)
    z, _ = every(q)
    torch.testing.assert_close(state_values(q, f, z), enumerated_values(case), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_values_of_a_batch_are_those_of_its_elements(case):
    build, theta, f = CASES[case]
    if case == "markov":
        thetas = torch.stack([theta, theta + 1, theta * 0.3])
        q = Trajectory(thetas, *(x.expand(3, *x.shape) for x in (build(theta).transition, build(theta).initial)))
    elif case == "chain":
        thetas = torch.stack([theta, theta + 1, theta * 0.3])
        q = BernoulliChain(thetas, normal(8, H).expand(3, H), validate_args=False)
    else:
        thetas = torch.stack([theta, theta + 1, theta * 0.3])
        q = TokenPolicy(thetas, normal(6, V, V).expand(3, V, V), normal(7, V, V).expand(3, V, V), validate_args=False)
    torch.manual_seed(0)
    z = q.sample((7,))
    each = torch.stack([state_values(build(thetas[i]), f, z[:, i]) for i in range(3)], 1)
    torch.testing.assert_close(state_values(q, f, z), each, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_returns_to_go_and_exact_values_are_unbiased_for_every_lambda(case):
    build, theta, f = CASES[case]
    values, right = state_values(build(theta), f, every(build(theta))[0]), exact(case)
    assert distance(mean_gradient(case, PolicyLoss(returns="to_go"), values), right) < 1e-10
    for lam, horizon in [(0.0, 0), (0.5, 0), (1.0, 0), (1.0, 1), (1.0, 2)]:
        loss = PolicyLoss(baseline="critic", lam=lam, horizon=horizon)
        assert distance(mean_gradient(case, loss, values), right) < 1e-10, (lam, horizon)


@pytest.mark.parametrize("case", CASES)
def test_wrong_values_are_unbiased_at_lambda_and_gamma_1_alone(case):
    """An error that is the same everywhere bends nothing where all sequences have T steps: it must differ by state."""
    build, theta, f = CASES[case]
    right, exact_values = exact(case), state_values(build(theta), f, every(build(theta))[0])
    constant, by_state = exact_values + 0.5, exact_values + (7 * exact_values).sin()

    def bias(values: Tensor, **parts: float) -> float:
        return distance(mean_gradient(case, PolicyLoss(baseline="critic", **parts), values), right)  # type: ignore[arg-type]

    assert max(bias(by_state), bias(constant), bias(constant, lam=0.5)) < 1e-10
    assert min(bias(by_state, lam=0.0), bias(by_state, lam=0.5), bias(by_state, lam=1.0, horizon=1)) > 1e-3
    assert min(bias(by_state, gamma=0.9), bias(exact_values, gamma=0.9)) > 1e-3


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("case", CASES)
def test_the_bias_of_an_error_by_state_is_its_formula(case, lam):
    """E Σ_t s_t (1 − λ) Σ_{u>t} λ^{u−t−1} e_u, for an error e_u that depends on what is known before step u."""
    build, theta, f = CASES[case]
    z, environment = every(build(theta))
    error = 0.3 * errors_of_states(build(theta), z)
    loss = PolicyLoss(baseline="critic", lam=lam)
    found = mean_gradient(case, loss, state_values(build(theta), f, z) + error) - exact(case)

    def formula(at: Tensor) -> Tensor:
        steps = build(at).log_prob_steps(z)
        law = (steps.detach().sum(-1) + environment).exp()
        coefficient = torch.zeros_like(steps)
        for t, u in itertools.combinations(range(H), 2):
            coefficient[:, t] += (1 - lam) * lam ** (u - t - 1) * error[:, u]
        return (law * (coefficient.detach() * steps).sum(-1)).sum()

    expected = torch.func.grad(formula)(theta)
    assert (found - expected).norm() < 1e-10 * exact(case).norm()
    assert (expected.norm() > 1e-3 * exact(case).norm()) == (lam < 1)


@pytest.mark.parametrize("case", CASES)
def test_errors_depend_on_the_state_before_a_step_alone(case):
    build, theta, _ = CASES[case]
    q = build(theta)
    z, _ = every(q)
    error = errors_of_states(q, z)
    for t in range(H):
        known = z[:, t].sum(-1) if case == "markov" else z[:, :t]
        known = known.reshape(len(z), -1)
        same = (known[:, None] == known[None]).all(-1)
        assert torch.equal(same, error[:, t, None] == error[None, :, t])
    assert error.abs().max() <= 3**0.5


def test_errors_have_the_standard_deviation_that_they_say():
    long = TokenPolicy(normal(1, 8, 3), normal(2, 3, 3), normal(3, 3, 3), validate_args=False)
    error = errors_of_states(long, long.enumerate_support())[:, -1]
    assert abs(float(error.mean())) < 0.05 and abs(float(error.std()) - 1) < 0.05
    assert len(error.unique()) == 3**7


@pytest.mark.parametrize("case", CASES)
def test_mutants_of_the_values_are_told_apart(case):
    """Values of the step after, of all rewards in place of those to come, and of a uniform policy."""
    build, theta, f = CASES[case]
    q = build(theta)
    z, _ = every(q)
    values, right = state_values(q, f, z), exact(case)
    past = rewards_by_step(f, z, q).cumsum(-1) - rewards_by_step(f, z, q)
    mutants = [torch.nn.functional.pad(values[:, 1:], (0, 1)), state_values(build(theta * 0), f, z)]
    mutants += [values + past] if case != "terminal" else []
    for i, mutant in enumerate(mutants):
        assert (mutant - enumerated_values(case)).abs().max() > 1e-2, i
        assert distance(mean_gradient(case, PolicyLoss(baseline="critic", lam=0.0), mutant), right) > 1e-3, i


def test_the_discounted_return_and_token_families_take_a_critic():
    """Through the suite's problems: the mean agrees with the exact gradient, and values lower the variance."""
    critic = PolicyGradient(preset="reinforce", baseline="critic", lam=0.0)
    for family, objective in (
        (distributions.get("tabular_policy", size=3, actions=2, horizon=4), "discounted_return"),
        (distributions.get("token_policy", size=3), "token_sum"),
    ):
        problem = Problem(family, objectives.get(objective))
        parameters = problem.encode(problem.theta())
        key = "logits" if "logits" in parameters else "start"
        q = family.build(parameters)
        f = problem.objective.build(family, "default", parameters[key])
        assert unmet(critic, q, f, 1) is None
        found = {
            estimator: drawn(estimator, family, parameters, key, f)
            for estimator in (critic, PolicyGradient(preset="reinforce"))
        }
        right = exact_of_problem(problem, parameters, key, f)
        for sample in found.values():
            error = (sample.std(0) / len(sample) ** 0.5).clamp_min(1e-9)
            assert ((sample.mean(0) - right).abs() / error).max() < LIMIT
        first, second = (float(sample.var(0).sum()) for sample in found.values())
        assert first < second


def exact_of_problem(problem: Problem, parameters: dict[str, Tensor], key: str, f: Objective) -> Tensor:
    """The gradient of E f in one parameter: of the problem's closed form, or else of the sum over all sequences."""

    def mean(value: Tensor) -> Tensor:
        given = {**parameters, key: value}
        closed = problem.objective.expectation(problem.family, "default", given)
        if closed is not None:
            return closed.sum()
        q: Any = problem.family.build(given)
        z = q.enumerate_support()
        return (q.log_prob(z).exp() * f(z, q)).sum()

    return torch.func.grad(mean)(parameters[key])


def drawn(estimator: PolicyGradient, family: Any, parameters: dict[str, Tensor], key: str, f: Objective) -> Tensor:
    """4,000 estimates of the gradient in one parameter, from a fixed seed."""
    wide = {name: value.expand(4000, *value.shape) for name, value in parameters.items()}
    torch.manual_seed(0)
    return torch.func.grad(lambda value: estimator.surrogate(family.build({**wide, key: value}), f, 1).sum())(wide[key])


def test_policies_and_objectives_without_values_are_refused():
    critic = PolicyGradient(preset="reinforce", baseline="critic")
    crossed = Terms(lambda z: (z * REWARDS).sum((-1, -2)), SO_FAR)
    q = trajectories(normal(9, H, S, A))
    assert "exact values of states" in str(unmet(critic, q, crossed, 1))
    assert unmet(critic, Normal(0.0, 1.0), Function(lambda z: z), 1) is not None
    long = TokenPolicy(normal(1, 12, 2), normal(2, 2, 2), normal(3, 2, 2), validate_args=False)
    longer = TokenPolicy(normal(1, 13, 2), normal(2, 2, 2), normal(3, 2, 2), validate_args=False)
    f = Function(lambda z: z[..., 0].sum(-1))
    assert unmet(critic, long, f, 1) is None
    assert unmet(critic, longer, f, 1) is not None
    with pytest.raises(BadInput, match="give the objective a method state_values"):
        state_values(longer, f, longer.sample((1,)))


def test_values_of_states_are_a_fixed_point_of_bellmans_equation():
    q = trajectories(normal(9, H, S, A))
    values = values_of_states(q, REWARDS)
    after = torch.nn.functional.pad(values[1:], (0, 0, 0, 1))
    step = REWARDS + torch.einsum("saz,tz->tsa", q.transition, after)
    torch.testing.assert_close(values, (q.logits.softmax(-1) * step).sum(-1))
    assert isinstance(estimators.get("policy_loss"), PolicyGradient)
