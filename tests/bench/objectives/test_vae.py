"""The digits VAE's exact bound, and estimates against its exact gradient in the encoder's weights."""

import itertools

import pytest
import torch
from torch.distributions import Bernoulli, Independent

import estimators
from bench.distributions import distributions
from bench.distributions.amortised import BernoulliEncoder, CategoricalEncoder, NormalEncoder
from bench.measure.estimates.gradients import Gradients
from bench.objectives.latents import Bits
from bench.objectives.vae import DigitsVae, bound, log_joint
from bench.plugins.settings import identifying
from bench.problems.exact import climb, enumeration, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.errors import BadInput
from tests.support.exactness import assert_unbiased, assert_unbiased_on

VAE = DigitsVae()


def encoder(size=32, batch=20):
    return BernoulliEncoder(size=size, batch=batch)


def problem(point, size=32, batch=20):
    return Problem(encoder(size, batch), VAE, point=point)


def exact_bound(which, theta):
    return which.reduce(VAE.expectation(which.family, which.point, which.encode(theta)))


def exact_gradient(which):
    return torch.func.grad(lambda theta: exact_bound(which, theta))(which.theta())


def test_bound_is_the_enumeration_at_8_bits():
    which, family = problem("start", size=8, batch=3), encoder(size=8, batch=3)
    logits = which.encode(which.theta())["logits"]
    q = Independent(Bernoulli(logits=logits), 1)
    z = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).double()[:, None, :].expand(-1, 3, -1)
    value = log_joint(z, family.images(), VAE.decoder(family, "start"), Bits()) - q.log_prob(z)
    enumerated = (q.log_prob(z).exp() * value).sum(0)
    exact = VAE.expectation(family, "start", {"logits": logits})
    assert exact is not None
    assert torch.allclose(exact, enumerated, rtol=0, atol=1e-11)


def test_halving_the_panels_changes_nothing_at_the_trained_point():
    which, family = problem("trained", batch=4), encoder(batch=4)
    decoder = VAE.decoder(family, "trained")

    def gradient(level):
        def of(theta):
            return bound(which.encode(theta), family.images(), decoder, Bits(), level).mean()

        return torch.func.grad_and_value(of)(which.theta())

    (once, value), (twice, again) = gradient(0), gradient(1)
    assert float(value) == pytest.approx(float(again), rel=1e-11)
    assert (as_vector(once) - as_vector(twice)).norm() < 1e-11 * as_vector(once).norm()


def test_training_raised_the_bound():
    """The committed point, on the minibatch it is measured on; −45.50 before training."""
    assert float(exact_bound(problem("start"), problem("start").theta())) == pytest.approx(-45.499026, abs=1e-5)
    assert float(exact_bound(problem("trained"), problem("trained").theta())) > -21


@pytest.mark.parametrize(("name", "point"), [("rloo", "start"), ("rloo", "trained"), ("disarm", "trained")])
def test_unbiased_estimators_agree_with_the_exact_gradient(name, point):
    torch.manual_seed(0)
    which = problem(point, batch=4)
    gradients = Gradients(which, estimators.get(name), samples=8)
    sample = torch.cat([gradients(250) for _ in range(12)])
    seen = rarer_outcomes(which) * 8 * len(sample) > 25
    assert seen.double().mean() > 0.95
    assert_unbiased(sample[:, seen], as_vector(exact_gradient(which))[seen], resolution=0.08)


def rarer_outcomes(which):
    """How often, per draw, the rarer value of a bit shows in each coordinate: a z-test needs to have seen some."""
    x, probs = which.family.images(), which.encode(which.theta())["logits"].sigmoid()
    rarer = torch.minimum(probs, 1 - probs)
    in_weights = torch.where(x.sum(0) > 0, rarer.T @ x, 1.0)
    return as_vector({"weight": in_weights, "bias": rarer.sum(0)})


@pytest.mark.parametrize("family", [CategoricalEncoder(size=4, categories=3, batch=2), NormalEncoder(size=3, batch=2)])
def test_other_latents_bound_is_the_mean_of_f(family):
    """Independent draws: |z| < 5.5 for every image, and the divergence by torch's own formulas is the same."""
    torch.manual_seed(0)
    which = Problem(family, VAE, point="start")
    q = which.build(which.encode(which.theta()))
    z = q.sample((20_000,))
    value = which.function(z)(z, q)
    exact = VAE.expectation(family, "start", which.encode(which.theta()))
    assert exact is not None
    assert ((value.mean(0) - exact).abs() < 5.5 * value.std(0) / 20_000**0.5).all()
    assert (value.std(0) / 20_000**0.5 < 0.02 * exact.abs()).all()


@pytest.mark.parametrize("family", [CategoricalEncoder(size=4, categories=3, batch=2), NormalEncoder(size=3, batch=2)])
def test_other_latents_estimates_agree_with_the_exact_gradient(family):
    torch.manual_seed(0)
    which = Problem(family, VAE, point="start")
    sample = Gradients(which, estimators.get("rloo"), samples=8)(4_000)
    assert_unbiased(sample, as_vector(exact_gradient(which)), resolution=0.08)


def test_one_hot_variables_are_enumerated_too():
    which = Problem(CategoricalEncoder(size=4, categories=3, batch=2), VAE, point="start")
    by_states = climb(which, enumeration, "enumeration")
    assert by_states is not None
    assert torch.allclose(as_vector(by_states.gradient), as_vector(exact_gradient(which)), rtol=1e-9, atol=1e-13)


def test_a_hidden_layer_is_enumerated():
    which = Problem(encoder(size=6, batch=2), DigitsVae(hidden=5), point="start")
    exact = reference(which)
    assert exact is not None
    assert exact.method == "enumeration"
    assert_unbiased_on(which, "rloo", 8, 4_000, resolution=0.08)


@pytest.mark.parametrize(
    ("family", "hidden"), [(CategoricalEncoder(), 0), (NormalEncoder(), 0), (BernoulliEncoder(size=10), 32)]
)
def test_every_committed_point_is_better_than_the_start(family, hidden):
    torch.manual_seed(0)
    mean = {}
    for point in ("start", "trained"):
        which = Problem(family, DigitsVae(hidden=hidden), point=point)
        q = which.build(which.encode(which.theta()))
        z = q.sample((200,))
        mean[point] = float(which.function(z)(z, q).mean())
    assert mean["trained"] > -25 > -40 > mean["start"]


def test_f_is_differentiable_between_the_bits():
    which = problem("trained", batch=2)
    q = which.build(which.encode(which.theta()))
    z = torch.full((2, 32), 0.3).double().requires_grad_()
    which.function(z)(z, q).sum().backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert (z.grad != 0).all()


def test_float32():
    which = problem("trained", batch=2)
    parameters = {name: value.float() for name, value in which.encode(which.theta()).items()}
    z = which.build(parameters).sample((3,))
    value = which.function(z)(z, which.build(parameters))
    assert value.dtype == torch.float32
    assert value.shape == (3, 2)


def test_needs_an_encoder():
    assert VAE.fits(distributions.get("bernoulli", size=32)) is not None


HIDDEN = BernoulliEncoder(size=4, batch=2, hidden_units=3)


def test_an_encoder_with_hidden_units_has_the_enumerations_gradient():
    which = Problem(HIDDEN, VAE, point="start")
    closed, every = reference(which), climb(which, enumeration, "enumeration")
    assert closed is not None and every is not None
    assert closed.method == "closed form"
    assert {name: tuple(each.shape) for name, each in closed.gradient.items()} == {
        "hidden_weight": (3, 64), "hidden_bias": (3,), "weight": (4, 3), "bias": (4,)
    }  # fmt: skip
    for name, exact in every.gradient.items():
        assert torch.allclose(closed.gradient[name], exact, rtol=0, atol=1e-12)


def test_estimates_in_hidden_units_are_unbiased():
    which = Problem(HIDDEN, VAE, point="start")
    assert_unbiased_on(which, "disarm", 4, 4_000, resolution=0.1)


def test_hidden_units_change_no_other_cells_id_and_have_no_trained_point():
    assert "hidden_units" not in identifying(BernoulliEncoder(size=4))
    assert identifying(HIDDEN)["hidden_units"] == 3
    with pytest.raises(BadInput, match="trained with a linear encoder"):
        Problem(BernoulliEncoder(size=32, hidden_units=3), VAE, point="trained").theta()
    with pytest.raises(BadInput, match="hidden_units must be at least 0"):
        BernoulliEncoder(hidden_units=-1)
