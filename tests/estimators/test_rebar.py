"""REBAR: unbiased with the relaxed control variate, published variances, and draws that keep their value."""

import pytest
import torch

import estimators
from estimators import Function
from estimators.rebar import Rebar, conditioned
from estimators.relaxed import hardened, perturbed, softened
from estimators.tools.parameters import valued
from tests.support.cases import CASES, bits, build_one_hot, double, exact, single
from tests.support.exactness import assert_biased, assert_unbiased, enough, estimates
from tests.support.identities import backward_agrees, covers, value_is_plain, variance_agrees

QUADRATIC = Function(lambda b: (b - 0.45).square().sum(-1))


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "evidence_of_bits", "one_hot"])
@pytest.mark.parametrize("settings", [{}, {"eta": 0.6, "temperature": 0.1}, {"coupled": True}], ids=str)
def test_unbiased(case, settings):
    sample = enough(estimators.get("rebar", **settings), *CASES[case], 4, 200_000)
    assert_unbiased(sample, exact(case), resolution=0.03)


def test_float32():
    sample = enough(estimators.get("rebar"), *single(CASES["one_hot"], torch.float32), 4, 200_000)
    assert_unbiased(sample.double(), exact("one_hot"), resolution=0.03)


@pytest.mark.parametrize(
    ("temperature", "independent", "coupled"),
    [(0.1, 0.0872517, 0.0904144), (0.5, 0.0226531, 0.0240671), (1.0, 0.0184891, 0.0179167)],
)
def test_published_variance_on_one_bit(temperature, independent, coupled):
    """Fact 15, η = 1: worse than REINFORCE (.0159391) here, with either noise."""
    case = (bits, {"logits": double(0.0)}, QUADRATIC)
    for noise, variance in [(False, independent), (True, coupled)]:
        sample = estimates(estimators.get("rebar", temperature=temperature, coupled=noise), *case, 1, 400_000)
        variance_agrees(sample, variance)


@pytest.mark.parametrize("case", ["bits", "extreme_bits", "one_hot"])
def test_coupled_noise_gives_the_draw_back(case):
    build, parameters, _ = CASES[case]
    torch.manual_seed(0)
    q = build(**parameters)
    z = perturbed(q, 10_000)
    same = conditioned(q, hardened(z, q), z)
    shift = 0 if case != "one_hot" else z.amax(-1, keepdim=True)
    torch.testing.assert_close(same, z - shift)


def test_without_control_variate_it_is_reinforce():
    build, parameters, f = CASES["one_hot"]
    sample = estimates(estimators.get("rebar", eta=0.0), build, parameters, f, 1, 7, seed=5)
    torch.manual_seed(5)
    q = build(**{name: value.expand(7, *value.shape) for name, value in parameters.items()})
    b = hardened(perturbed(q, 1), q)[0]
    torch.testing.assert_close(sample, (f(b, q)[:, None, None] * (b - q.mean)).flatten(1))


def test_the_published_defect_is_seen():
    """Detached logits in z̃, as in one published copy, are badly biased: the test above can see it."""

    class Detached(Rebar):
        """Takes −∇c(z̃) out again, in expectation: a fresh z̃ will do."""

        def surrogate(self, q, f, n):
            relaxed = conditioned(q, hardened(perturbed(q, n), q).detach())
            c = f(softened(relaxed, q, self.temperature), q)
            return valued(super().surrogate(q, f, n), c.mean(0))

    assert_biased(estimates(Detached(), *CASES["bits"], 2, 100_000), exact("bits"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conditional_draws_keep_their_value(dtype):
    """argmax z̃ = b for every draw, at logits of ±6 and for values of q that are all but impossible."""
    torch.manual_seed(0)
    logits = torch.tensor([[-6.0, 0.0, 6.0], [30.0, -30.0, 0.0]], dtype=dtype)
    every = torch.eye(3, dtype=dtype)[torch.randint(3, (200_000, 2))]
    assert torch.equal(hardened(conditioned(build_one_hot(logits), every), build_one_hot(logits)), every)
    assert torch.equal(hardened(conditioned(bits(logits), every), bits(logits)), every)


@pytest.mark.parametrize("build", [bits, build_one_hot])
def test_conditional_draws_have_the_distribution_of_perturbed_logits(build):
    """z̃ of a fresh b is distributed as z itself: compared after softmax, as the common shift is dropped."""
    logits = double(0.5, -0.7, 0.2, -2.0, 0.9, 0.1).reshape(2, 3)
    q = build(logits)
    torch.manual_seed(0)
    z = perturbed(q, 400_000)
    again = conditioned(q, hardened(z, q))
    if build is build_one_hot:
        z, again = z.softmax(-1), again.softmax(-1)
    for power in (1, 2):
        covers(again.pow(power), z.pow(power).double().mean(0), z.pow(power).var(0))


def test_backward_and_value():
    for case in ("bits", "one_hot", "evidence_of_bits"):
        backward_agrees(estimators.get("rebar"), CASES[case], 3)
    case = (bits, {"logits": double(0.0)}, QUADRATIC)
    value_is_plain(estimators.get("rebar"), case, 2, (0.55**2 + 0.45**2) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_at_extremes(dtype):
    for build, logits in ((bits, [-80.0, 80.0, 0.0]), (build_one_hot, [[-80.0, 80.0, 0.0]])):
        parameters = {"logits": torch.tensor(logits, dtype=dtype)}
        f = Function(lambda z: z.flatten(2).square().sum(-1))
        assert estimates(estimators.get("rebar", temperature=0.05), build, parameters, f, 2, 1000).isfinite().all()
