"""Makes the trained points again: `python -m bench.points [OBJECTIVE…]`; under a minute in all."""

import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Independent

import estimators
from bench.data import digits
from bench.distributions import distributions
from bench.distributions.amortised import PIXELS, linear_layer
from bench.distributions.base import Tensors
from bench.distributions.bernoulli import Bernoulli
from bench.objectives import objectives, vae
from bench.points import save
from bench.problem import Problem
from estimators import Evidence
from estimators.errors import BadInput, nearest


def maximise(problem: Problem, steps: int = 5000) -> Tensors:
    """The θ with the largest exact bound, by L-BFGS from the point `start`."""
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
    return {name: value.detach() for name, value in theta.items()}


def logistic_regression() -> None:
    """The best Normal of each kind."""
    for name in ("normal", "multivariate_normal"):
        family = distributions.get(name, size=31)
        problem = Problem(family, objectives.get("logistic_regression"), point="start")
        save("logistic_regression", name, 31, "trained", arrays=maximise(problem))


def digits_vae(bits: int = 32, steps: int = 5_000, batch: int = 100) -> None:
    """Encoder and decoder by leave-one-out with 4 draws, from the point `start`, on all 1,797 digits.

    The weight decay keeps the bits from saturating: without it some have a probability of 1e-7, whose
    gradient no affordable number of draws can check.
    """
    torch.manual_seed(0)
    encoder, decoder = linear_layer(PIXELS, bits, seed=1), linear_layer(bits, PIXELS, seed=2)
    weights = [value.requires_grad_() for layer in (encoder, decoder) for value in layer.values()]
    optimiser = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rloo = estimators.get("rloo")
    for _ in range(steps):
        x = digits()[torch.randint(len(digits()), (batch,))]
        q = Independent(Bernoulli(logits=x @ encoder["weight"].T + encoder["bias"], validate_args=False), 1)
        optimiser.zero_grad()
        bound = rloo.surrogate(q, Evidence(lambda z, x=x: vae.log_joint(z, x, decoder)), n=4)
        (-bound.mean()).backward()
        optimiser.step()
        schedule.step()
    encoder, decoder = ({name: value.detach() for name, value in layer.items()} for layer in (encoder, decoder))
    logits = digits()[:200] @ encoder["weight"].T + encoder["bias"]
    print(f"digits_vae {bits} bits: bound {vae.bound(logits, digits()[:200], decoder).mean().item():.4f} (200 digits)")
    arrays = encoder | {f"decoder_{name}": value for name, value in decoder.items()}
    save("digits_vae", "bernoulli_encoder", bits, "trained", arrays=arrays, dtype="float32")


RECIPES: dict[str, Callable[[], None]] = {"logistic_regression": logistic_regression, "digits_vae": digits_vae}


def main(names: list[str]) -> None:
    for name in names:
        if name not in RECIPES:
            raise BadInput(f"there is no recipe for {name!r}; {nearest(name, RECIPES)}")
    for name in names or list(RECIPES):
        RECIPES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
