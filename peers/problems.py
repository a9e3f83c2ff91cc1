"""The problems that all sides run, as arrays in one file that every environment can read."""

from pathlib import Path

import numpy as np

from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.logistic_regression import signed_features
from bench.problems.problem import Problem

PROBLEMS = {
    "bits": Problem(distributions.get("bernoulli", size=200), objectives.get("quadratic_bits", t=0.499)),
    "quadratic": Problem(distributions.get("normal", size=100), objectives.get("quadratic", centre=1.0)),
    "cosine": Problem(distributions.get("normal", size=100), objectives.get("cosine", frequency=1.0)),
    "logistic": Problem(distributions.get("normal", size=31), objectives.get("logistic_regression"), point="start"),
    "vae": Problem(distributions.get("bernoulli_encoder", size=64), objectives.get("digits_vae"), point="start"),
}

CASES = {
    "bits/reinforce": 4,
    "bits/rloo": 4,
    "bits/arm": 2,
    "bits/disarm": 2,
    "bits/gumbel_softmax": 1,
    "bits/rebar": 1,
    "quadratic/reinforce": 1,
    "quadratic/reparameterisation": 1,
    "quadratic/measure_valued": 1,
    "cosine/reinforce": 1,
    "cosine/reparameterisation": 1,
    "cosine/measure_valued": 1,
    "logistic/rloo": 4,
    "logistic/reparameterisation": 1,
    "vae/reinforce": 1,
    "vae/rloo": 2,
    "vae/disarm": 2,
}
"""Problem and estimator, and the draws of an estimate."""


def write(path: Path) -> None:
    """θ of each problem by `problem_parameter`, and the data of those that have some."""
    arrays = {
        f"{name}_{entry}": value.numpy()
        for name, problem in PROBLEMS.items()
        for entry, value in problem.theta().items()
    }
    vae = PROBLEMS["vae"]
    decoder = vae.objective.decoder(vae.family, vae.point)  # pyright: ignore[reportAttributeAccessIssue]
    arrays |= {f"vae_decoder_{entry}": value.numpy() for entry, value in decoder.items()}
    arrays["vae_images"] = vae.family.images().numpy()  # pyright: ignore[reportAttributeAccessIssue]
    arrays["logistic_x"] = signed_features().numpy()
    np.savez(path, allow_pickle=False, **{name: value.astype(np.float32) for name, value in arrays.items()})
