"""Training: the same estimators, seeds and optimiser on three problems, and whether variance predicts progress."""

from dataclasses import dataclass
from functools import cache
from math import nan
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

import estimators
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, Rows, above, below, fact
from bench.validation.facts.learning import (
    DigitsVaeTask,
    Learning,
    LogisticTask,
    ManyBitsTask,
    TrainingTask,
    gradient_variance,
    learn,
)
from bench.validation.facts.sampler import SIGMAS, Sampler
from estimators.core import Estimator

TASKS: dict[str, tuple[TrainingTask, tuple[str, ...], int]] = {
    "bits": (
        ManyBitsTask(1000, 0.05),
        ("reinforce", "self_critical", "independent_baseline", "rloo", "arm", "disarm", "arms", "rebar"),
        8,
    ),
    "logistic": (
        LogisticTask(600, 0.05),
        ("reinforce", "independent_baseline", "rloo", "reparameterisation", "sticking_the_landing", "antithetic"),
        8,
    ),
    "vae": (DigitsVaeTask(600, 0.01), ("reinforce", "independent_baseline", "rloo", "arm", "disarm", "rebar"), 4),
}


def training_estimator(name: str) -> Estimator:
    """The estimator; an antithetic pair is of pathwise gradients here."""
    return (
        estimators.get(name, inner=estimators.get("reparameterisation"))
        if name == "antithetic"
        else estimators.get(name)
    )


@dataclass(frozen=True)
class Trained:
    """One problem's trainings. `variances`: each estimator's on one path, the same for all, with its relative standard
    error: the geometric mean over the first and the middle checkpoints of leave-one-out's or the pathwise gradient's.
    `along`: each one's variance on its own path, that of the first seed, at some checkpoints."""

    learnt: dict[str, Learning]
    variances: dict[str, tuple[float, float]]
    along: dict[str, dict[int, float]]


@cache
def training_run(task: str, seed: int) -> Trained:
    """Every estimator's training on a problem."""
    what, names, seeds = TASKS[task]
    sampler = Sampler(f"training {task}", seed)
    learnt = {name: learn(what, training_estimator(name), sampler, seeds=seeds) for name in names}
    path = learnt["rloo" if task != "logistic" else "reparameterisation"].path
    points, replicates = (path[0], path[len(path) // 2]), 1024 if task == "vae" else 8192
    variances = {
        name: geometric_mean(
            [gradient_variance(what, training_estimator(name), at, sampler, replicates=replicates) for at in points]
        )
        for name in names
    }
    along = {
        name: {
            step: gradient_variance(what, training_estimator(name), at, sampler, replicates=512)[0]
            for step, at in list(zip(each.steps, each.path, strict=True))[::6]
        }
        for name, each in learnt.items()
    }
    return Trained(learnt, variances, along)


def geometric_mean(found: list[tuple[float, float]]) -> tuple[float, float]:
    """Of independent numbers with their relative standard errors."""
    values, errors = np.array(found).T
    return float(np.exp(np.log(values).mean())), float(np.linalg.norm(errors)) / len(found)


def learning_curves(task: str, found: Trained) -> Rows:
    """The learning curves as a tidy table: a row per estimator, seed and checkpoint. `loss` is exact, over all data:
    the negative evidence bound, where the problem has one; seconds and evaluations are those of one seed up to there.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("problem", "estimator", "seed", "step", "loss", "variance", "seconds", "evaluations")
    }
    for name, each in found.learnt.items():
        for seed in range(each.loss.shape[1]):
            for step, loss in zip(each.steps, each.loss[:, seed].tolist(), strict=True):
                variance = found.along[name].get(step, nan) if seed == 0 else nan
                row = (task, name, seed, step, loss, variance, step * each.seconds, step * each.evaluations)
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    return Rows("learning_curves", columns)


def training_results(task: str, found: Trained, floor: float) -> FactResults:
    """Learning curves, as a table and with intervals over seeds, and variance against what is left to gain."""
    yield learning_curves(task, found)
    learnt, variances, lines = found.learnt, found.variances, []
    for name, each in learnt.items():
        over = each.loss - floor
        mean, half = over.mean(1), 2 * over.std(1) / over.shape[1] ** 0.5
        steps = [float(step) for step in each.steps]
        low, high = (mean - half).clamp_min(1e-9).tolist(), (mean + half).tolist()
        lines.append(Curve(name, steps, mean.clamp_min(1e-9).tolist(), low, high))
    yield Picture(f"{task}: exact loss, less the best known", "step", "excess loss", lines, "y")
    cost = [variances[name][0] * each.seconds for name, each in learnt.items()]
    budget = min(each.seconds * each.steps[-1] for each in learnt.values())
    reached = [float(each.at(budget / each.seconds).mean()) - floor for each in learnt.values()]
    yield Picture(
        f"{task}: at equal time",
        "variance × seconds",
        "excess loss",
        [Curve(name, [c], [y], style="points") for name, c, y in zip(learnt, cost, reached, strict=True)],
        "xy",
    )


def ranks(task: str, seed: int, by: str, draws: int = 2000) -> tuple[float, np.ndarray]:
    """Spearman's correlation of variance × cost with the loss at equal cost, and its bootstrap over seeds and
    estimators."""
    found = training_run(task, seed)
    learnt, variances = found.learnt, found.variances
    cost = {name: getattr(each, by) for name, each in learnt.items()}
    budget = min(cost[name] * each.steps[-1] for name, each in learnt.items())
    work = np.array([variances[name][0] * cost[name] for name in learnt])
    reached = torch.stack([each.at(budget / cost[name]) for name, each in learnt.items()]).numpy()
    rng = np.random.default_rng(seed)
    drawn = []
    while len(drawn) < draws:
        rows = rng.integers(len(work), size=len(work))
        if len(set(rows)) > 2:
            seeds = rng.integers(reached.shape[1], size=reached.shape[1])
            drawn.append(rank_correlation(work[rows], reached[rows][:, seeds].mean(1)))
    return rank_correlation(work, reached.mean(1)), np.array(drawn)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def correlation_check(what: str, value: float, drawn: np.ndarray) -> Check:
    """The correlation is above 0, by its 95 % interval."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Check(what, 0.0, value, float(low), float(high), ">")


def gap(learnt: dict[str, Learning], name: str, other: str) -> tuple[float, float]:
    """The mean last loss of one less that of the other, and 4 standard errors."""
    one, two = learnt[name].loss[-1], learnt[other].loss[-1]
    error = float(((one.var() + two.var()) / len(one)) ** 0.5)
    return float(one.mean() - two.mean()), 4 * error


def quotient(variances: dict[str, tuple[float, float]], one: str, other: str) -> tuple[float, float]:
    """The ratio of two variances, and 4 standard errors."""
    (a, x), (b, y) = variances[one], variances[other]
    return a / b, SIGMAS * a / b * (x**2 + y**2) ** 0.5


@fact("training", "learning curves", "Tucker et al. 2017; Titsias, Shi 2022; measured", slow=True)
def training_many_bits(sampler: Sampler) -> FactResults:
    """Two hundred bits, f = mean (b − .499)²: trained with four draws by Adam for 1,000 steps, leave-one-out, DisARM,
    ARM and ARMS end nearer to the optimum .249001 than REINFORCE, by more than chance over seeds."""
    found = training_run("bits", sampler.seed)
    learnt = found.learnt
    best = 0.499**2
    for name in ("rloo", "disarm", "arm", "arms"):
        yield above(f"REINFORCE − {name}, last loss", 0.0, *gap(learnt, "reinforce", name))
    yield from training_results("bits", found, best - 1e-6)


@fact("training", "learning curves", "Ranganath, Gerrish, Blei 2014; Kucukelbir et al. 2017; measured", slow=True)
def training_logistic_regression(sampler: Sampler) -> FactResults:
    """Variational logistic regression: with four draws by Adam, pathwise gradients come within 2 nats of the best bound
    −67.4633672 in 600 steps, the score function with leave-one-out does not, and without it is farther still."""
    found = training_run("logistic", sampler.seed)
    learnt = found.learnt
    best = 67.4633672
    for name in ("reparameterisation", "sticking_the_landing", "antithetic"):
        short = learnt[name].loss[-1] - best
        error = SIGMAS * float(short.std()) / len(short) ** 0.5
        yield below(f"{name}: nats short of the best", 2.0, float(short.mean()), error)
    yield above("rloo: nats more than pathwise", 0.0, *gap(learnt, "rloo", "reparameterisation"))
    yield above("REINFORCE: nats more than rloo", 0.0, *gap(learnt, "reinforce", "rloo"))
    yield from training_results("logistic", found, best)


@fact("training", "learning curves", "Dong, Mnih, Tucker 2020, figure 2; measured at small scale", slow=True)
def training_digits_vae(sampler: Sampler) -> FactResults:
    """A VAE with 10 bits on digits, linear: DisARM, leave-one-out and ARM, with four draws, train alike, within .3 nats
    of each other, and REINFORCE stays over a nat behind. The variance at the same point is least for DisARM or
    leave-one-out, then ARM, and far larger for REINFORCE."""
    found = training_run("vae", sampler.seed)
    learnt, variances = found.learnt, found.variances
    for name in ("disarm", "arm"):
        apart, error = gap(learnt, name, "rloo")
        yield below(f"|{name} − rloo|, nats", 0.3, abs(apart), error)
    yield above("REINFORCE − rloo, nats", 1.0, *gap(learnt, "reinforce", "rloo"))
    yield below("DisARM ÷ ARM, variance", 1.0, *quotient(variances, "disarm", "arm"))
    yield above("REINFORCE ÷ ARM, variance", 20.0, *quotient(variances, "reinforce", "arm"))
    floor = float(min(each.loss.min() for each in learnt.values())) - 0.2
    yield from training_results("vae", found, floor)


@fact("training", "variance and progress", "measured", slow=True)
def variance_predicts_progress(sampler: Sampler) -> FactResults:
    """Does variance per second predict progress? Over unbiased estimators, Spearman's rank correlation of variance ×
    cost with the loss reached at equal cost, in seconds or in evaluations, is above 0: the mean of three problems,
    interval by bootstrap over seeds and estimators."""
    curves = []
    for by, unit in (("seconds", "second"), ("evaluations", "evaluation")):
        each = {task: ranks(task, sampler.seed, by) for task in TASKS}
        pooled, mean = np.mean([drawn for _, drawn in each.values()], 0), np.mean([value for value, _ in each.values()])
        yield correlation_check(f"per {unit}, mean of three problems", float(mean), pooled)
        ends = np.array([np.quantile(drawn, [0.025, 0.975]) for _, drawn in each.values()])
        at = [float(i) + (0.1 if by == "evaluations" else 0.0) for i in range(len(each))]
        values = [value for value, _ in each.values()]
        curves.append(Curve(f"per {unit}", at, values, ends[:, 0].tolist(), ends[:, 1].tolist(), "points"))
    yield Picture("Variance × cost and loss", f"problem: 0 to 2 = {', '.join(TASKS)}", "rank correlation", curves)
