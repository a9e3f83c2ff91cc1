"""Trains the committed points again: `python -m bench.problems.train [OBJECTIVE…]`; takes some minutes in total."""

import sys
from collections.abc import Callable

import torch
from torch import Tensor

import estimators
from bench.data.datasets import digits
from bench.data.trained import save_point
from bench.distributions import distributions
from bench.distributions.amortised import BernoulliEncoder, CategoricalEncoder, Encoder, NormalEncoder
from bench.numerics.tensors import Tensors
from bench.objectives import objectives, vae
from bench.objectives.vae import LATENTS, DigitsVae
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators import Evidence
from estimators.errors import BadInput, nearest


def maximise(problem: Problem, steps: int = 5000) -> Tensors:
    """Returns the θ with the largest exact bound: L-BFGS from the problem's point, then Newton steps."""
    theta = {name: value.clone().requires_grad_() for name, value in problem.theta().items()}
    optimiser = torch.optim.LBFGS(
        list(theta.values()),
        max_iter=steps,
        history_size=100,
        tolerance_grad=1e-9,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        bound = problem.objective.expectation(problem.family, problem.point, problem.encode(theta))
        assert bound is not None
        (-bound).backward()
        return -bound

    optimiser.step(loss)
    print(f"{problem.objective.name} {problem.family.name}: bound {-loss().item():.9f}")
    return polished(problem, {name: value.detach() for name, value in theta.items()})


def polished(problem: Problem, theta: Tensors, steps: int = 3) -> Tensors:
    """Returns θ after Newton steps, which reduce the gradient to rounding error; L-BFGS's line search cannot."""

    def bound(vector: Tensor) -> Tensor:
        found = problem.objective.expectation(problem.family, problem.point, problem.encode(unflat(vector, theta)))
        assert found is not None
        return found

    vector = as_vector(theta)
    for _ in range(steps):
        gradient = torch.func.grad(bound)(vector)
        curvature = torch.func.jacrev(torch.func.grad(bound), chunk_size=8)(vector)
        print(f"gradient {gradient.norm().item():.1e}")
        vector = vector - torch.linalg.solve(curvature, gradient)
    return unflat(vector, theta)


def unflat(vector: Tensor, like: Tensors) -> Tensors:
    """Returns the tensors of a flat vector, shaped as in `like`: the inverse of `as_vector`."""
    pieces = vector.split([value.numel() for value in like.values()])
    return {name: piece.view_as(value) for piece, (name, value) in zip(pieces, like.items(), strict=True)}


def logistic_regression() -> None:
    """Trains the best diagonal and the best full-covariance Normal."""
    for name in ("normal", "multivariate_normal"):
        family = distributions.get(name, size=31)
        problem = Problem(family, objectives.get("logistic_regression"), point="start")
        save_point("logistic_regression", name, 31, "trained", arrays=maximise(problem))


def train_vae(family: Encoder, hidden: int = 0, steps: int = 5_000, batch: int = 100) -> None:
    """Trains encoder and decoder from the point `start` on all 1,797 digits.

    The gradient is pathwise if the family is reparameterised, else leave-one-out (`rloo`), with 4 draws. Weight decay
    keeps the bits from saturating: without it some have a probability of 1e-7, and no affordable number of draws could
    check their gradient.
    """
    torch.manual_seed(0)
    target, latents = DigitsVae(hidden=hidden), LATENTS[family.name]
    theta, decoder = family.theta("default", "unconstrained"), target.decoder(family, "start")
    weights = [value.requires_grad_() for layer in (theta, decoder) for value in layer.values()]
    optimiser = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    estimator = estimators.get("reparameterisation" if family.reparameterised else "rloo")
    for _ in range(steps):
        x = digits()[torch.randint(len(digits()), (batch,))]
        q = family.build(family.split(x @ theta["weight"].T + theta["bias"]))
        optimiser.zero_grad()
        f = Evidence(lambda z, x=x: vae.log_joint(z, x, decoder, latents))
        bound = estimator.surrogate(q, f, n=4).mean()
        (-bound).backward()
        optimiser.step()
        schedule.step()
    print(f"{target.label} {family.name}: last bound {bound.item():.2f}")
    arrays = {name: value.detach() for name, value in theta.items()}
    arrays |= {f"decoder_{name}": value.detach() for name, value in decoder.items()}
    save_point(target.label, family.name, family.size, "trained", arrays=arrays, dtype="float32")


def digits_vae() -> None:
    """Trains VAEs of bits, one-hot variables and Normals (linear decoder), and of 10 bits with a hidden layer."""
    train_vae(BernoulliEncoder())
    train_vae(CategoricalEncoder())
    train_vae(NormalEncoder())
    train_vae(BernoulliEncoder(size=10), hidden=32)


RECIPES: dict[str, Callable[[], None]] = {"logistic_regression": logistic_regression, "digits_vae": digits_vae}


def main(names: list[str]) -> None:
    """Trains the points of the named objectives. Default: all. Raises BadInput for an unknown name."""
    for name in names:
        if name not in RECIPES:
            raise BadInput(f"there is no recipe for {name!r}; {nearest(name, RECIPES)}")
    for name in names or list(RECIPES):
        RECIPES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
