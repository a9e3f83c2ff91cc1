"""A distribution built again at its own parameters is the same one: the same log-density, and the same seeded draws.

Every class of torch.distributions and every family of the suite is walked, and classes that users write.
"""

import inspect

import pytest
import torch
import torch.distributions as td
from torch.distributions import Distribution, Independent, Normal

import estimators
from bench.advice.model_file import load_model
from bench.advice.roads import no_batch
from bench.distributions import distributions
from estimators import BadInput, Function, unmet
from estimators.tools.parameters import base, parameters, rebuild
from tests.support.problems import small


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


PAIR = double(0.6, 1.4)
CHANCES = double(0.2, 0.7)
SIMPLEX = double(0.2, 0.3, 0.5)
SQUARE = double(1.0, 0.3, 0.3, 2.0).reshape(2, 2)

TORCH = {
    "Bernoulli": lambda: td.Bernoulli(CHANCES),
    "Beta": lambda: td.Beta(PAIR, 2 * PAIR),
    "Binomial": lambda: td.Binomial(7, CHANCES),
    "Categorical": lambda: td.Categorical(SIMPLEX),
    "Cauchy": lambda: td.Cauchy(PAIR, 2 * PAIR),
    "Chi2": lambda: td.Chi2(PAIR),
    "ContinuousBernoulli": lambda: td.ContinuousBernoulli(CHANCES, lims=(0.4, 0.6)),
    "Dirichlet": lambda: td.Dirichlet(SIMPLEX),
    "Exponential": lambda: td.Exponential(PAIR),
    "FisherSnedecor": lambda: td.FisherSnedecor(PAIR, 3 * PAIR),
    "Gamma": lambda: td.Gamma(PAIR, 2 * PAIR),
    "GeneralizedPareto": lambda: td.GeneralizedPareto(*(PAIR.float() * k for k in (1, 2, 0.1))),
    "Geometric": lambda: td.Geometric(CHANCES),
    "Gumbel": lambda: td.Gumbel(PAIR, 2 * PAIR),
    "HalfCauchy": lambda: td.HalfCauchy(PAIR),
    "HalfNormal": lambda: td.HalfNormal(PAIR),
    "Independent": lambda: Independent(Independent(Normal(PAIR.expand(3, 2), 1.5), 1), 1),
    "InverseGamma": lambda: td.InverseGamma(PAIR, 2 * PAIR),
    "Kumaraswamy": lambda: td.Kumaraswamy(PAIR, 2 * PAIR),
    "LKJCholesky": lambda: td.LKJCholesky(4, PAIR),
    "Laplace": lambda: td.Laplace(PAIR, 2 * PAIR),
    "LogNormal": lambda: td.LogNormal(PAIR, 2 * PAIR),
    "LogisticNormal": lambda: td.LogisticNormal(PAIR, 2 * PAIR),
    "LowRankMultivariateNormal": lambda: td.LowRankMultivariateNormal(PAIR, SQUARE[:, :1], CHANCES),
    "Multinomial": lambda: td.Multinomial(10, SIMPLEX),
    "MultivariateNormal": lambda: td.MultivariateNormal(PAIR, precision_matrix=SQUARE),
    "NegativeBinomial": lambda: td.NegativeBinomial(5.0, CHANCES),
    "Normal": lambda: Normal(PAIR, 2 * PAIR),
    "OneHotCategorical": lambda: td.OneHotCategorical(SIMPLEX),
    "OneHotCategoricalStraightThrough": lambda: td.OneHotCategoricalStraightThrough(SIMPLEX),
    "Pareto": lambda: td.Pareto(PAIR, 2 * PAIR),
    "Poisson": lambda: td.Poisson(PAIR),
    "RelaxedBernoulli": lambda: td.RelaxedBernoulli(double(0.3), CHANCES),
    "RelaxedOneHotCategorical": lambda: td.RelaxedOneHotCategorical(double(0.3), SIMPLEX),
    "StudentT": lambda: td.StudentT(3 * PAIR, PAIR, 2 * PAIR),
    "Uniform": lambda: td.Uniform(PAIR, 2 * PAIR),
    "VonMises": lambda: td.VonMises(PAIR, 2 * PAIR),
    "Weibull": lambda: td.Weibull(PAIR, 2 * PAIR),
    "Wishart": lambda: td.Wishart(double(4.0), SQUARE),
}

NONE_TO_REBUILD = {
    "Distribution": "abstract",
    "ExponentialFamily": "abstract",
    "MixtureSameFamily": "made of other distributions, whose parameters it does not name",
    "TransformedDistribution": "made of other distributions, whose parameters it does not name",
}


def test_every_class_of_torch_is_walked():
    there = {name for name, cls in vars(td).items() if inspect.isclass(cls) and issubclass(cls, Distribution)}
    assert there == {*TORCH, *NONE_TO_REBUILD}


@pytest.mark.parametrize("name", TORCH)
def test_a_distribution_of_torch_built_again_is_the_same(name):
    same(TORCH[name]())


@pytest.mark.parametrize("name", distributions.available())
def test_a_distribution_of_the_suite_built_again_is_the_same(name):
    family = small(name)
    coordinates = family.coordinates[0]
    q = family.build(family.encode(family.theta(family.points[0], coordinates), coordinates))
    if not base(q).arg_constraints:
        pytest.skip("names no parameters")
    same(q, family.tractable_density)


def same(q, tractable=True):
    again = rebuild(q, parameters(q))
    batch = rebuild(q, {name: value.expand(3, *value.shape) for name, value in parameters(q).items()})
    assert type(base(again)) is type(base(q))
    assert (again.batch_shape, again.event_shape) == (q.batch_shape, q.event_shape)
    assert (batch.batch_shape, batch.event_shape) == ((3, *q.batch_shape), q.event_shape)
    z, twin = (seeded(each) for each in (q, again))
    assert torch.allclose(z, twin, rtol=1e-6, atol=0)
    if tractable:
        assert torch.allclose(q.log_prob(z), again.log_prob(z), rtol=1e-6, atol=1e-9)
        alike = batch.log_prob(z.unsqueeze(1).expand(-1, 3, *z.shape[1:]))
        assert torch.allclose(q.log_prob(z).unsqueeze(1).expand_as(alike), alike, rtol=1e-6, atol=1e-9)


def seeded(q):
    torch.manual_seed(0)
    return q.sample((20,))


def test_a_multinomial_keeps_its_number_of_trials():
    """A model of ten draws was measured as a model of a single draw."""
    q = td.Multinomial(10, logits=double(0.2, -0.3, 0.5))
    assert torch.allclose(rebuild(q, parameters(q)).mean, q.mean)
    assert float(q.mean.sum()) == pytest.approx(10)


class Open(Normal):
    """Passes on whatever it is given."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class WithoutValidation(Normal):
    def __init__(self, loc, scale):
        super().__init__(loc, scale)


class Tilted(Normal):
    """With a constant that its density depends on."""

    def __init__(self, loc, scale, tilt=0.0, validate_args=None):
        self.tilt = tilt
        super().__init__(loc, scale, validate_args=validate_args)

    def log_prob(self, value):
        return super().log_prob(value - self.tilt)


class ByProbs(td.Bernoulli):
    def __init__(self, probs):
        super().__init__(probs=probs)


@pytest.mark.parametrize(
    "q", [Open(PAIR, 2 * PAIR), WithoutValidation(PAIR, PAIR), Tilted(PAIR, PAIR, tilt=2.0), ByProbs(CHANCES)]
)
def test_a_users_class_built_again_is_the_same(q):
    same(q)


class Forgetful(Normal):
    """Keeps its constant under another name."""

    def __init__(self, loc, scale, tilt=0.0, validate_args=None):
        self.by = tilt
        super().__init__(loc, scale, validate_args=validate_args)


class Late(Normal):
    """Its density depends on what is set after it was made."""

    tilt = 0.0

    def log_prob(self, value):
        return super().log_prob(value - self.tilt)


class OfInput(Normal):
    """Computes its parameters."""

    def __init__(self, x):
        super().__init__(x.sin(), x.exp())


@pytest.mark.parametrize(("q", "word"), [(Forgetful(PAIR, PAIR, tilt=2.0), "'tilt'"), (OfInput(PAIR), "'loc'")])
def test_what_cannot_be_read_off_is_refused_in_a_sentence(q, word):
    with pytest.raises(BadInput, match=f"{type(q).__name__} cannot be built at other parameters: .*{word}"):
        rebuild(q, parameters(q))


def test_a_model_whose_distribution_is_not_the_same_when_built_again_is_measured_step_by_step(tmp_path):
    """Its density, and not the constructor's names alone, is compared before many replicates are drawn at once."""
    (tmp_path / "model.py").write_text(
        """import torch
from tests.estimators.test_rebuild import Late
parameters = torch.tensor([0.5])
def distribution(loc):
    q = Late(loc, 1.0)
    q.tilt = 2.0
    return q
def objective(z): return z ** 2
"""
    )
    assert "gives other draws or another log-density" in (no_batch(load_model(tmp_path / "model.py")) or "")


class Doubled(Normal):
    """Its constructor changes the scale that it is given."""

    def __init__(self, loc, scale, by=2.0, validate_args=None):
        self.by = by
        super().__init__(loc, scale * by, validate_args=validate_args)


class Flipped(td.Bernoulli):
    def __init__(self, logits, flip=False, validate_args=None):
        self.flip = flip
        super().__init__(logits=logits * (-1 if flip else 1), validate_args=validate_args)


@pytest.mark.parametrize("q", [Doubled(PAIR, PAIR), Flipped(PAIR, flip=True)])
@pytest.mark.parametrize("name", ["optimal_coefficient", "off_policy", "nvil"])
def test_a_constructor_that_changes_what_it_is_given_is_refused_and_not_measured_as_another_law(q, name):
    """Built again, it would change the parameters once more: optimal_coefficient's mean was .31 in place of 2.76."""
    f = Function(lambda z: z.square())
    assert unmet(estimators.get(name), q, f, 8) is not None
    assert unmet(estimators.get("rloo"), q, f, 8) is None
    before = torch.get_rng_state()
    with pytest.raises(BadInput, match=f"{type(q).__name__} is another distribution when it is built again"):
        rebuild(q, parameters(q))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("q", [Doubled(PAIR, PAIR, by=1.0), Flipped(PAIR)])
def test_a_constructor_that_keeps_what_it_is_given_is_not_refused(q):
    same(q)


def test_trials_that_differ_between_variables_are_no_error():
    """torch does not enumerate them: all estimators raised NotImplementedError."""
    q = Independent(td.Binomial(double(6, 3), logits=PAIR), 1)
    f = Function(lambda z: z.square().sum(-1))
    assert unmet(estimators.get("rloo"), q, f, 8) is None
    assert unmet(estimators.get("exact"), q, f, 8) == "needs a support small enough to enumerate"
