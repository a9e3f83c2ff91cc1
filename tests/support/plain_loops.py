"""What a recommendation is compared with: a plain training loop for each estimator at each number of samples.

`python -m tests.support.plain_loops --seconds 60 --steps 10000 NAME…` prints a table of the models named (all of them
where none is): the answer, the seconds to it, and variance × seconds of the chosen one ÷ the best of the plain loops.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.advice.own_offers import own_offer
from bench.advice.roads import training_step
from bench.advice.workshop import Workshop
from estimators import get
from estimators.core import Estimator, Fitted
from tests.support.own_models import source_of

ROUNDS = ((8, 40.0, 200), (100, 4.0, 50), (1_000, 1.6, 4))
"""Steps; after them, arms beyond this factor times the best stop, and at most so many of the best go on."""
SLOWEST = 0.3
"""Seconds of a step beyond which 10,000 steps would take most of an hour: such an arm is left out."""
FIRST = 8
"""Gradients whose mean is subtracted from all others, against cancellation in the sum of squares."""
Arm = tuple[str, int]
"""A name and a number of samples."""


@dataclass(frozen=True)
class LoopResult:
    """Variance of one estimate, cost of a step, the relative standard error of the variance; mean of the estimates."""

    variance: float
    cost: float
    error: float
    mean: torch.Tensor
    steps: int

    @property
    def product(self) -> float:
        return self.variance * self.cost


def plain_loop(shop: Workshop, estimator: Estimator, samples: int, steps: int) -> LoopResult:
    """`steps` gradients by a loop as a user writes it; `calls`: the cost is n, and not the seconds of a step."""
    model = shop.model
    if isinstance(estimator, Fitted) and estimator.state is None:
        estimator = estimator.fit(model.distribution(model.theta), model.objective, samples, estimator.steps)
    torch.manual_seed(7)
    start = time.process_time()
    training_step(model, estimator, samples)
    if time.process_time() - start > SLOWEST:
        raise TimeoutError(f"a step of {estimator} with {samples} samples takes more than {SLOWEST} s")
    start_mean = torch.stack([training_step(model, estimator, samples).double() for _ in range(FIRST)]).mean(0)
    total, squares, seconds = torch.zeros_like(start_mean), [], []
    for _ in range(steps):
        start = time.process_time()
        gradient = training_step(model, estimator, samples)
        seconds.append(time.process_time() - start)
        off = gradient.double() - start_mean
        total += off
        squares.append(float(off @ off))
    variance = (sum(squares) - float(total @ total) / steps) / (steps - 1)
    rounding = 1e-10 * (float(np.mean(squares)) + float(start_mean @ start_mean))
    error = float(np.std(squares) / max(np.mean(squares), 1e-300) / steps**0.5)
    variance = variance if variance > rounding else 0.0
    return LoopResult(variance, float(np.median(seconds)), error, start_mean + total / steps, steps)


def arms_of(shop: Workshop, names: Sequence[str], ladder: Sequence[int]) -> list[Arm]:
    """Each unbiased estimator at each number of samples at which it fits."""
    offer = own_offer(shop.model)
    return [
        (name, n)
        for name in names
        for n in ladder
        if get(name).traits.unbiased
        and offer.unmet(get(name), n) is None
        and (n == ladder[0] or not get(name).traits.exact)
    ]


def best_of(shop: Workshop, arms: Sequence[Arm], steps: int, own: LoopResult) -> float:
    """The least variance × seconds of arms whose mean is that of `own`: those that can be the best (`ROUNDS`) take all
    `steps`; an arm that fails is left out.
    """
    for short, near, most in ROUNDS:
        if short < steps:
            found = agreeing(_loops(shop, arms, short), own)
            best = min(each.product for each in found.values())
            if best == 0:  # without variance: no loop can be better
                return 0.0
            order = sorted(found, key=lambda arm: found[arm].product)
            arms = [arm for arm in order if found[arm].product <= near * best][:most]
    return min(each.product for each in agreeing(_loops(shop, arms, steps), own).values())


def _loops(shop: Workshop, arms: Sequence[Arm], steps: int) -> dict[Arm, LoopResult]:
    found: dict[Arm, LoopResult] = {}
    for name, n in arms:
        try:
            found[name, n] = plain_loop(shop, get(name), n, steps)
        except Exception:  # it fits on paper, and fails on this model: the race says so too
            continue
    return found


def agreeing(loops: dict[Arm, LoopResult], with_: LoopResult) -> dict[Arm, LoopResult]:
    """The arms whose mean is that of `with_` within five standard errors; a biased arm is no rival.

    A path through a jump has no variance and the wrong mean; on paper it fits, as the model does not say that f jumps.
    """

    def agrees(each: LoopResult) -> bool:
        off = each.mean - with_.mean
        noise = each.variance / each.steps + with_.variance / with_.steps
        return float(off @ off) <= 25 * noise + 1e-10 * float(with_.mean @ with_.mean)

    return {arm: each for arm, each in loops.items() if agrees(each)}


def main() -> None:
    """Prints the table."""
    from bench.advice import stopwatch
    from estimators import available
    from tests.support.forty_models import MODELS
    from tests.support.own_models import advice

    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=10_000)
    asked = parser.parse_args()
    stopwatch.read = time.process_time
    print("| model | answer | road | seconds | ÷ the best plain loop |\n|---|---|---|---|---|")
    for name in asked.names or MODELS:
        start = time.process_time()
        found = advice(MODELS[name](), asked.seconds)
        spent = time.process_time() - start
        said = f"{found.estimator} (n = {found.samples})" if found.conclusive else f"inconclusive; {found.estimator}"
        ratio = "—"
        if found.conclusive and asked.steps:
            shop = Workshop(source_of(MODELS[name]()))
            own = plain_loop(shop, made(found.code), found.samples or 1, asked.steps)
            best = best_of(shop, arms_of(shop, available(), (1, 2, 4, 16, 64)), asked.steps, own)
            ratio = "1 (no variance)" if own.product == best == 0 else f"{own.product / best:.2f}" if best else "∞"
        print(f"| {name} | {said} | {found.road} | {spent:.1f} | {ratio} |", flush=True)


def made(code: str) -> Estimator:
    """The estimator that the printed code makes, before it is fitted."""
    (line,) = (line for line in code.splitlines() if line.startswith("estimator = "))
    return eval(line.removeprefix("estimator = ").split(".fit(")[0], {"get": get})


if __name__ == "__main__":
    main()
