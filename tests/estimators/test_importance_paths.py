"""Pathwise gradients of the importance-weighted bound, Rényi's bound, and the thermodynamic objective."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

import estimators
from estimators import BadInput, Evidence, ImportanceBound
from estimators.thermodynamic import Thermodynamic
from estimators.tools.parameters import support
from tests.support.cases import LOGITS, bits, build_normal, double, log_joint_of_bits
from tests.support.exactness import assert_biased, assert_unbiased, enough, enumerated, estimates

LINE = {"loc": double(0.5), "scale": double(0.8)}
PATHS = ["importance_pathwise", "doubly_reparameterised"]
SCORES = ["importance_reinforce", "vimco", "ovis", "ovis_asymptotic", "multi_sample_disarm"]


def joint(z):
    return -0.5 * z[..., 0].square() + logsigmoid(3 * z[..., 0] - 1)


def exact_on_a_line(alpha):
    """Two draws of one Normal: a two-dimensional Gauss–Hermite grid at θ."""
    x, w = np.polynomial.hermite_e.hermegauss(80)
    index = torch.cartesian_prod(torch.arange(80), torch.arange(80))
    z = (LINE["loc"] + LINE["scale"] * torch.tensor(x))[index].unsqueeze(-1)
    weight = torch.tensor(w / math.sqrt(2 * math.pi))[index].prod(-1)
    here = build_normal(**LINE).log_prob(z).sum(1)

    def expectation(values):
        q = build_normal(**values)
        value = ImportanceBound(joint, 2, alpha=alpha)(z, q)
        return (weight * (q.log_prob(z).sum(1) - here).exp() * value).sum()

    return torch.cat([g.flatten() for g in torch.func.grad(expectation)(LINE).values()])


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("name", [*PATHS, "vimco"])
def test_unbiased_on_a_line(name, alpha):
    sample = enough(estimators.get(name), build_normal, LINE, ImportanceBound(joint, 2, alpha=alpha), 2, 200_000)
    assert_unbiased(sample, exact_on_a_line(alpha))


@pytest.mark.parametrize("name", PATHS)
def test_float32(name):
    at = {key: value.float() for key, value in LINE.items()}
    sample = enough(estimators.get(name), build_normal, at, ImportanceBound(joint, 2), 2, 200_000)
    assert_unbiased(sample.double(), exact_on_a_line(0.0))


def test_doubly_reparameterised_has_no_variance_at_the_posterior():
    f = ImportanceBound(lambda z: build_normal(**LINE).log_prob(z), 5)
    found = estimates(estimators.get("doubly_reparameterised"), build_normal, LINE, f, 1, 50)
    assert found.abs().max() < 1e-12
    assert estimates(estimators.get("importance_pathwise"), build_normal, LINE, f, 1, 50).var(0).min() > 1e-3


@pytest.mark.parametrize("alpha", [0.5, -1.0])
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_unbiased_on_renyis_bound(name, alpha):
    f = ImportanceBound(log_joint_of_bits, 2, alpha=alpha)

    def expectation(values):
        q = bits(**values)
        z = support(q)
        index = torch.tensor(list(itertools.product(range(len(z)), repeat=2)))
        return (q.log_prob(z)[index].sum(1).exp() * f(z[index], q)).sum()

    truth = torch.func.grad(expectation)(LOGITS)["logits"]
    assert_unbiased(enough(estimators.get(name), bits, LOGITS, f, 2, 100_000), truth, resolution=0.1)


def test_one_partition_is_the_evidence_bound_shrunk_by_its_own_mean():
    """β = 0 alone: 1/K Σ (log w_k − mean) s_k − mean s, whose mean is (1 − 1/K) of the evidence's gradient."""
    evidence = enumerated(bits, LOGITS, Evidence(log_joint_of_bits))
    f = ImportanceBound(log_joint_of_bits, 4)
    sample = estimates(estimators.get("thermodynamic", partitions=1), bits, LOGITS, f, 2, 100_000)
    assert_biased(sample, evidence)
    assert_unbiased(sample, 0.75 * evidence)


def test_log_spaced_edges():
    log = Thermodynamic(partitions=3, spacing="log", first=0.01).edges(double(0.0))
    torch.testing.assert_close(log, double(0.0, 0.01, 0.1, 1.0))
    torch.testing.assert_close(Thermodynamic(partitions=1, spacing="log").edges(double(0.0)), double(0.0, 1.0))


@pytest.mark.parametrize("spacing", ["uniform", "log"])
def test_thermodynamic_tends_to_its_own_objective(spacing):
    """The left sum of E_β log w over states; missed by O(1/K)."""
    estimator = Thermodynamic(spacing=spacing)
    edges = estimator.edges(double(0.0))
    z = support(bits(**LOGITS))

    def objective(values):
        log_q = bits(**values).log_prob(z)
        log_w = log_joint_of_bits(z) - log_q
        at = [((log_q + beta * log_w).softmax(0) * log_w).sum() for beta in edges[:-1]]
        return (torch.stack(at) * edges.diff()).sum()

    truth = torch.func.grad(objective)(LOGITS)["logits"]
    few, many = (
        estimates(estimator, bits, LOGITS, ImportanceBound(log_joint_of_bits, K), 1, 40_000).mean(0) for K in (3, 60)
    )
    assert (few - truth).norm() > 0.1 * truth.norm()
    assert (many - truth).norm() < (few - truth).norm() / 8


def test_bad_settings():
    with pytest.raises(BadInput, match="alpha"):
        ImportanceBound(joint, 2, alpha=1.0)
    with pytest.raises(BadInput, match="partitions"):
        estimators.get("thermodynamic", partitions=0)
    with pytest.raises(BadInput, match="spacing"):
        estimators.get("thermodynamic", spacing="geometric")
    with pytest.raises(BadInput, match="first"):
        estimators.get("thermodynamic", first=0.0)
