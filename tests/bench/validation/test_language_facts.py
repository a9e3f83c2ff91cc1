"""Facts about losses over rollouts: each is rejected with a wrong part; the page of the arguments."""

from dataclasses import replace

import pytest
import torch

from bench.problems.rollout_moments import rollout_moments
from bench.validation.facts import FACTS
from bench.validation.facts.all_rollouts import enumerated_mean, enumerated_variance, over_rollouts, small_problem
from bench.validation.facts.arguments import ARGUMENTS, arguments_page
from bench.validation.facts.fact import Check
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.off_policy_errors import OFF_POLICY, AllAnswers
from bench.validation.facts.record import FactRecord
from bench.validation.facts.rollout_checks import is_vector, part_along
from bench.validation.facts.sampler import Sampler
from estimators.policy import aggregates, baselines, filters, kl, limits, ratios, scales, sets

LANGUAGE = [name for name, each in FACTS.items() if each.group == "language"]


def strictly_clipped(ratio, advantage, log_probs, bounds):
    """A clip without a gradient at the ratio 1."""
    return (ratio * 0 + 1) * advantage


def without_an_upper_bound_of_its_own(ratio, advantage, log_probs, bounds):
    """A clip with the lower bound's distance on both sides."""
    return limits.clipped(ratio, advantage, log_probs, limits.Bounds(bounds.low, 2 - bounds.low, bounds.dual))


def clamped_above_one(ratio, advantage, log_probs, bounds):
    """A clamp at 1 + high, not at high."""
    return ratio.clamp(bounds.low, 1 + bounds.high).detach() * advantage * log_probs


MUTANTS = {
    "a_group_s_mean_shrinks_the_gradient": (baselines.BASELINE_PARTS, "group_mean", baselines.leave_one_out),
    "a_group_s_deviation_weighs_prompts_by_difficulty": (scales.SCALE_PARTS, "group", scales.by_batch),
    "dropping_equal_groups_tilts_towards_even_odds": (filters.FILTER_PARTS, "drop", filters.all_groups),
    "which_kl_term_is_the_gradient_of_which_divergence": (kl.KL_FORMS, "k2", torch.square),
    "kl_terms_of_single_tokens_lack_later_tokens": (kl.KL_FORMS, "k3", torch.square),
    "off_policy_kl_in_the_reward": (ratios.RATIO_PARTS, "sequence", ratios.of_prefix),
    "the_angle_of_kl_terms_by_distance": (kl.KL_FORMS, "k3", kl.k1),
    "means_over_tokens_turn_the_gradient": (aggregates.AGGREGATE_PARTS, "sequence_mean", aggregates.token_sum),
    "what_one_over_length_does_to_length": (aggregates.AGGREGATE_PARTS, "sequence_mean", aggregates.token_sum),
    "sequence_ratios_are_unbiased_and_token_ratios_are_not": (ratios.RATIO_PARTS, "sequence", ratios.of_token),
    "a_ratio_of_one_has_reinforce_s_gradient": (limits.LIMIT_PARTS, "clip", strictly_clipped),
    "no_ratio_mends_what_is_never_drawn": (ratios.RATIO_PARTS, "sequence", ratios.of_token),
    "a_constant_reward_changes_clipped_and_averaged_losses": (ratios.RATIO_PARTS, "token", ratios.geometric),
    "weights_of_pass_at_k_are_unbiased": (sets.SET_PARTS, "plain", sets.best_of_less_others),
    "what_clip_higher_does_to_entropy": (limits.LIMIT_PARTS, "clip", without_an_upper_bound_of_its_own),
    "no_correction_has_the_least_error_everywhere": (ratios.RATIO_PARTS, "sequence", ratios.of_token),
    "limits_at_published_settings_and_at_defaults": (limits.LIMIT_PARTS, "detached", clamped_above_one),
}
"""For each fact a part of the losses, and a wrong one in its place."""


def test_every_fact_has_a_mutant():
    assert set(MUTANTS) == set(LANGUAGE)


SLOW = (
    "what_clip_higher_does_to_entropy",
    "no_correction_has_the_least_error_everywhere",
    "limits_at_published_settings_and_at_defaults",
)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if each in SLOW else ()) for each in LANGUAGE]
)
def test_a_wrong_part_is_rejected(name, monkeypatch):
    parts, which, wrong = MUTANTS[name]
    monkeypatch.setitem(parts, which, wrong)
    checks = (each for each in FACTS[name].measure(Sampler(name, quick=True)) if isinstance(each, Check))
    assert any(not check.holds for check in checks)


def test_draws_from_another_policy_are_rejected(monkeypatch):
    """The measured half has power without the other: the enumeration does not see who draws."""
    name = "off_policy_kl_in_the_reward"
    monkeypatch.setattr("estimators.policy.policy_gradient.drawn_from", lambda q, n: q.sample((n,)))
    checks = [each for each in FACTS[name].measure(Sampler(name)) if isinstance(each, Check)]
    assert any("measured" in check.what and not check.holds for check in checks)
    assert all(check.holds for check in checks if "measured" not in check.what)


@pytest.mark.parametrize("settings", [{}, {"logit_noise": 0.5}, {"top_p": 0.7}], ids=str)
def test_enumerated_moments_are_those_of_single_rollouts(settings):
    problem, loss = small_problem(**settings), over_rollouts(ratio="token", limit="clip")
    expected = rollout_moments(problem, loss)
    assert is_vector("mean", expected.mean, enumerated_mean(problem, loss)).holds
    if not settings.get("top_p"):
        assert enumerated_variance(problem, loss) == pytest.approx(float(expected.variance.sum()), rel=1e-9)


def test_errors_off_policy_are_those_of_single_rollouts():
    problem = small_problem("transformer_policy", prompts=1, law="long", logit_noise=0.5)
    where = AllAnswers(problem.family)  # pyright: ignore[reportArgumentType]
    loss = over_rollouts(ratio="prefix")
    expected, found = rollout_moments(where.problem, loss), where.exact(OFF_POLICY["prefix ratio"])
    assert is_vector("mean", expected.mean, found.mean).holds
    assert found.variance == pytest.approx(float(expected.variance.sum()), rel=1e-9)
    assert where.exact(OFF_POLICY["sequence ratio"]).error(10**12) < 1e-6 < found.error(10**12)


def test_the_page_of_the_arguments(tmp_path):
    assert {name for each in ARGUMENTS for name in each.facts} <= set(LANGUAGE)
    assert arguments_page({}, tmp_path) is None
    name = "a_group_s_deviation_weighs_prompts_by_difficulty"
    point = GridPoint("weight ÷ c(p, K)", "K = 2", 0.5, 1.0).with_draws(1.01, 0.1)
    point = replace(point, low=0.9, high=1.1)
    record = FactRecord(name, "reproduced", "", [], [], "digest", 0, False, rows=[points_table([point])])
    page = arguments_page({name: record}, tmp_path)
    assert page is not None
    text = page.read_text()
    assert "Dr. GRPO, arXiv 2503.20783" in text
    assert "measured: 1.01 (0.9 to 1.1) at p = 0.5" in text
    assert "4 claims" not in text and "of 6 claims" in text.lower()
    page.write_text("as it was")
    assert arguments_page({name: record}, tmp_path) is None, "a page of more arguments is not replaced by one of fewer"
    assert page.read_text() == "as it was"
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_direction_without_noise_is_measured_to_rounding():
    sample = torch.randn(1000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sample[:, 0] = 0.1 + 0.2  # not 0.3
    along = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
    value, error = part_along(sample, along)
    assert value != 1 and value - error <= 1 <= value + error < 1 + 1e-6
