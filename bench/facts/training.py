"""Training: the same estimators, seeds and optimiser on three problems, and whether variance predicts progress."""

from functools import cache

import numpy as np
import torch
from scipy.stats import rankdata

import estimators
from bench.facts.fact import Check, Curve, Evidence, Picture, above, below, fact, near
from bench.facts.learning import DigitsVae, Learning, Logistic, ManyBits, Task, learn, spread
from bench.facts.sampler import Sampler
from estimators.core import Estimator

TASKS: dict[str, tuple[Task, tuple[str, ...], int]] = {
    "bits": (
        ManyBits(1000, 0.05),
        ("reinforce", "self_critical", "independent_baseline", "rloo", "arm", "disarm", "arms", "rebar"),
        8,
    ),
    "logistic": (
        Logistic(600, 0.05),
        ("reinforce", "independent_baseline", "rloo", "reparameterisation", "sticking_the_landing", "antithetic"),
        8,
    ),
    "vae": (DigitsVae(600, 0.01), ("reinforce", "independent_baseline", "rloo", "arm", "disarm", "rebar"), 4),
}


def named(name: str) -> Estimator:
    """The estimator; an antithetic pair is of pathwise gradients here."""
    return (
        estimators.get(name, inner=estimators.get("reparameterisation"))
        if name == "antithetic"
        else estimators.get(name)
    )


@cache
def trained(task: str, seed: int) -> tuple[dict[str, Learning], dict[str, float]]:
    """Each estimator's training, and its variance: the geometric mean over the first and the middle checkpoints of
    leave-one-out's or the pathwise gradient's path, the same for all."""
    what, names, seeds = TASKS[task]
    sampler = Sampler(f"training {task}", seed)
    learnt = {name: learn(what, named(name), sampler, seeds=seeds) for name in names}
    path = learnt["rloo" if task != "logistic" else "reparameterisation"].path
    points, replicates = (path[0], path[len(path) // 2]), 1024 if task == "vae" else 8192
    logs = {
        name: np.mean([np.log(spread(what, named(name), at, sampler, replicates=replicates)) for at in points])
        for name in names
    }
    return learnt, {name: float(np.exp(value)) for name, value in logs.items()}


def pictures(task: str, learnt: dict[str, Learning], variances: dict[str, float], floor: float) -> Evidence:
    """Learning curves with intervals over seeds, and variance against what is left to gain."""
    curves = []
    for name, each in learnt.items():
        over = each.loss - floor
        mean, half = over.mean(1), 2 * over.std(1) / over.shape[1] ** 0.5
        steps = [float(step) for step in each.steps]
        low, high = (mean - half).clamp_min(1e-9).tolist(), (mean + half).tolist()
        curves.append(Curve(name, steps, mean.clamp_min(1e-9).tolist(), low, high))
    yield Picture(f"{task}: exact loss, less the best known", "step", "excess loss", curves, "y")
    cost = [variances[name] * each.seconds for name, each in learnt.items()]
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
    learnt, variances = trained(task, seed)
    cost = {name: getattr(each, by) for name, each in learnt.items()}
    budget = min(cost[name] * each.steps[-1] for name, each in learnt.items())
    work = np.array([variances[name] * cost[name] for name in learnt])
    reached = torch.stack([each.at(budget / cost[name]) for name, each in learnt.items()]).numpy()
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < draws:
        rows = rng.integers(len(work), size=len(work))
        if len(set(rows)) > 2:
            seeds = rng.integers(reached.shape[1], size=reached.shape[1])
            found.append(rank_correlation(work[rows], reached[rows][:, seeds].mean(1)))
    return rank_correlation(work, reached.mean(1)), np.array(found)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's."""
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def correlated(what: str, value: float, drawn: np.ndarray) -> Check:
    """The correlation is above 0, by its 95 % interval."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Check(what, 0.0, value, float(low), float(high), ">")


def gap(learnt: dict[str, Learning], name: str, other: str) -> tuple[float, float]:
    """The mean last loss of one less that of the other, and 4 standard errors."""
    one, two = learnt[name].loss[-1], learnt[other].loss[-1]
    error = float(((one.var() + two.var()) / len(one)) ** 0.5)
    return float(one.mean() - two.mean()), 4 * error


@fact("training", "learning curves", "Tucker et al. 2017; Titsias, Shi 2022; measured", slow=True)
def training_many_bits(sampler: Sampler) -> Evidence:
    """Two hundred bits, f = mean (b − .499)²: trained with four draws by Adam for 1,000 steps, leave-one-out, DisARM,
    ARM and ARMS end nearer to the optimum .249001 than REINFORCE, by more than chance over seeds."""
    learnt, variances = trained("bits", sampler.seed)
    best = 0.499**2
    for name in ("rloo", "disarm", "arm", "arms"):
        yield above(f"REINFORCE − {name}, last loss", 0.0, *gap(learnt, "reinforce", name))
    yield from pictures("bits", learnt, variances, best - 1e-6)


@fact("training", "learning curves", "Ranganath, Gerrish, Blei 2014; Kucukelbir et al. 2017; measured", slow=True)
def training_logistic_regression(sampler: Sampler) -> Evidence:
    """Variational logistic regression: with four draws by Adam, pathwise gradients come within 2 nats of the best bound
    −67.4633672 in 600 steps, the score function with leave-one-out does not, and without it is farther still."""
    learnt, variances = trained("logistic", sampler.seed)
    best = 67.4633672
    ends = {name: float(each.loss[-1].mean()) - best for name, each in learnt.items()}
    for name in ("reparameterisation", "sticking_the_landing", "antithetic"):
        yield below(f"{name}: nats short of the best", 2.0, ends[name])
    yield above("rloo: nats more than pathwise", 0.0, *gap(learnt, "rloo", "reparameterisation"))
    yield above("REINFORCE: nats more than rloo", 0.0, *gap(learnt, "reinforce", "rloo"))
    yield from pictures("logistic", learnt, variances, best)


@fact("training", "learning curves", "Dong, Mnih, Tucker 2020, figure 2; measured at small scale", slow=True)
def training_digits_vae(sampler: Sampler) -> Evidence:
    """A VAE with 10 bits on digits, linear: DisARM, leave-one-out and ARM, with four draws, train alike, within .3 nats
    of each other, and REINFORCE stays over a nat behind. The variance at the same point is least for DisARM or
    leave-one-out, then ARM, and far larger for REINFORCE."""
    learnt, variances = trained("vae", sampler.seed)
    for name in ("disarm", "arm"):
        yield near(f"{name} − rloo, nats", 0.0, gap(learnt, name, "rloo")[0], 0.3, within=0.5, scale=1.0)
    yield above("REINFORCE − rloo, nats", 1.0, *gap(learnt, "reinforce", "rloo"))
    yield below("DisARM ÷ ARM, variance", 1.0, variances["disarm"] / variances["arm"])
    yield above("REINFORCE ÷ ARM, variance", 20.0, variances["reinforce"] / variances["arm"])
    yield from pictures("vae", learnt, variances, float(min(each.loss.min() for each in learnt.values())) - 0.2)


@fact("training", "variance and progress", "measured", slow=True)
def variance_predicts_progress(sampler: Sampler) -> Evidence:
    """Does variance per second predict progress? Over unbiased estimators, Spearman's rank correlation of variance ×
    cost with the loss reached at equal cost, in seconds or in evaluations, is above 0: the mean of three problems,
    interval by bootstrap over seeds and estimators."""
    curves = []
    for by, unit in (("seconds", "second"), ("evaluations", "evaluation")):
        each = {task: ranks(task, sampler.seed, by) for task in TASKS}
        pooled, mean = np.mean([drawn for _, drawn in each.values()], 0), np.mean([value for value, _ in each.values()])
        yield correlated(f"per {unit}, mean of three problems", float(mean), pooled)
        ends = np.array([np.quantile(drawn, [0.025, 0.975]) for _, drawn in each.values()])
        at = [float(i) + (0.1 if by == "evaluations" else 0.0) for i in range(len(each))]
        values = [value for value, _ in each.values()]
        curves.append(Curve(f"per {unit}", at, values, ends[:, 0].tolist(), ends[:, 1].tolist(), "points"))
    yield Picture("Variance × cost and loss", f"problem: 0 to 2 = {', '.join(TASKS)}", "rank correlation", curves)
