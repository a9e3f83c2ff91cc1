"""The evidence lower bound of Bayesian logistic regression on real data."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from bench.data.datasets import breast_cancer
from bench.data.trained import load
from bench.distributions.base import Family
from bench.numerics.bit_likelihood import sum_log_sigmoid
from bench.numerics.constants import LOG_2PI
from bench.numerics.quadrature import REACH, normal_expectation
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.gaussian import divergence, misfit, projected, standard
from bench.objectives.minibatch import Index, Minibatches, minibatches
from estimators.core import Evidence, Objective

SIZE = 31


@objectives.register("logistic_regression")
@dataclass(frozen=True)
class LogisticRegression(Target):
    """log p(y | x, z) + log N(z; 0, I) − log q(z): breast cancer, 569 patients, 30 features and an intercept.

    Points: `start` is q = N(0, I); `trained` is the q of this family with the largest bound. Exact: with a Normal q
    each patient's term is a one-dimensional integral, E log σ(y s), s ~ N(x·μ, xᵀΣx); the rest is in closed form.
    """

    used_by = "black-box variational inference (Ranganath 2014; Miller 2017; Roeder 2017)"
    points = ("start", "trained")

    def fits(self, family: Family) -> str | None:
        return misfit(family, SIZE)

    def theta(self, family: Family, point: str) -> Tensors | None:
        if point == "start":
            return standard(family)
        return load(self.name, family.name, family.size, point) if point == "trained" else None

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        # A matrix product with 32 columns takes half the time of one with 31.
        x = pad(signed_features(), (0, 1)).to(like)
        return Evidence(lambda z: log_joint(z, x))

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Float[Tensor, "*leading"]:
        return bound(parameters, panels=128 * 2**level, reach=REACH + level / 2)


def signed_features() -> Float[Tensor, "569 31"]:
    """Returns each patient's features times the label ±1, so that the likelihood is σ(x·z)."""
    x, y = breast_cancer()
    return x * y[:, None]


def log_joint(z: Float[Tensor, "*batch 31"], x: Float[Tensor, "patients features"]) -> Float[Tensor, "*batch"]:
    """Returns log p(y | z) + log N(z; 0, I); features after the 31st are 0."""
    prior = -0.5 * (z.square().sum(-1) + SIZE * LOG_2PI)
    return sum_log_sigmoid(pad(z, (0, x.shape[-1] - SIZE)) @ x.T) + prior


def bound(parameters: Tensors, panels: int = 128, reach: float = REACH) -> Float[Tensor, "*leading"]:
    """Returns the exact evidence lower bound of N(loc, Σ).

    Its relative error is below 1e-12 for scales up to 3 (x·z then ranges over ±100), as halving the panels shows.
    """
    mean, variance = projected(parameters, signed_features())
    return normal_expectation(logsigmoid, mean, variance.sqrt(), panels, reach).sum(-1) - divergence(parameters)


@minibatches.register
def _(target: LogisticRegression, family: Family, point: str, like: Tensor) -> Minibatches:
    """log N(z; 0, I) − log q(z) plus N/m times the log-likelihood of m patients."""
    x = signed_features().to(like)

    def at(index: Index) -> Objective:
        own, share = x[index], len(x) / index.shape[1]

        def log_joint(z: Tensor) -> Tensor:
            prior = -0.5 * (z.square().sum(-1) + SIZE * LOG_2PI)
            return share * sum_log_sigmoid(torch.einsum("...rd,rmd->...rm", z, own)) + prior

        return Evidence(log_joint)

    return Minibatches(len(x), at)
