"""An evidence with a plain torch distribution, validation on, in a plain loop: every estimator runs, and is right."""

import pytest
import torch
from torch.distributions import Bernoulli, Binomial, Independent, Normal, OneHotCategorical, Poisson

import estimators
from estimators import BadInput, Evidence, Function, ImportanceBound, Need, log_density
from estimators.needs import OF_SETS
from estimators.tools.parameters import base, logits, unvalidated
from tests.support.evidences import VALIDATED, backwards, draws, example, examples, fitted, fitting, pairs
from tests.support.exactness import assert_unbiased

HEAVY = {("discrete_vae", "exact")}
STEPPING = {"finite_differences", "spsa"}
UNDIFFERENTIATED = {(name, case) for name in ("lax", "nvil") for case in ("Beta", "Dirichlet")}
"""torch's Beta and Dirichlet are not drawn under torch.func, by which these two are fitted."""
UNTRACED = {(name, file) for name in ("lax", "nvil") for file in ("simulator", "noisy_simulator")}
"""An objective in numpy has no values under torch.func, by which these two are fitted."""
PAIRS = [
    pytest.param(name, case, marks=[] if quick else pytest.mark.slow, id=f"{name}, {case}")
    for name, case, quick in pairs()
]


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_every_estimator_is_right_on_an_evidence_of_a_validated_distribution(name, case):
    """One step without a batch; then, where it is unbiased, 4,000 replicates against the exact gradient."""
    evidence, estimator = VALIDATED[case], estimators.get(name)
    build, parameters, f = evidence.case
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    torch.manual_seed(1)
    if name in STEPPING and case == "Dirichlet":  # on whose simplex there is no step of one coordinate
        with pytest.raises(BadInput, match="outside the support"):
            backwards(estimator, evidence.case, 1000)
        return
    estimator = fitted(estimator, build(**parameters), f, 0 if (name, case) in UNDIFFERENTIATED else 5)
    surrogate = estimator.surrogate(build(**leaves), f, draws(estimator))
    assert surrogate.shape == build(**leaves).batch_shape
    surrogate.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves.values())
    if estimator.traits.unbiased:
        assert_unbiased(backwards(estimator, evidence.case, 4_000), evidence.exact, resolution=0.4)


class ByHand(Evidence):
    """The same evidence with log q written out: linear between one-hot values, z·logit − softplus(logit) of bits."""

    def log_q(self, z, q):
        inner, phi = base(q), logits(q)
        bits = isinstance(inner, Bernoulli)
        values = z * phi - torch.nn.functional.softplus(phi) if bits else (z * phi).sum(-1)
        return values.sum(-1) if len(q.event_shape) > len(inner.event_shape) else values

    def __call__(self, z, q):
        return self.log_joint(z) - self.log_q(z, q)

    def held(self, z, q):
        return self.log_joint(z) - self.log_q(z, q).detach()

    def hold(self, value, z, q):
        return value + self.log_q(z, q) - self.log_q(z, q).detach()


@pytest.mark.parametrize("case", ["bits", pytest.param("one-hot", marks=pytest.mark.slow), "one-hot rows"])
def test_relaxed_draws_meet_the_linear_extension_of_log_q(case):
    """Every estimator, the biased ones too, gives draw by draw what the formula by hand gives."""
    build, parameters, f = VALIDATED[case].case
    found = [name for name in estimators.available() if case in fitting(estimators.get(name))]
    assert {"rebar", "relax", "gumbel_softmax", "muprop", "reinmax"} <= set(found)
    for name in found:
        estimator, both = estimators.get(name), []
        for objective in (f, ByHand(VALIDATED[case].log_joint)):
            torch.manual_seed(2)
            tuned = fitted(estimator, build(**parameters), objective, 3)
            both.append(backwards(tuned, (build, parameters, objective), 20))
        torch.testing.assert_close(*both, msg=lambda m: f"{name}: {m}")  # noqa: B023


@pytest.mark.parametrize("name", ["rebar", "relax", "rebar_fitted"])
def test_rebar_on_one_hot_variables_that_torch_itself_builds(name):
    """torch's own log-density takes an argmax: with it these have mean (.081, −.082, .000), whose test fails."""
    evidence = VALIDATED["one-hot"]
    torch.testing.assert_close(evidence.exact, torch.tensor([0.282, 0.011, -0.293]).double(), atol=5e-4, rtol=0)
    build, parameters, f = evidence.case
    torch.manual_seed(0)
    estimator = fitted(estimators.get(name), build(**parameters), f, 30)
    assert_unbiased(backwards(estimator, evidence.case, 10_000), evidence.exact, resolution=0.03)


@pytest.mark.parametrize("name", ["rebar", "relax", "gumbel_softmax", "muprop", "simple_muprop", "delta_method"])
def test_the_discrete_vae_trains_with_validation_on(name):
    """delta_method too, whose need is a Gaussian: its mean and variance are those of independent bits as well."""
    assert trained("discrete_vae", name) is None


def trained(file, name):
    """Two steps of ascent in a plain loop; all parameters move and stay finite."""
    found, estimator = example(file), estimators.get(name)
    leaves = {key: value.detach().clone().requires_grad_() for key, value in found.start.items()}
    optimiser = torch.optim.SGD(leaves.values(), lr=1e-3)
    torch.manual_seed(0)
    estimator = fitted(estimator, found.q(found.start), found.f, 0 if (name, file) in UNTRACED else 2)
    for _ in range(2):
        optimiser.zero_grad()
        (-estimator.surrogate(found.q(leaves), found.f, draws(estimator)).sum()).backward()
        optimiser.step()
    assert all(leaf.isfinite().all() for leaf in leaves.values())
    moved = [not torch.equal(leaf, found.start[key]) for key, leaf in leaves.items()]
    assert all(moved) or file == "token_policy"  # a reward of 0 at all draws moves nothing


@pytest.mark.parametrize(
    ("file", "name"),
    [
        pytest.param(
            file, name, marks=[] if quick and (file, name) not in HEAVY else pytest.mark.slow, id=f"{file}, {name}"
        )
        for file, name, quick in examples()
    ],
)
def test_every_estimator_that_fits_trains_the_examples(file, name):
    trained(file, name)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: OneHotCategorical(logits=x),
        lambda x: Bernoulli(logits=x),
        lambda x: Poisson(x.exp()),
        lambda x: Binomial(6, logits=x),
    ],
    ids=["OneHotCategorical", "Bernoulli", "Poisson", "Binomial"],
)
def test_at_the_values_of_z_log_density_is_torchs(made):
    q = made(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double())
    z = q.sample((50,))
    assert torch.equal(log_density(q, z), q.log_prob(z))
    assert log_density(q, 0.9 * z).isfinite().all()


def test_a_category_of_probability_0_adds_nothing_to_relaxed_draws():
    phi = torch.tensor([0.3, -torch.inf, 1.0], requires_grad=True)
    z = torch.tensor([0.4, 0.0, 0.6], requires_grad=True)
    value = log_density(OneHotCategorical(logits=phi), z)
    value.backward()
    masked = torch.log_softmax(torch.tensor([0.3, 1.0]), -1)
    torch.testing.assert_close(value, 0.4 * masked[0] + 0.6 * masked[1])
    for leaf in (z, phi):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    assert log_density(OneHotCategorical(logits=phi), torch.tensor([0.4, 0.2, 0.4])) == -torch.inf


def test_the_bound_of_several_draws_takes_relaxed_draws():
    q = Independent(OneHotCategorical(logits=torch.zeros(2, 3)), 1)
    bound = ImportanceBound(lambda z: z.sum((-1, -2)), draws=2)
    z = torch.full((1, 2, 2, 3), 1 / 3)
    torch.testing.assert_close(bound(z, q), torch.tensor([2 + 2 * torch.tensor(3.0).log()]))


def test_validation_is_left_as_it_was():
    q = Independent(Bernoulli(logits=torch.zeros(2)), 1)
    log_density(q, torch.full((2,), 0.5))
    assert q.base_dist._validate_args
    assert unvalidated(Normal(0.0, 1.0, validate_args=False)) is not None
    with pytest.raises(ValueError, match="within the support"):
        q.log_prob(torch.full((2,), 0.5))


@pytest.mark.parametrize("of", [Evidence, Function])
def test_a_prior_that_refuses_relaxed_draws_gets_a_sentence(of):
    """The prior is the user's own: `log_density` takes it between the bits, torch's `log_prob` does not."""
    q, prior = Independent(Bernoulli(logits=torch.zeros(2)), 1), Independent(Bernoulli(logits=torch.ones(2)), 1)
    with pytest.raises(BadInput, match="log_density"):
        estimators.get("rebar").surrogate(q, of(prior.log_prob), 2)
    estimators.get("rebar").surrogate(q, of(lambda z: log_density(prior, z)), 2)
    with pytest.raises(ValueError, match="another"):
        estimators.get("rloo").surrogate(q, of(fails), 2)


def fails(z):
    raise ValueError("another")


def test_the_walk_is_complete():
    """All but those of several draws, of a location alone, of terms, or of steps fit an evidence here."""
    left = [estimators.get(name) for name in estimators.available() if not fitting(estimators.get(name))]
    special = {*OF_SETS, Need.LOCATION, Need.TERMS, Need.STEPS}
    assert all(special & each.traits.needs for each in left)
