"""Training with replicate seeds side by side: the seeds are a batch axis of one model.

Adam is elementwise, so a stack of S models trains as S models would, each with draws of its own; the minibatches are
the same for all seeds and estimators.
"""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

import estimators
from bench.data.datasets import digits
from bench.distributions.amortised import linear_layer
from bench.measure.estimates.calls import counting
from bench.numerics.constants import LOG_2
from bench.numerics.tensors import Tensors
from bench.objectives.logistic_regression import SIZE, log_joint, signed_features
from bench.objectives.logistic_regression import bound as logistic_bound
from bench.validation.facts.ad_hoc_problem import bits, normal
from bench.validation.facts.sampler import Sampler
from estimators.core import Estimator, Objective
from estimators.tools.parameters import support

TRAINING_SEEDS = 8


@dataclass(frozen=True)
class TrainingTask(ABC):
    """What is trained: a loss to be minimised, E f over q; every θ has a leading axis of seeds."""

    steps: int
    rate: float
    batch = 1

    @abstractmethod
    def start(self) -> Tensors:
        """θ before training, without the axis of seeds."""

    def starts(self, seeds: int) -> Tensors:
        """θ before training with the axis of seeds: the same start for all, unless a task says otherwise."""
        return {name: value.expand(seeds, *value.shape) for name, value in self.start().items()}

    @abstractmethod
    def pair(self, theta: Tensors, rows: Tensor) -> tuple[Distribution, Objective]:
        """q and f of a minibatch; the surrogate's trailing axes are averaged over."""

    @abstractmethod
    def exact(self, theta: Tensors, rows: Tensor | None = None) -> Float[Tensor, " S"]:
        """The loss, exactly, of a minibatch or of all data."""

    data: int = 1

    def rows(self, step: int) -> Tensor:
        """The minibatch of a step: a permutation of the data for every epoch."""
        epoch, place = divmod(step * self.batch, self.data - self.data % self.batch)
        order = torch.randperm(self.data, generator=torch.Generator().manual_seed(epoch))
        return order[place : place + self.batch]


@dataclass(frozen=True)
class ManyBitsTask(TrainingTask):
    """(1/D) Σ (b_i − .499)² of 200 bits, from p = ½ (Tucker et al. 2017; Titsias, Shi 2022)."""

    t: float = 0.499

    def start(self) -> Tensors:
        return {"logits": torch.zeros(200, dtype=torch.float64)}

    def pair(self, theta: Tensors, rows: Tensor) -> tuple[Distribution, Objective]:
        return bits(theta), estimators.Function(lambda b: (b - self.t).square().mean(-1))

    def exact(self, theta: Tensors, rows: Tensor | None = None) -> Tensor:
        p = theta["logits"].sigmoid()
        return (p * (1 - self.t) ** 2 + (1 - p) * self.t**2).mean(-1)


@dataclass(frozen=True)
class LogisticTask(TrainingTask):
    """Variational logistic regression on all 569 patients, a diagonal q from N(0, I)."""

    def start(self) -> Tensors:
        return {name: torch.zeros(SIZE, dtype=torch.float64) for name in ("loc", "log_scale")}

    def pair(self, theta: Tensors, rows: Tensor) -> tuple[Distribution, Objective]:
        x = signed_features()
        q = normal({"loc": theta["loc"], "scale": theta["log_scale"].exp()})
        return q, Negative(lambda z: log_joint(z, x))

    def exact(self, theta: Tensors, rows: Tensor | None = None) -> Tensor:
        return -logistic_bound({"loc": theta["loc"], "scale": theta["log_scale"].exp()}, panels=48)


class Negative(estimators.Evidence):
    """The evidence bound as a loss."""

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return -super().__call__(z, q)

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        return -super().held(z, q)

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return -super().hold(-value, z, q)

    def without_log_q(self, z: Tensor, q: Distribution) -> Tensor:
        return -super().without_log_q(z, q)


@dataclass(frozen=True)
class DigitsVaeTask(TrainingTask):
    """A VAE of `size` bits on binarised digits, encoder and decoder linear; the bound by all states of the bits."""

    size: int = 10
    batch = 50
    data: int = 1797

    def pictures(self) -> Float[Tensor, "data pixels"]:
        """All of them."""
        return digits()

    def start(self, seed: int = 0) -> Tensors:
        pixels, seed = self.pictures().shape[1], 2 * seed
        encoder = linear_layer(pixels, self.size, seed=seed + 1)
        decoder = linear_layer(self.size, pixels, seed=seed + 2)
        return encoder | {f"decoder_{name}": value for name, value in decoder.items()}

    def images(self, rows: Tensor | None) -> Tensor:
        return self.pictures() if rows is None else self.pictures()[rows]

    def logits(self, theta: Tensors, x: Tensor) -> Float[Tensor, "S batch size"]:
        return x @ theta["weight"].mT + theta["bias"].unsqueeze(-2)

    def pair(self, theta: Tensors, rows: Tensor) -> tuple[Distribution, Objective]:
        x = self.images(rows)

        def joint(z: Tensor) -> Tensor:
            pixel = z @ theta["decoder_weight"].mT + theta["decoder_bias"].unsqueeze(-2)
            return (x * pixel - torch.nn.functional.softplus(pixel)).sum(-1) - self.size * LOG_2

        return bits({"logits": self.logits(theta, x)}), Negative(joint)

    def exact(self, theta: Tensors, rows: Tensor | None = None) -> Tensor:
        x = self.images(rows)
        logits = self.logits(theta, x)
        z = support(bits({"logits": torch.zeros(self.size, dtype=x.dtype)}))
        pixel = z @ theta["decoder_weight"].mT + theta["decoder_bias"].unsqueeze(-2)
        likelihood = x @ pixel.mT - torch.nn.functional.softplus(pixel).sum(-1).unsqueeze(-2) - self.size * LOG_2
        log_q = logits @ z.T - torch.nn.functional.softplus(logits).sum(-1, keepdim=True)
        return -(log_q.exp() * (likelihood - log_q)).sum(-1).mean(-1)


@dataclass(frozen=True)
class Learning:
    """One estimator's training: the exact loss of each seed at the checkpoints, seconds and calls of f per step.

    `seconds` are of the processor, for one seed. `path`: θ of the first seed at the checkpoints. `last`: θ of every
    seed after the last step.
    """

    steps: list[int]
    loss: Float[Tensor, "checkpoints S"]
    seconds: float
    evaluations: float
    path: list[Tensors]
    last: Tensors

    def at(self, step: float) -> Float[Tensor, " S"]:
        """Each seed's loss after so many steps, between the checkpoints by a straight line."""
        place = torch.searchsorted(torch.tensor(self.steps, dtype=torch.float64), step).clamp(1, len(self.steps) - 1)
        before, after = self.steps[int(place) - 1], self.steps[int(place)]
        share = min((step - before) / (after - before), 1.0)
        return self.loss[int(place) - 1] * (1 - share) + self.loss[int(place)] * share


def learn(
    task: TrainingTask, estimator: Estimator | None, sampler: Sampler, *, samples: int = 4, seeds: int = TRAINING_SEEDS
) -> Learning:
    """Adam on the surrogate, or on the exact loss without an estimator."""
    theta = {name: value.clone().requires_grad_() for name, value in task.starts(seeds).items()}
    adam = torch.optim.Adam(list(theta.values()), lr=task.rate)
    marks = sorted({round(task.steps * (i / 24) ** 1.5) for i in range(25)})
    losses, path, spent = [], [], 0.0
    sampler.start()
    for step in range(task.steps + 1):
        if step in marks:
            with torch.no_grad():
                losses.append(task.exact(theta))
            path.append({name: value.detach()[:1].clone() for name, value in theta.items()})
        start = time.process_time()
        adam.zero_grad()
        loss(task, estimator, theta, task.rows(step), samples).sum().backward()
        adam.step()
        spent += time.process_time() - start
    last = {name: value.detach() for name, value in theta.items()}
    each = spent / task.steps / seeds
    return Learning(marks, torch.stack(losses), each, calls(task, estimator, samples), path, last)


def loss(
    task: TrainingTask, estimator: Estimator | None, theta: Tensors, rows: Tensor, samples: int
) -> Float[Tensor, " S"]:
    """What is differentiated: a surrogate per seed, or the exact loss."""
    if estimator is None:
        return task.exact(theta, rows)
    q, f = task.pair(theta, rows)
    surrogate = estimator.surrogate(q, f, samples)
    return surrogate.mean(-1) if surrogate.dim() > 1 else surrogate


def calls(task: TrainingTask, estimator: Estimator | None, samples: int) -> float:
    """Calls of f and of its gradient per step and datum."""
    if estimator is None:
        return 0.0
    theta = {name: value.unsqueeze(0).clone().requires_grad_() for name, value in task.start().items()}
    q, f = task.pair(theta, task.rows(0))
    counted, tally = counting(f)
    with torch.random.fork_rng(devices=[]):
        estimator.surrogate(q, counted, samples).sum().backward()
    return float(tally.values + tally.gradients)


def gradient_variance(
    task: TrainingTask,
    estimator: Estimator,
    theta: Tensors,
    sampler: Sampler,
    *,
    samples: int = 4,
    replicates: int = 2048,
) -> tuple[float, float]:
    """The variance of the estimate of q's own parameters at θ, on one minibatch, which is the trace of its covariance,
    and its relative standard error."""
    own = {name: value for name, value in theta.items() if not name.startswith("decoder")}
    rest, rows = {name: value for name, value in theta.items() if name not in own}, task.rows(0)
    sampler.start()

    def summed(own: Tensors) -> Tensor:
        return loss(task, estimator, own | rest, rows, samples).sum()

    parts = []
    for _ in range(replicates // 256):
        expanded = {name: value.expand(256, *value.shape[1:]) for name, value in own.items()}
        wide = {name: value.expand(256, *value.shape[1:]) for name, value in rest.items()}
        rest = wide if not parts else rest
        gradient = torch.func.grad(summed)(expanded)
        parts.append(torch.cat([value.flatten(1) for value in gradient.values()], 1))
    sample = torch.cat(parts)
    distance = (sample - sample.mean(0)).square().sum(1) * len(sample) / (len(sample) - 1)
    return float(distance.mean()), float(distance.std() / distance.mean()) / len(sample) ** 0.5
