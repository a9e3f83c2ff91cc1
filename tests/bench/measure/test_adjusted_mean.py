"""Adjusted means keep every bias, with its size; what once hid a bias or raised a false alarm is tried as a mutant."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import estimators
from bench.distributions import distributions
from bench.distributions.bernoulli import BernoulliFamily
from bench.measure.accuracy import adjusted_mean, fitted_model
from bench.measure.accuracy.adjusted_mean import Adjustment, Covariates, adjustment, regression
from bench.measure.accuracy.recorded_draws import estimates_and_draws
from bench.measure.estimates.gradients import Gradients
from bench.objectives import objectives
from bench.problems.problem import Problem
from bench.provenance.seeds import chunk_seed
from bench.statistics.moments import Moments
from estimators import Need
from tests.support.adjusted import DEFECTS, RIGHT, DependentBits, Stopping, WrongBits, WrongSampler
from tests.support.problems import SYNTHETIC, small

BITS = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))
seed_of = partial(chunk_seed, 0, "cell")


def adjusted(gradients: Gradients, chunk: int = 256, *, detailed: bool = False) -> Adjustment | None:
    return adjustment(gradients, chunk, seed_of, np.full(gradients.problem.dim, 1e-13), detailed=detailed)


def means(gradients: Gradients, found: Adjustment, chunks: int = 64, rows: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """The adjusted mean less the plain one of other draws, and its standard error."""
    torch.manual_seed(1)
    after, before = (torch.cat([draw(rows) for _ in range(chunks)]).numpy() for draw in (found, gradients))
    error = np.sqrt((after.var(0) + before.var(0)) / len(after))
    return after.mean(0) - before.mean(0), error


def fit_problem(name: str) -> Problem:
    family = small(name)
    targets = (
        "squared_sum",
        "quadratic",
        "cosine",
        "tour",
        "digital_call",
        "european_call",
        "asian_call",
        "linear",
        "ranking_loss",
    )
    found = [Problem(family, objectives.get(target), family.coordinates[0]) for target in targets]
    return next(problem for problem in found if problem.misfit() is None)


QUICK_FAMILIES = {"bernoulli", "categorical", "normal", "poisson", "multivariate_normal", "transformer_policy"}
"""A family of each kind; `make test-all` walks all of them."""

QUICK_DETAILED = {"bernoulli_chain", "normal"}
"""Families whose detailed covariates are in the quick tests: few values of z, and a density."""


@pytest.mark.parametrize(
    ("name", "detailed"),
    [
        pytest.param(each, detailed, marks=[] if each in quick else pytest.mark.slow)
        for detailed, quick in ((False, QUICK_FAMILIES), (True, QUICK_DETAILED))
        for each in SYNTHETIC
    ],
)
def test_covariates_have_mean_zero_in_every_family_with_a_model(name, detailed):
    """The level is 1e-7 for each of about forty families, twice."""
    problem = fit_problem(name)
    gradients = Gradients(problem, estimators.get("reinforce"), 2)
    if adjusted_mean.fitted_model(problem, torch.float64, torch.device("cpu")) is None:
        return
    found = adjusted(gradients, detailed=detailed)
    assert found is not None
    torch.manual_seed(2)
    for _ in range(4):
        found(512)
    assert found.alarm(1e-7) is None


def test_what_has_no_moments_or_a_moving_support_has_no_model():
    def model(family: str, target: str) -> object:
        return fitted_model.fitted_model(
            Problem(small(family), objectives.get(target)), torch.float64, torch.device("cpu")
        )

    assert model("cauchy", "cosine") is None
    assert model("student_t", "cosine") is None
    assert model("uniform", "quadratic") is None
    assert model("normal", "cosine") is not None and model("bernoulli_chain", "squared_sum") is not None


def test_a_support_that_moves_would_be_an_alarm(monkeypatch):
    """Without the guard: scores do not average to zero where the support moves with θ."""
    problem = Problem(small("uniform"), objectives.get("quadratic"))
    gradients = Gradients(problem, estimators.get("reparameterisation"), 2)
    assert adjusted(gradients) is None
    monkeypatch.setattr(fitted_model, "Need", SimpleNamespace(DENSITY=Need.REPARAMETERISED))
    fitted_model.fitted_model.cache_clear()
    found = adjusted(gradients)
    fitted_model.fitted_model.cache_clear()
    assert found is not None
    for _ in range(4):
        found(512)
    assert "do not follow its density" in (found.alarm(1e-6) or "")


def test_without_moments_a_model_would_be_wrong(monkeypatch):
    """Without the guard: the mean of a Cauchy is no number, and a Student's t has no fourth moment."""
    cauchy, student = (
        Gradients(Problem(small(name), objectives.get("cosine")), RIGHT, 2) for name in ("cauchy", "student_t")
    )
    assert adjusted(cauchy) is None and adjusted(student) is None
    monkeypatch.setattr(fitted_model, "HIGHEST_MOMENT", 0)
    fitted_model.fitted_model.cache_clear()
    model = fitted_model.fitted_model(cauchy.problem, torch.float64, torch.device("cpu"))
    found = adjusted(student)
    fitted_model.fitted_model.cache_clear()
    assert model is not None and not bool(model.slope.isfinite().all())
    assert found is not None
    for _ in range(16):
        found(512)
    assert float(found.seen.kurtosis.max()) > 1000


def test_a_quadratic_is_its_own_model():
    """Nothing but rounding is left of REINFORCE, at any θ: the mean of a model is known there, too."""
    for family in ("normal", "multivariate_normal", "bernoulli", "dirichlet", "bernoulli_chain"):
        problem = Problem(small(family), objectives.get("squared_sum" if family != "dirichlet" else "quadratic"))
        found = adjusted(Gradients(problem, RIGHT, 2))
        assert found is not None and found.gain > 1e6, family


@pytest.mark.parametrize("detailed", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [pytest.param(each, marks=pytest.mark.slow if isinstance(each, Stopping) else []) for each in DEFECTS],
    ids=lambda each: type(each).__name__,
)
def test_a_bias_is_kept_with_its_size(estimator, detailed, monkeypatch):
    """Of chunks of two replicates, whether another draw is taken depends on their draws."""
    rows = 2 if isinstance(estimator, Stopping) else 256
    monkeypatch.setattr(adjusted_mean, "PILOT", 64 * rows)
    gradients = Gradients(BITS, estimator, 2)
    found = adjusted(gradients, rows, detailed=detailed)
    assert found is not None
    off, error = means(gradients, found, 256 if rows == 2 else 16, rows)
    assert (np.abs(off) < 5.5 * error).all()
    assert found.alarm(1e-6) is None


def gain(problem: Problem, estimator: str, *, detailed: bool) -> float:
    found = adjusted(Gradients(problem, estimators.get(estimator), 4), detailed=detailed)
    assert found is not None
    return found.gain


@pytest.mark.parametrize(
    ("family", "target", "estimator"),
    [
        ("normal", "quadratic", "independent_baseline"),  # half of the draws are baselines only, each of another draw
        ("bernoulli", "parity", "independent_baseline"),  # a quadratic model says nothing of a parity
        ("bernoulli", "parity", "local_expectation"),  # the score is summed out: what came up remains
        ("bernoulli", "parity", "rloo"),
    ],
)
def test_detailed_covariates_explain_what_an_estimator_does_with_its_draws(family, target, estimator):
    problem = Problem(distributions.get(family, size=3), objectives.get(target))
    assert gain(problem, estimator, detailed=False) < 3
    assert gain(problem, estimator, detailed=True) > 1e6


def test_a_level_for_each_datum_explains_what_a_common_baseline_leaves():
    """With a common level alone the gain is 46."""
    problem = Problem(distributions.get("normal_encoder"), objectives.get("digits_vae"), point="trained")
    found = adjusted(Gradients(problem, estimators.get("reinforce"), 2), 64, detailed=True)
    assert found is not None and found.gain > 500
    levels = found.covariates.model.levels
    assert levels.shape == (2, 20) and not levels[0].std() and levels[1].std() > 1


def test_a_value_that_hardly_comes_up_has_no_covariate():
    problem = Problem(OneRareBit(), objectives.get("squared_sum"))
    found = adjusted(Gradients(problem, estimators.get("local_expectation"), 2), detailed=True)
    assert found is not None and found.covariates.chances is not None
    assert ((found.covariates.chances > 0).flatten() == torch.tensor([True] * 4 + [False] * 4)).all()
    assert not found.weights[-4:].any()


def test_many_draws_have_no_detailed_covariates():
    gradients = Gradients(BITS, RIGHT, adjusted_mean.FEW_SAMPLES + 1)
    assert adjusted(gradients) is not None
    assert adjusted(gradients, detailed=True) is None


@pytest.mark.slow
def test_an_average_over_draws_that_stopped_would_hide_a_bias(monkeypatch):
    """The mutant divides by the number of draws that came, and not by a number fixed beforehand."""
    gradients = Gradients(BITS, Stopping(), 2)
    fixed = Covariates.__call__
    monkeypatch.setattr(adjusted_mean, "PILOT", 256)
    found = adjusted(gradients, 4)
    assert found is not None
    monkeypatch.setattr(Covariates, "__call__", lambda self, z: fixed(self, z) * self.draws / len(z))
    for _ in range(512):
        found(4)
    assert found.alarm(1e-6) is not None


OTHER_DRAWS = ("arm", "disarm", "antithetic", "quasi_monte_carlo", "off_policy", "rebar")


@pytest.mark.parametrize("name", OTHER_DRAWS)
def test_draws_that_are_not_of_q_are_not_recorded(name):
    assert estimates_and_draws(Gradients(BITS, estimators.get(name), 2), 4)[1] is None


@pytest.mark.parametrize("n", [3, 10])
def test_draws_of_a_minibatch_are_not_draws_of_q(n):
    """10 draws for 2 of 5 data have as many numbers as 4 draws for all data."""
    encoder = distributions.get("bernoulli_encoder", size=3, batch=5)
    vae = Problem(encoder, objectives.get("digits_vae"), "unconstrained", "start", minibatch=2)
    assert estimates_and_draws(Gradients(vae, estimators.get("reinforce"), n), 2)[1] is None


def test_a_wrong_sampler_has_no_covariates_and_would_be_hidden_by_draws_recorded_at_f(monkeypatch):
    gradients = Gradients(BITS, WrongSampler(), 2)
    assert adjusted(gradients) is None

    def at_f(gradients: Gradients, replicates: int) -> tuple[torch.Tensor, torch.Tensor]:
        own, seen = gradients.by(gradients.estimator), []

        def surrogate(parameters):
            own.function = estimators.Function(lambda z: (seen.append(z.detach()), BITS.objective.value(z))[1])
            return own.surrogate(parameters), seen

        in_parameters, drawn = torch.func.grad(surrogate, has_aux=True)(gradients.expanded(replicates))
        return gradients.pulled(in_parameters), torch.cat(drawn)

    monkeypatch.setattr(adjusted_mean, "estimates_and_draws", at_f)
    found = adjusted(gradients)
    assert found is not None
    off, error = means(gradients, found)
    assert (np.abs(off) > 5.5 * error).any()


def test_draws_with_a_further_axis_are_draws():
    gradients = Gradients(BITS, estimators.get("indecater"), 2)
    z = estimates_and_draws(gradients, 5)[1]
    assert z is not None and z.shape == (6, 5, 3)
    torch.manual_seed(0)
    plain = gradients(5)
    torch.manual_seed(0)
    assert torch.equal(estimates_and_draws(gradients, 5)[0], plain)


@pytest.mark.parametrize("detailed", [False, True])
def test_an_estimate_with_a_further_axis_keeps_its_mean(detailed):
    """Three times two draws: were the further axis read as replicates, covariates would be wrong or missing."""
    gradients = Gradients(BITS, estimators.get("indecater"), 2)
    found = adjusted(gradients, detailed=detailed)
    assert found is not None and found.covariates.draws == 6
    off, error = means(gradients, found, 8)
    assert (np.abs(off) < 5.5 * error).all()
    assert found.alarm(1e-6) is None


@pytest.mark.parametrize("said", [True, False])
def test_terms_of_pairs_need_independent_draws(said):
    """Where dependent draws are not declared, the test of the covariates' own mean finds them."""
    family = DependentBits(said=said)
    gradients = Gradients(Problem(family, objectives.get("squared_sum")), RIGHT, 2)
    found = adjusted(gradients)
    assert found is not None and found.covariates.crossed == (not said)
    for _ in range(8):
        found(512)
    assert (found.alarm(1e-6) is None) == said


def test_a_family_whose_draws_do_not_follow_its_density_is_an_alarm():
    for family, wrong in ((WrongBits(), True), (distributions.get("bernoulli", size=3), False)):
        found = adjusted(Gradients(Problem(family, objectives.get("squared_sum")), RIGHT, 2))
        assert found is not None
        for _ in range(8):
            found(512)
        assert ("do not follow its density" in (found.alarm(1e-6) or "")) == wrong


def test_covariates_that_are_rounding_get_no_weight():
    """Scores of mirrored draws cancel to 1e-17; a coefficient of them is as large as it is meaningless."""
    x = torch.randn(512, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = torch.stack([1e-17 * x.flip(0) + 1e-18, x + 0.1 * x.flip(0)], 1)
    none = torch.zeros(2, dtype=torch.bool)
    assert not regression(x, a, torch.full((2,), 1e-12), none)[0].any()
    assert regression(x, a, torch.zeros(2), none)[0].abs().min() > 1e12


def test_coefficients_of_rare_coordinates_are_those_of_all():
    x = torch.randn(512, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = torch.tensor([1.0, 1.0, 5.0], dtype=torch.float64)
    a = (x / slope).unsqueeze(1)
    floor, marked = torch.zeros(3), torch.tensor([False, False, True])
    alone = regression(x, a, floor, ~(marked | True))
    assert torch.allclose(alone[0], slope)
    assert float(regression(x, a, floor, marked)[0, 2]) < 2


def test_a_tempered_mean_has_the_gain_it_was_given_and_lighter_tails():
    """Of REINFORCE on an exponential a model leaves heavy tails: 25 κ replicates are more than the gain saves."""
    gradients = Gradients(Problem(small("normal"), objectives.get("exponential")), RIGHT, 4)
    found = adjusted(gradients)
    assert found is not None and found.gain > 100

    def drawn(draw) -> torch.Tensor:
        torch.manual_seed(3)
        return torch.cat([draw(2048) for _ in range(8)])

    plain, full, part = drawn(gradients), drawn(found), drawn(found.tempered(10.0))
    assert float(plain.var(0).sum() / part.var(0).sum()) == pytest.approx(10.0, rel=0.2)
    full_tail, part_tail = (float(Moments.of(each).kurtosis.max()) for each in (full, part))
    assert part_tail < full_tail / 4
    assert found.tempered(1e9) is found


@dataclass(frozen=True)
class OneRareBit(BernoulliFamily):
    """Three bits, the first of which is hardly ever 1."""

    name = "one_rare_bit"
    size: int = 3

    def theta(self, point: str, coordinates: str) -> dict[str, torch.Tensor]:
        return {"logits": torch.tensor([-14.0, 0.0, 1.0], dtype=torch.float64)}


def test_an_outcome_that_did_not_come_up_raises_no_alarm(monkeypatch):
    """Its covariate varies through the other bits, and its mean waits for the outcome."""
    found = adjusted(Gradients(Problem(OneRareBit(), objectives.get("squared_sum")), RIGHT, 2))
    assert found is not None
    torch.manual_seed(4)
    for _ in range(4):
        found(512)
    assert found.alarm(1e-6) is None
    monkeypatch.setattr(adjusted_mean, "rare_outcomes", lambda *given: None)
    assert found.alarm(1e-6) is not None
