"""A turn of one estimator: gradient estimates within a time limit, sent between processes as sums.

An estimate of P coordinates is kept as at most `WIDE` numbers: P beyond that are added up in `WIDE` groups with random
signs (Charikar, Chen, Farach-Colton 2002), so that a mean that is off is off there too, whatever P is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.advice import stopwatch
from bench.advice.parcel import Parcel
from bench.statistics.moments import Moments
from bench.statistics.stream import HUGE

WIDE = 2048
"""Coordinates that are kept of an estimate."""
FIRST_LEAST, FIRST_MOST = 8, 64
"""Estimates of a first turn, where a step is slow and where it is quick."""
TURN_BLOCKS, TURN_BLOCK_SECONDS = 12, 0.001
"""Timed blocks of a turn on the batched road, and how long one lasts at least."""
BATCH_SECONDS = 0.05
"""How long the steps of one batch on the loop road take together."""
NUMBERS_OF_A_BATCH = 2**23
"""Numbers that the estimates of one batch hold together."""


@dataclass(frozen=True)
class Turn:
    """What is asked for: `replicates` estimates by `estimator` from n = `samples` draws each, in about `seconds`.

    At least `FIRST_LEAST` are taken where that takes no longer than `most_seconds`, and two in any case.
    `double`: in float64, where the model can. `steps`: estimates one training step at a time, whichever road it is.
    `scale`: estimates are divided by it, so that their squares neither vanish nor overflow.
    """

    estimator: Parcel
    samples: int
    seed: int
    replicates: int
    seconds: float
    most_seconds: float
    double: bool = False
    steps: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class TurnResult:
    """The result of a turn.

    `squares`: each estimate's squared distance to the mean of its batch, × R/(R − 1), so that its mean is the trace of
    the covariance. `costs`: what training steps cost, in seconds or in the user's unit. `fitted`: the estimator after
    it was fitted, at the cost `fit_cost`.
    """

    moments: Moments
    squares: Float[np.ndarray, " R"]
    costs: Float[np.ndarray, " k"]
    nonfinite: int = 0
    fitted: Parcel | None = None
    fit_cost: float = 0.0
    spent: float = 0.0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class TooSlow:
    """Raised if not even two steps fit in: one takes `seconds`."""

    seconds: float


class Sketch:
    """P coordinates as they are, or added up in `WIDE` groups with random signs; the same for every estimate."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.width = min(dim, WIDE)
        if dim > WIDE:
            generator = torch.Generator().manual_seed(0)
            self.group = torch.randint(WIDE, (dim,), generator=generator)
            self.sign = torch.randint(2, (dim,), generator=generator, dtype=torch.float32) * 2 - 1

    def __call__(self, rows: Float[Tensor, "R P"]) -> Float[Tensor, "R width"]:
        if self.dim <= WIDE:
            return rows
        signed = rows * self.sign.to(rows)
        return rows.new_zeros(len(rows), WIDE).index_add_(1, self.group.to(rows.device), signed)


@dataclass
class TurnSums:
    """Adds batches of estimates up."""

    sketch: Sketch
    scale: float = 1.0
    moments: Moments = field(init=False)
    squares: list[np.ndarray] = field(default_factory=list)
    nonfinite: int = 0

    def __post_init__(self) -> None:
        self.moments = Moments.none(self.sketch.width)

    @property
    def count(self) -> int:
        """Estimates so far, those that are not finite too."""
        return self.moments.count + self.nonfinite

    def add(self, rows: Float[Tensor, "R P"]) -> None:
        """One batch of at least two estimates."""
        x = rows.detach().double() / self.scale
        kept = x[x.abs().amax(1) <= HUGE]  # a NaN is not
        self.nonfinite += len(x) - len(kept)
        if len(kept) < 2:
            return
        self.moments = self.moments + Moments.of(self.sketch(kept))
        squares = (kept - kept.mean(0)).square().sum(1) * len(kept) / (len(kept) - 1)
        self.squares.append(squares.cpu().numpy())

    def result(self, costs: list[float], **more: object) -> TurnResult:
        squares = np.concatenate(self.squares) if self.squares else np.zeros(0)
        return TurnResult(self.moments, squares, np.array(costs), self.nonfinite, **more)  # type: ignore[arg-type]


def fill_turn(  # noqa: PLR0917
    sums: TurnSums, draw: Callable[[int], Tensor], turn: Turn, most: int | None, step: float, deadline: float
) -> TooSlow | None:
    """Draws batches until the turn is complete, or its time is up.

    Args:
        sums: Takes the estimates.
        draw: Gives so many estimates.
        turn: What is asked for.
        most: Estimates of one batch on the batched road; None on the loop road.
        step: Seconds of one training step.
        deadline: By `stopwatch.read()`.
    """
    affordable = int(min(turn.most_seconds / max(step, 1e-9), 1e9))
    if affordable < 2:
        return TooSlow(step)
    least = min(turn.replicates, FIRST_LEAST, affordable)
    size = max(FIRST_LEAST, int(BATCH_SECONDS / max(step, 1e-9))) if most is None else most
    size = max(2, min(size, NUMBERS_OF_A_BATCH // max(sums.sketch.dim, 1)))
    while sums.count < turn.replicates:
        if sums.count >= least and stopwatch.read() > deadline:
            break
        left = (turn.replicates if sums.count >= least else least) - sums.count
        sums.add(draw(max(2, min(size, left))))
    return None


def blocks_of(step: Callable[[], object], synchronise: Callable[[], None], seconds: float) -> list[float]:
    """Seconds per training step, of blocks that last a millisecond or more; as many blocks as fit, at least two."""

    def block(number: int) -> float:
        start = stopwatch.read()
        for _ in range(number):
            step()
        synchronise()
        return (stopwatch.read() - start) / number

    number = max(1, int(TURN_BLOCK_SECONDS / max(block(1), 1e-9)))
    end, found = stopwatch.read() + seconds, []
    while len(found) < 2 or (len(found) < TURN_BLOCKS and stopwatch.read() < end):
        found.append(block(number))
    return found
