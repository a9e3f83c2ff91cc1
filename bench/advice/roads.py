"""The two roads from a model to gradient estimates: one training step at a time, or many at once."""

import torch
from jaxtyping import Float
from torch import Tensor

from bench.advice.own_model import OwnModel
from bench.advice.own_problem import own_problem
from bench.measure.estimates.batching import replicates_per_chunk
from bench.measure.estimates.gradients import Gradients
from bench.numerics.tensors import Tensors
from estimators.core import Estimator, Objective
from estimators.joint import Joint
from estimators.registry import get
from estimators.tools.parameters import alike, parameters, rebuild

CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""How far two computations of one log-density may be apart, relative to the largest."""
AWAY = 0.1
"""How far the second point is from θ: this share of 1 + |θ|."""


def training_step(model: OwnModel, estimator: Estimator, samples: int) -> Float[Tensor, " P"]:
    """One gradient estimate, as a training loop takes it: q at θ, the surrogate, its gradient in θ."""
    return step_gradient(model, model.objective_of_step(), estimator, samples)


def step_gradient(model: OwnModel, f: Objective, estimator: Estimator, samples: int) -> Float[Tensor, " P"]:
    """The estimate of a training step with the objective f."""
    theta = model.leaves()
    surrogate = estimator.surrogate(model.distribution(theta), f, samples)
    found = torch.autograd.grad(surrogate.mean(), list(theta.values()), allow_unused=True, materialize_grads=True)
    return torch.cat([each.reshape(-1) for each in found])


class Loop:
    """Estimates by one training step after another."""

    def __init__(self, model: OwnModel, estimator: Estimator, samples: int) -> None:
        self.model, self.estimator, self.samples = model, estimator, samples

    def __call__(self, replicates: int) -> Float[Tensor, "R P"]:
        return torch.stack([training_step(self.model, self.estimator, self.samples) for _ in range(replicates)])


class ByAutograd(Gradients):
    """Estimates by `torch.autograd`, as in a training loop: samplers and black boxes that take no functional transform
    (torch's Dirichlet, numpy) are measured too."""

    def estimates(self, expanded: Tensors) -> Float[Tensor, "R P"]:
        leaves = {name: value.detach().clone().requires_grad_() for name, value in expanded.items()}
        found = torch.autograd.grad(
            self.surrogate(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        return self._pullback(dict(zip(leaves, found, strict=True)))


class Batched:
    """Estimates many at once, from q rebuilt at expanded parameters. `most`: replicates that fit in one batch."""

    def __init__(self, model: OwnModel, estimator: Estimator, samples: int) -> None:
        self.gradients = ByAutograd(own_problem(model), estimator, samples, device=model.device, dtype=model.dtype)
        self.most = replicates_per_chunk(self.gradients)

    def __call__(self, replicates: int) -> Float[Tensor, "R P"]:
        return self.gradients(replicates).detach()


def no_batch(model: OwnModel) -> str | None:
    """Returns why the batched road would measure another model than the user's, in a clause; None if both agree.

    Shown at θ and at a second point: q rebuilt from its parameters gives q's seeded draws and log-densities, rebuilt
    with replicates it gives each one q's log-density and its own draws, and f gives each the value that it has alone.
    A noisy f cannot be shown to: a minibatch would be the same for all replicates.
    """
    if isinstance(model.q(), Joint):
        return "the model has several random variables"
    if model.noise:
        return "the objective is noisy, and estimates drawn together could share its noise"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            reason = _differs(model, model.theta) or _differs(model, _second_point(model.theta))
            if reason is None:
                Batched(model, get("reinforce"), 2)(2)
            return reason
        except Exception as error:
            return (
                f"it cannot be rebuilt with replicates ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
            )


def _second_point(theta: Tensors) -> Tensors:
    return {name: value + AWAY * (1 + value.abs()) * torch.randn_like(value) for name, value in theta.items()}


def _differs(model: OwnModel, theta: Tensors) -> str | None:
    """Returns how the rebuilt q differs from the user's at these parameters, in a clause."""
    q, pattern = model.distribution(theta), model.distribution(model.theta)
    own = parameters(q)
    if not own:
        return "its class does not name its parameters, so it cannot be rebuilt"
    again = rebuild(pattern, own)
    if (again.batch_shape, again.event_shape) != (q.batch_shape, q.event_shape) or not alike(q, again):
        return "the rebuilt distribution gives other draws or another log-density"
    replicas = rebuild(pattern, {name: value.expand(3, *value.shape) for name, value in own.items()})
    if tuple(replicas.batch_shape) != (3, *q.batch_shape) or replicas.event_shape != q.event_shape:
        return "the rebuilt distribution takes no replicates"
    z = replicas.sample(torch.Size([2]))
    if bool((z[:, 0] == z[:, 1]).all()) and not bool((z[0] == z[1]).all()):
        return "its replicates share their draws"
    for values, of in (
        (replicas.log_prob(z), q.log_prob),
        (model.objective(z, replicas), lambda x: model.objective(x, q)),
    ):
        alone = torch.stack([of(z[:, r]) for r in range(3)], 1)
        if not _close(values.detach(), alone.detach()):
            return "replicates change its log-density, or the objective's values"
    return None


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    scale = max(float(b.abs().max()), 1e-30) if b.numel() else 1.0
    return bool(((a - b).abs() <= CLOSE.get(a.dtype, 1e-4) * scale).all())
