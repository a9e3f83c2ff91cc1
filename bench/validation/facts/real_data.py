"""Closed forms on real data: the bounds of Bayesian logistic regression on the breast cancer data."""

import numpy as np
import torch
from torch.nn.functional import logsigmoid

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.logistic_regression import bound, signed_features
from bench.problems.problem import Problem
from bench.validation.facts.fact import FactResults, above, below, fact, near, printed
from bench.validation.facts.sampler import SIGMAS, Sampler


def logistic_problem(point: str) -> Problem:
    """Returns the logistic regression with a diagonal Normal q at a point."""
    return Problem(distributions.get("normal", size=31), objectives.get("logistic_regression"), point=point)


@fact(
    "closed_form", "real data", "breast cancer (Wolberg, Street, Mangasarian 1995); composite Legendre rules", slow=True
)
def bounds_of_logistic_regression(sampler: Sampler) -> FactResults:
    """Standardised features and an intercept, prior N(0, I): the evidence bound of q = N(0, I) is −1226.59248 and the
    best of a diagonal q −67.4633672. A Gauss–Hermite rule of 64 nodes is 0.235 off at the first."""
    values = {}
    for point, number in (("start", "-1226.59248"), ("trained", "-67.4633672")):
        posed = logistic_problem(point)
        values[point] = float(bound(posed.encode(posed.theta())))
        yield printed(f"bound, {point}", number, values[point])
    node, weight = np.polynomial.hermite_e.hermegauss(64)
    spread = signed_features().square().sum(1).sqrt()
    hermite = logsigmoid(spread[:, None] * torch.tensor(node)) @ torch.tensor(weight) / (2 * np.pi) ** 0.5
    yield near("error of 64 Gauss–Hermite nodes", 0.235, abs(float(hermite.sum()) - values["start"]), 0.0005)


@fact("closed_form", "real data", "Paisley, Blei, Jordan 2012; measured", slow=True)
def delta_method_near_and_far(sampler: Sampler) -> FactResults:
    """On the logistic regression the delta-method control variate raises the variance far from a concentrated
    posterior, at q = N(0, I), and lowers it near the best q."""
    for point, side in (("start", above), ("trained", below)):
        logs = []
        for name, full in (("delta_method", 1024), ("reinforce", 2**15)):
            sample = sampler.estimates(logistic_problem(point), estimators.get(name), 1, full)
            distance = (sample - sample.mean(0)).square().sum(1)
            logs.append((float(distance.mean()), float(distance.std() / distance.mean()) / len(distance) ** 0.5))
        ratio = logs[0][0] / logs[1][0]
        yield side(
            f"{point}: delta method ÷ REINFORCE", 1.0, ratio, SIGMAS * ratio * float(np.hypot(logs[0][1], logs[1][1]))
        )
