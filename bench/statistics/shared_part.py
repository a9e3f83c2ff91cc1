"""The variance that two estimates have in common because they share one of their sources of randomness.

Let ĝ depend on independent sources X (the draws) and Y (the data). Two estimates a, b with the same Y and independent X
are independent given Y, so the trace of their covariance is E⟨a − E ĝ, b − E ĝ⟩ = tr Var E(ĝ | Y): the part of the
variance that no further draws can take away (law of total variance). It is the pick-freeze estimate of a Sobol index
(Sobol 1993; Janon, Klein, Lagnoux, Nodet, Prieur 2014, "Asymptotic normality and efficiency of two Sobol index
estimators", eq. 3).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bench.statistics.interval import Interval
from bench.statistics.means import mean_interval
from bench.statistics.stream import Replicates
from bench.statistics.tails import largest_share

PARTS = ("data", "draws")


def shared_part(products: Float[np.ndarray, " N"], centre_error: float = 0.0) -> Interval:
    """tr Var E(ĝ | shared source), at least 0; the largest product counts twice, as in `bench.statistics.variances`.

    The high end is at least half of its distance from the estimate, about one standard error: an estimate far below 0
    does not claim that the part is 0.

    Args:
        products: ⟨a − c, b − c⟩ of N pairs of estimates that share the source; the pairs are independent.
        centre_error: E‖c − E ĝ‖², for a centre c independent of the pairs; products exceed the covariance by it.

    >>> found = shared_part(np.random.default_rng(0).normal(1.0, 2.0, 10_000))
    >>> found.low < 1 < found.high
    True
    """
    found, wider = mean_interval(products), (1 + largest_share(products)) ** 0.5
    value, below, above = float(found.value), wider * (found.value - found.low), wider * (found.high - found.value)
    value -= centre_error
    return Interval(max(value, 0.0), max(float(value - below), 0.0), max(float(value + above), float(above) / 2, 0.0))


class SharedParts:
    """Parts of the variance, from triples of estimates: one, another with its data, a third with its draws.

    Args:
        blocks: The coordinates of each block, by name.
        centre: About E ĝ, `[P]`, from estimates that are independent of the triples.
        errors: E‖centre − E ĝ‖² of each block.
        parts: The parts that are measured: `data`, `draws` or both.

    >>> parts = SharedParts({"all": slice(0, 1)}, np.zeros(1), {"all": 0.0}, ("data",))
    >>> parts.add(torch.ones(8, 1), torch.ones(8, 1), torch.zeros(8, 1))
    >>> parts.count, float(parts.interval("data", "all").value)
    (8, 1.0)
    """

    def __init__(
        self,
        blocks: dict[str, slice],
        centre: Float[np.ndarray, " P"],
        errors: dict[str, float],
        parts: Sequence[str] = PARTS,
    ) -> None:
        self.blocks, self.centre, self.errors, self.count = blocks, torch.from_numpy(centre), errors, 0
        self._products: dict[tuple[str, str], list[np.ndarray]] = {
            (part, block): [] for part in parts for block in blocks
        }

    @classmethod
    def around(cls, kept: Replicates, parts: Sequence[str] = PARTS) -> "SharedParts":
        """Parts around the mean of the estimates in `kept`."""
        total = kept.total
        errors = {name: float(total[where].variance.sum()) / total.count for name, where in kept.blocks.items()}
        return cls(kept.blocks, total.mean, errors, parts)

    def add(
        self, first: Float[Tensor, "N P"], same_data: Float[Tensor, "N P"], same_draws: Float[Tensor, "N P"]
    ) -> None:
        """Adds N triples."""
        centre = self.centre.to(first.device)
        away = [each.detach().double() - centre for each in (first, same_data, same_draws)]
        products = {"data": away[0] * away[1], "draws": away[0] * away[2]}
        for (part, block), found in self._products.items():
            found.append(products[part][:, self.blocks[block]].sum(1).cpu().numpy())
        self.count += len(first)

    def interval(self, part: str, block: str) -> Interval:
        """The part `data`, tr Var E(ĝ | data), or `draws`, tr Var E(ĝ | draws), with its 95 % interval."""
        return shared_part(np.concatenate(self._products[part, block]), self.errors[block])

    def widest(self) -> float:
        """The largest half-width of the intervals of the whole gradient."""
        found = [self.interval(part, block) for part, block in self._products if block == "all"]
        return max((each.high - each.low) / 2 for each in found)
