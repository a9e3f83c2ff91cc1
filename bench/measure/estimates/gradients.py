"""Independent gradient estimates in batches: replicates are the leading batch axis."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.execution.modes import executed
from bench.numerics.tensors import Tensors
from bench.problems.problem import Problem
from bench.problems.theta import blocks
from estimators.core import Estimator, Objective
from estimators.needs import Offer
from estimators.tools.noise_of_f import NoiseSource, drawing_from


class Gradients:
    """Draws estimates of one problem's gradient by one estimator: `Gradients(…)(R)` is `[R, P]`.

    θ is encoded once, and the parameters are expanded to `[R, …]`. One backward pass of the summed surrogate gives the
    gradient of every replicate in the parameters, and one batched pullback maps these gradients to θ. Draws come from
    torch's global generator, which the caller seeds; see `bench.measure.execution.modes` for the draws of each mode.

    Args:
        problem: The problem.
        estimator: The estimator.
        samples: Draws per estimate, n.
        device: Device of the estimates.
        dtype: dtype of the estimates.
        mode: eager, compile or graph.

    >>> from bench.distributions import distributions
    >>> from bench.objectives import objectives
    >>> import estimators
    >>> problem = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))
    >>> Gradients(problem, estimators.get("rloo"), samples=2)(7).shape
    torch.Size([7, 3])
    """

    def __init__(
        self,
        problem: Problem,
        estimator: Estimator,
        samples: int,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float64,
        mode: str = "eager",
    ) -> None:
        self.estimator, self.samples = estimator, samples
        theta = {name: value.to(device, dtype) for name, value in problem.theta().items()}
        self.blocks = blocks(theta)
        self.problem = along_draws(problem, theta)
        self.parameters, self._pullback = encoded(self.problem, theta)
        like = next(iter(theta.values()))
        self._build = self.problem.builder(like)
        self.function, self.minibatches = self.problem.function(like), self.problem.minibatches(like)
        self.noise: NoiseSource | None = None
        self._encoded = {name: value.clone() for name, value in self.parameters.items()}
        self._step = executed(self.estimates, mode)

    @property
    def device(self) -> torch.device:
        """The device of the estimates."""
        return next(iter(self.parameters.values())).device

    def by(self, estimator: Estimator, samples: int | None = None, *, mode: str = "eager") -> "Gradients":
        """Gradients of the same problem by another estimator, with another n or in another mode; encodes nothing again.

        Default: the same n, mode eager.
        """
        own = copy(self)
        own.estimator, own.samples = estimator, self.samples if samples is None else samples
        own._step = executed(own.estimates, mode)
        return own

    def with_noise_of(self, source: NoiseSource) -> "Gradients":
        """The same gradients, eager, whose minibatches and noise of f are drawn from `source`."""
        own = self.by(self.estimator)
        own.noise = source
        own.function = drawing_from(self.function, source) if self.function.noisy else self.function
        return own

    @cached_property
    def offer(self) -> Offer:
        """What q and f of this problem offer to estimators."""
        return self.problem.offer(self.parameters, self.function)

    @property
    def unchanged(self) -> bool:
        """Whether the parameters still have their initial values: f must not change them."""
        return all(same(value, self._encoded[name]) for name, value in self.parameters.items())

    def surrogate(self, parameters: Tensors, watch: Callable[[Distribution], object] | None = None) -> Tensor:
        """The sum over replicates of the surrogate at parameters `[R, …]`; a scalar.

        `watch`: is given q before the estimator gets it.
        """
        parameters, f = self.with_data(parameters)
        q = self._build(parameters)
        if watch is not None:
            watch(q)
        return self.problem.reduce(self.estimator.surrogate(q, f, self.samples)).sum()

    def with_data(self, parameters: Tensors) -> tuple[Tensors, Objective]:
        """q's parameters and f, on all data, or on a fresh minibatch per replicate that all its draws share."""
        f = self.function
        if self.minibatches is not None:
            subset = partial(self.minibatches.draw, parameters, self.problem.weights)
            device = next(iter(parameters.values())).device
            parameters, f = self.noise(subset, device) if self.noise else subset()
        return parameters, self.problem.at(f, parameters)

    @property
    def noisy(self) -> bool:
        """Whether estimates vary for another reason than their draws: minibatches, or noise of f."""
        return self.minibatches is not None or self.function.noisy

    def __call__(self, replicates: int) -> Float[Tensor, "R P"]:
        return self._step(self.expanded(replicates))

    def expanded(self, replicates: int) -> Tensors:
        """The parameters expanded to `[R, …]`, without copies."""
        return {name: value.expand(replicates, *value.shape) for name, value in self.parameters.items()}

    def estimates(self, expanded: Tensors) -> Float[Tensor, "R P"]:
        """One estimate per replicate: a pure function of the expanded parameters and torch's generator."""
        return self.pulled(torch.func.grad(self.surrogate)(expanded))

    def pulled(self, in_parameters: Tensors) -> Float[Tensor, "R P"]:
        """The gradients in θ from those in q's parameters, `[R, …]`."""
        return self._pullback(in_parameters)

    def reached(self, marked: Tensor) -> Float[Tensor, " P"]:
        """The pullback to θ of `marked`, a vector in q's only parameter: nonzero where θ influences a marked entry."""
        (name,) = set(self.parameters) - set(self.problem.weights)
        none = {name: torch.zeros_like(value).unsqueeze(0) for name, value in self.parameters.items()}
        return self._pullback(none | {name: marked.to(none[name]).unsqueeze(0)})[0]


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same values; NaN equals NaN.

    >>> same(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]))
    True
    """
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def encoded(problem: Problem, theta: Tensors) -> tuple[Tensors, Callable[[Tensors], Tensor]]:
    """The detached parameters at θ, and the batched pullback of their gradients to θ: `[R, …]` → `[R, P]`.

    A pullback made outside a compiled step cannot be called inside it, so each call encodes θ again; this costs little
    compared with R replicates.
    """

    encode = problem.encoder(next(iter(theta.values())))
    parameters = {name: value.detach() for name, value in encode(theta).items()}
    if getattr(problem.family, "by_jacobian", False) and stored(parameters, theta) <= MOST_STORED:
        return parameters, by_jacobian(encode, theta)

    def pull(gradients: Tensors) -> Tensor:
        _, pullback, *_ = torch.func.vjp(encode, theta)
        (in_theta,) = torch.func.vmap(pullback)(gradients)
        return torch.cat([value.flatten(1) for value in in_theta.values()], 1)

    return parameters, pull


def along_draws(problem: Problem, theta: Tensors) -> Problem:
    """The problem, with θ as q's parameters if its encoder's Jacobian is too large and the family has such a form.

    Each estimate is then pulled back through what its draws visit alone: the same estimates at another cost.
    """
    own = problem.family.along_draws()
    if own is None or stored(problem.encode(theta), theta) <= MOST_STORED:
        return problem
    return replace(problem, family=own)


MOST_STORED = 5 * 10**7
"""Largest number of entries of an encoder's Jacobian: larger ones are not stored."""
TANGENTS = 32
"""Columns of a Jacobian that are computed together."""


def stored(parameters: Tensors, theta: Tensors) -> int:
    """The number of entries of the encoder's Jacobian."""
    return sum(each.numel() for each in parameters.values()) * sum(each.numel() for each in theta.values())


def by_jacobian(encode: Callable[[Tensors], Tensors], theta: Tensors) -> Callable[[Tensors], Tensor]:
    """The batched pullback of an encoder whose own backward pass is long: its Jacobian, computed once."""
    basis = torch.eye(sum(value.numel() for value in theta.values())).to(next(iter(theta.values())))
    along = {name: basis[:, part].unflatten(1, theta[name].shape) for name, part in blocks(theta).items()}
    columns = torch.func.vmap(lambda step: torch.func.jvp(encode, (theta,), (step,))[1], chunk_size=TANGENTS)(along)
    wide = {name: each.detach().flatten(1).T.contiguous() for name, each in columns.items()}

    def pull(gradients: Tensors) -> Tensor:
        return torch.stack([gradients[name].flatten(1) @ each for name, each in wide.items()]).sum(0)

    return pull
