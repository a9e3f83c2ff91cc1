"""How noisy is my training right now? A monitor for any loop in torch that accumulates gradients over micro-batches.

A step's gradient is the sum of those of its K micro-batches, which are independent draws. From their differences the
monitor estimates four numbers of the gradient that the optimiser receives, each with a 95 % interval:

- `variance`: tr Σ, the sum of the variances of the gradient's entries;
- `snr`: ‖G‖/√tr Σ, the length of the expected gradient in standard deviations of the gradient;
- `noise_scale`: the gradient noise scale tr Σ₁/‖G‖², with Σ₁ the covariance for a batch of one sample (McCandlish et
  al. 2018, An Empirical Model of Large-Batch Training, eq. 2.9): the batch size at which snr is 1;
- `cosine`: the cosine of the angle between the gradients of the two halves of a batch, from the inner product and the
  squared lengths averaged over all ways to halve it.

The estimates of tr Σ and ‖G‖² are unbiased. The last three numbers are one ratio in three units: noise_scale = batch
size/snr², cosine = snr²/(snr² + 2). Where the gradient is not distinguishable from 0, the interval of snr begins at 0
and that of the noise scale has no finite upper end: `inf`, never NaN.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.errors import BadInput, at_least, whole_number
from estimators.tools.gradient_moments import GradientMoments, PooledMoments, centring, gradient_moments, gram, pooled
from estimators.tools.noise_intervals import positive_interval, ratio_interval

FEWEST_GRADIENTS = 4
"""The fewest gradients whose differences give intervals."""
LEFT_OVER = (
    "Monitor: a step begins with the gradient of the step before, and is left out; call zero_grad() before the first "
    "backward() of each step"
)


@dataclass(frozen=True)
class GradientMark:
    """What one parameter's gradient was at the end of a step, to tell at the next one whether it only grew since.

    `version` counts in-place changes: a backward pass makes one, and setting to 0 another. A gradient that was also
    clipped or scaled in place meanwhile is not recognised. `nonzero`: the number of its entries that are not 0.
    """

    parameter: Tensor
    memory: int
    version: int
    nonzero: Tensor

    @classmethod
    def of(cls, parameters: list[Tensor]) -> "GradientMark | None":
        """Returns the mark of the first dense gradient; None without one."""
        for each in parameters:
            if each.grad is not None and each.grad.layout == torch.strided:
                return cls(each, each.grad.data_ptr(), each.grad._version, each.grad.count_nonzero())
        return None

    def grown(self) -> bool:
        """Whether the gradient was not 0 and was changed exactly once since, in the same memory."""
        gradient = self.parameter.grad
        if gradient is None or gradient.layout != torch.strided:
            return False
        same = gradient.data_ptr() == self.memory and gradient._version == self.version + 1
        return same and bool(self.nonzero)


class Monitor:
    """Measures the noise of the gradients of a training loop, in a window of its latest monitored steps.

    Call `add()` after each micro-batch's `backward()`, and `step()` after the last one. Micro-batches must be of equal
    size, drawn independently, and at least 4 in a step. Gradients are read and never changed; they must be 0 or None
    when a step begins, and must not be clipped or scaled between two micro-batches. Memory: one gradient per
    micro-batch.

    Args:
        parameters: tensors whose gradients are monitored; those that do not require gradients are left out.
        micro_batch_size: samples in a micro-batch, the unit of `noise_scale`.
        every: monitors one step of so many. A monitored step writes and reads every gradient once, which alone takes a
            third of a small network's step; the default keeps the cost of all steps below 3 % (README).
        window: number of monitored steps that are averaged. The numbers are means over them.

    Raises BadInput if no parameter requires a gradient, or a number is below 1.

    >>> weight = torch.zeros(3, requires_grad=True)
    >>> monitor = Monitor([weight], every=1)
    >>> for x in torch.randn(8, 3, generator=torch.Generator().manual_seed(0)):
    ...     (weight - x).square().sum().backward()
    ...     monitor.add()
    >>> round(monitor.step()["variance"])  # the true value is 96
    114
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, micro_batch_size: int = 1, every: int = 100, window: int = 16
    ) -> None:
        self.parameters = trainable(parameters)
        self.micro_batch_size = at_least(1, "micro_batch_size", micro_batch_size)
        self.every, self.window = whole_number(1, "every", every), whole_number(1, "window", window)
        self.steps = 0
        self._latest: deque[GradientMoments] = deque(maxlen=self.window)
        self._rows, self._added = flat_rows(self.parameters, 8), 0
        self._places = places(self._rows, self.parameters)
        self._seen, self._spoilt = GradientMark.of(self.parameters), False

    def add(self) -> None:
        """Reads the gradient that has grown by one micro-batch. Raises BadInput before the first `backward()`."""
        if self.steps % self.every:
            return
        if all(each.grad is None for each in self.parameters):
            raise BadInput("Monitor.add: no parameter has a gradient; call add() after the backward() of a micro-batch")
        if not self._added and self._seen is not None and self._seen.grown():
            self._spoilt = True
            warnings.warn(LEFT_OVER, stacklevel=2)
        if self._added == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
            self._places = places(self._rows, self.parameters)
        copy_into(self._places[self._added], [each.grad for each in self.parameters])
        self._added += 1

    def step(self) -> dict[str, float]:
        """Ends a step and returns the numbers as a dict for a logger; an empty one where the step is not monitored.

        Each of `variance`, `snr`, `noise_scale` and `cosine` has its ends beside it, such as `snr_low` and `snr_high`.
        A step with a NaN or an infinite gradient is left out, and so is one that began with the gradient of the step
        before, with a warning.

        Raises BadInput if a monitored step had fewer than 4 micro-batches.
        """
        added, self._added, self.steps = self._added, 0, self.steps + 1
        spoilt, self._spoilt = self._spoilt, False
        self._seen = None if self.steps % self.every else GradientMark.of(self.parameters)
        if (self.steps - 1) % self.every:
            return {}
        enough("Monitor.step", "micro-batches: call add() after the backward() of each", added)
        products = gram(self._rows[:added], increments(added))
        if products.isfinite().all() and not spoilt:
            self._latest.append(gradient_moments(products))
        if not self._latest:
            return {}
        found = pooled(GradientMoments(*map(torch.stack, zip(*self._latest, strict=True))))
        return numbers(found, self.micro_batch_size, float(found.count))


def gradient_noise(
    parameters: Iterable[Tensor], closure: Callable[[], Tensor], *, passes: int = 8, batch_size: int = 1
) -> dict[str, float]:
    """Measures the noise of a gradient by a few extra backward passes; `.grad` and the parameters stay as they are.

    Args:
        parameters: the tensors whose gradients are measured.
        closure: returns the loss, a scalar, on a fresh batch at each call.
        passes: number of calls, at least 4.
        batch_size: samples in a batch, the unit of `noise_scale`.

    Returns: the numbers of `Monitor.step`, of the gradient of one batch.

    Raises BadInput if the loss is no scalar with a gradient, or a gradient is not finite.

    >>> weight = torch.zeros(3, requires_grad=True)
    >>> noise = gradient_noise([weight], lambda: (weight - torch.ones(3)).square().sum())
    >>> noise["variance"], noise["cosine"]
    (0.0, 1.0)
    """
    leaves = trainable(parameters)
    at_least(1, "batch_size", batch_size)
    passes = whole_number(1, "passes", passes)
    enough("gradient_noise", "passes", passes)
    rows = flat_rows(leaves, passes)
    for row in places(rows, leaves):
        loss = closure()
        if not isinstance(loss, Tensor):
            raise BadInput(f"gradient_noise: closure must return a scalar loss with a graph, found {loss!r}")
        if loss.dim() or not loss.requires_grad:
            raise BadInput(
                f"gradient_noise: closure must return a scalar loss with a graph, found shape {tuple(loss.shape)}"
                + ("" if loss.requires_grad else " without a graph")
            )
        copy_into(row, torch.autograd.grad(loss, leaves, allow_unused=True))
    products = gram(rows, centring(passes))
    if not products.isfinite().all():
        raise BadInput("gradient_noise: a gradient has a NaN or an infinity, so it has no noise to measure")
    return numbers(pooled(gradient_moments(products[None])), batch_size, 1.0)


def numbers(found: PooledMoments, samples: int, in_sum: float) -> dict[str, float]:
    """The dict of `Monitor.step`.

    `samples`: those behind each gradient. `in_sum`: how many gradients add up to the one that is described.
    """
    covariance, degrees = found.covariance.tolist(), float(found.degrees)
    noise = positive_interval(float(found.noise), covariance[1][1], degrees)
    value, low, high = ratio_interval(float(found.signal), float(found.noise), covariance, degrees)
    intervals = {
        "variance": tuple(in_sum * each for each in noise),
        "snr": tuple((in_sum * each) ** 0.5 for each in (value, low, high)),
        "noise_scale": tuple(over(float(samples), each) for each in (value, high, low)),
        "cosine": tuple(1 / (1 + over(2.0, in_sum * each)) for each in (value, low, high)),
    }
    ends = ("", "_low", "_high")
    return {f"{name}{end}": x for name, each in intervals.items() for end, x in zip(ends, each, strict=True)}


def over(number: float, ratio: float) -> float:
    """number/ratio; infinite where the ratio is 0."""
    return number / ratio if ratio else float("inf")


def increments(count: int) -> Float[Tensor, "K1 K"]:
    """The matrix that makes the mean and the deviations from it of K gradients, from their running sums."""
    one = torch.ones(count, dtype=torch.float64)
    return centring(count) @ (torch.diag(one) - torch.diag(one[1:], -1))


def trainable(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that require gradients, each of them once; raises BadInput if there is none."""
    if isinstance(parameters, Tensor | torch.nn.Module):
        raise BadInput(
            f"parameters must be several tensors, such as model.parameters(); found one {type(parameters).__name__}"
        )
    found = [each for each in {id(each): each for each in parameters}.values() if each.requires_grad]
    if not found:
        raise BadInput("parameters: none of them requires a gradient; pass model.parameters(), or tensors that do")
    return found


def enough(where: str, of: str, count: int) -> None:
    """Raises BadInput if fewer than 4 gradients differ."""
    if count < FEWEST_GRADIENTS:
        raise BadInput(f"{where} needs at least {FEWEST_GRADIENTS} {of}, found {count}")


def flat_rows(parameters: list[Tensor], count: int) -> Float[Tensor, "count P"]:
    """Memory for `count` gradients, in float32 or, where a parameter is, in float64."""
    first = parameters[0]
    dtype = torch.float64 if any(each.dtype == torch.float64 for each in parameters) else torch.float32
    return torch.empty(count, sum(each.numel() for each in parameters), dtype=dtype, device=first.device)


def places(rows: Float[Tensor, "count P"], parameters: list[Tensor]) -> list[list[Tensor]]:
    """The part of each row that belongs to each parameter, in the parameter's shape."""
    sizes = [each.numel() for each in parameters]
    return [[part.view_as(each) for part, each in zip(row.split(sizes), parameters, strict=True)] for row in rows]


def copy_into(row: list[Tensor], gradients: Iterable[Tensor | None]) -> None:
    """Copies gradients into the places of a row; one that is missing is 0, a sparse one is made dense."""
    for place, gradient in zip(row, gradients, strict=True):
        if gradient is None:
            place.zero_()
        else:
            place.copy_(gradient if gradient.layout == torch.strided else gradient.to_dense())
