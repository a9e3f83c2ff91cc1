"""The metrics of losses over rollouts, against values by enumeration and binomials."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

import estimators
from bench.distributions import distributions
from bench.distributions.prefix_policy import PrefixPolicy
from bench.measure.accuracy.accuracy import measure_accuracy
from bench.measure.accuracy.rollout_metrics import exact_slopes, interval_of, prompt_weights
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.estimates.prepared import Execution
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.statistics.along_mean import part_weight, slope_along_mean
from bench.statistics.stream import Replicates
from bench.tables.metrics import Measurement

K = 4
SETTINGS = AccuracySettings(max_replicates=16_384, min_replicates=16_384)
ROLLOUT_METRICS = {"generated_tokens", "effective_sample_size", "dead_groups", "length_slope", "entropy_slope"}


def problem_with(**settings: Any) -> Problem:
    family = distributions.get("prefix_policy", **({"size": 3, "vocabulary": 3, "prompts": 3} | settings))
    return Problem(family, objectives.get("right_answers"))


def measured(problem: Problem, name: str = "policy_loss", samples: int = K, **parts: Any) -> list[Measurement]:
    execution = Execution("cell", 0)
    estimator = estimators.get(name, **parts)
    found = measure_accuracy(problem, estimator, samples, SETTINGS, reference(problem), execution=execution)
    return [*found.measurements]


def row(rows: list[Measurement], metric: str, block: str = "all") -> Measurement:
    return next(each for each in rows if (each.metric, each.block) == (metric, block))


def near(found: Measurement, truth: float, errors: float = 2.6) -> bool:
    """Whether the truth is within 5.1 standard errors: 2.6 half-widths of the 95 % interval, a chance of 4e-7."""
    assert found.value is not None and found.ci_low is not None
    return abs(found.value - truth) <= errors * (found.value - found.ci_low)


def law_of(problem: Problem) -> tuple[torch.Tensor, Any]:
    q: Any = problem.build(problem.encode(problem.theta()))
    return q.log_prob(q.enumerate_support()).movedim(0, -1).exp(), q


@pytest.fixture(scope="module")
def on_policy() -> tuple[Problem, list[Measurement]]:
    problem = problem_with()
    return problem, measured(problem, baseline="leave_one_out", filter="drop")


def test_rollouts_are_described_by_their_exact_means(on_policy):
    problem, rows = on_policy
    law, q = law_of(problem)
    length = (law * q.mask(q.enumerate_support()).sum(-1).movedim(0, -1)).sum(-1)
    assert near(row(rows, "generated_tokens"), float(K * length.sum()))  # dropped groups included
    p = (law * problem.family.right()).sum(-1)  # type: ignore[attr-defined]
    assert near(row(rows, "dead_groups"), float((p**K + (1 - p) ** K).mean()))
    assert row(rows, "effective_sample_size").value == pytest.approx(K)
    assert "clipped_share" not in {each.metric for each in rows}  # this loss has no limit


def test_slopes_are_those_of_finite_differences(on_policy):
    problem, _ = on_policy
    found = exact_slopes(problem)
    theta = problem.theta()["logits"]
    step = torch.randn(theta.shape, generator=torch.Generator().manual_seed(0)).double() * 1e-5

    def both(at: torch.Tensor) -> np.ndarray:
        q: Any = problem.build({"logits": at})
        law, length = (
            q.log_prob(q.enumerate_support()).movedim(0, -1).exp(),
            q.mask(q.enumerate_support()).sum(-1).movedim(0, -1),
        )
        return np.array([float((law * length).sum(-1).mean()), float(-(law * law.log()).sum(-1).mean())])

    change = both(theta + step) - both(theta - step)
    for h, expected in zip(found.values(), change, strict=True):
        assert 2 * h @ step.flatten().numpy() == pytest.approx(expected, rel=1e-5)


def test_an_unbiased_loss_has_the_exact_slopes_and_equal_weights():
    problem = problem_with()
    rows = measured(problem, baseline="leave_one_out")
    slopes, g = exact_slopes(problem), exact_vector(problem)
    for metric, h in slopes.items():
        assert near(row(rows, metric), float(h @ g / np.linalg.norm(g)))
    assert all(near(row(rows, "prompt_weight", f"prompt {b}"), 1.0) for b in range(3))


def exact_vector(problem: Problem) -> np.ndarray:
    exact = reference(problem)
    assert exact is not None
    return exact.gradient["logits"].flatten().numpy()


SHARED = [pytest.param(name, marks=pytest.mark.slow) for name in ("log_linear_policy", "automaton_policy")]


@pytest.mark.parametrize("family", ["prefix_policy", "transformer_policy", *SHARED])
def test_a_deviation_weighs_prompts_by_their_difficulty(family):
    """Dividing by the group's population deviation multiplies each gradient by E √(j (K − j)) ÷ (K p (1 − p)).

    Also where prompts share parameters: E ĝ is a sum of the prompts' gradients, each with its weight.
    """
    n, objective = 16, "accepted_answers" if family == "automaton_policy" else "right_answers"
    settings: Any = {"rate": 0.15} if family in ("prefix_policy", "automaton_policy") else {}
    policy = distributions.get(family, size=3, vocabulary=3, prompts=3, **settings)
    problem = Problem(policy, objectives.get(objective))
    rows = measured(problem, samples=n, preset="reinforce", baseline="group_mean", scale="group", bessel=False)
    p = policy.success(problem.theta()).numpy()  # type: ignore[attr-defined]
    j = np.arange(n + 1)
    c = np.array([(binom.pmf(j, n, each) * np.sqrt(j * (n - j))).sum() / (n * each * (1 - each)) for each in p])
    assert np.ptp(c / c.mean()) > 0.1
    found = [row(rows, "prompt_weight", f"prompt {b}") for b in range(3)]
    assert all(near(weight, each) for weight, each in zip(found, c / c.mean(), strict=True))
    assert not all(near(weight, 1.0) for weight in found)


def test_no_weights_where_gradients_of_prompts_are_dependent():
    block = block_of(np.ones(4), np.ones(4), 0)
    assert [*prompt_weights(block, np.array([[1.0, 0, 0, 0], [2.0, 0, 0, 0]]))] == []
    assert [*prompt_weights(block, np.array([[1.0, 0, 0, 0], [0.0, 0, 0, 0]]))] == []
    assert [*prompt_weights(block, None)] == []
    assert len([*prompt_weights(block, np.array([[1.0, 1, 0, 0], [0.0, 1, 1, 1]]))]) == 2


def test_weights_are_a_least_squares_fit():
    gradients = np.array([[1.0, 2, 0, 1], [0.0, 1, -1, 2], [3.0, 0, 1, 0]])
    block = block_of(np.array([2.0, 1.0, -1.0, 3.0]), gradients.mean(0), 0)
    fit = np.linalg.lstsq(gradients.T, block.moments.mean, rcond=None)[0]
    for number in range(3):
        found = part_weight(block, number, gradients)
        assert found is not None and found.value == pytest.approx(fit[number] / fit.mean(), rel=1e-9)


@pytest.mark.parametrize("settings", [{}, {"rate": 0.6, "states": 2}])
def test_length_and_entropy_of_an_automaton_are_those_of_its_sequences(settings):
    q: Any = law_of(
        Problem(distributions.get("automaton_policy", size=4, **settings), objectives.get("accepted_answers"))
    )[1]
    z = q.enumerate_support()
    log_law = q.log_prob(z)
    torch.testing.assert_close(q.mean_length(), (log_law.exp() * q.mask(z).sum(-1)).sum(0))
    torch.testing.assert_close(q.entropy(), -(log_law.exp() * log_law).sum(0))
    tree = PrefixPolicy.mean_length(q), PrefixPolicy.entropy(q)
    torch.testing.assert_close(tree, (q.mean_length(), q.entropy()))


@pytest.mark.parametrize(
    "name", ["grpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("group_mean", "rloo"))]
)
def test_score_functions_draw_from_the_policy_itself(name):
    """Tokens, dead groups and sample sizes as of a loss on-policy, though the family's behaviour differs."""
    problem = problem_with(logit_noise=1.0)
    rows = measured(problem, name)
    law, q = law_of(problem)
    length = (law * q.mask(q.enumerate_support()).sum(-1).movedim(0, -1)).sum(-1)
    assert near(row(rows, "generated_tokens"), float(K * length.sum()))
    p = (law * problem.family.right()).sum(-1)  # type: ignore[attr-defined]
    assert near(row(rows, "dead_groups"), float((p**K + (1 - p) ** K).mean()))
    assert row(rows, "effective_sample_size").value == pytest.approx(K)


def test_a_clip_counts_its_tokens():
    clipping: Any = {"ratio": "token", "limit": "clip", "baseline": "leave_one_out"}
    still = row(measured(problem_with(), **clipping), "clipped_share")
    assert still.value == still.ci_low == 0 and still.ci_high is not None and 0 < still.ci_high < 0.01
    off = measured(problem_with(logit_noise=0.5), **clipping)
    share, size = row(off, "clipped_share"), row(off, "effective_sample_size")
    assert share.ci_low is not None and share.ci_low > 0.05
    assert size.ci_high is not None and size.ci_high < K


def test_only_losses_over_rollouts_of_a_sequence_have_them():
    rows = measured(Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits")), "rloo")
    assert not ROLLOUT_METRICS & {each.metric for each in rows}
    other = {each.metric for each in measured(problem_with(), "exact", samples=1)}
    assert "length_slope" in other and "generated_tokens" not in other


def test_a_share_never_seen_allows_for_what_was_not_seen():
    assert interval_of("dead_groups", np.zeros(1000)).high == pytest.approx(3.8e-3, rel=0.05)
    assert interval_of("effective_sample_size", np.full(1000, 4.0)) == (4, 4, 4)


def block_of(mean: np.ndarray, g: np.ndarray, seed: int) -> Any:
    kept = Replicates({"all": slice(0, len(g))}, g, np.zeros(len(g)))
    noise = torch.randn(1024, len(g), generator=torch.Generator().manual_seed(seed)).double()
    kept.add(torch.tensor(mean) + noise)
    return kept.block("all")


def test_coverage_and_the_debiasing_of_the_length():
    # ‖E ĝ‖² = 0.4 and its noise is 200/1024 = 0.2: without debiasing the slope is a fifth too small.
    g = np.ones(200)
    mean, h, parts = g * (0.4 / 200) ** 0.5, g + np.cos(np.arange(200)), np.repeat(np.arange(4), 50)
    gradients = np.where(np.arange(4)[:, None] == parts, g, 0.0)
    truth = float(h @ mean / np.linalg.norm(mean))
    blocks = [block_of(mean, g, seed) for seed in range(150)]
    found = [slope_along_mean(block, h) for block in blocks]
    plain = [float(h @ b.moments.mean / np.linalg.norm(b.moments.mean)) for b in blocks]
    assert sum(each is not None and each.low <= truth <= each.high for each in found) > 127  # chance below 1e-6
    assert np.mean(plain) < 0.85 * truth
    weights = [part_weight(block, 1, gradients) for block in blocks]
    assert sum(each is not None and each.low <= 1 <= each.high for each in weights) > 127


def test_what_is_only_noise_has_no_slope():
    assert slope_along_mean(block_of(np.zeros(50), np.ones(50), 0), np.ones(50)) is None
