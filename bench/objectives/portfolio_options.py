"""Options on an average: of several assets (basket), or of an asset's price at several dates (Asian)."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.affine_flow import grid
from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target, objectives
from bench.objectives.kinked import DISCOUNT
from estimators.errors import BadInput


@dataclass(frozen=True)
class AverageCall(Target):
    """e^{−rT} (mean price − strike)₊.

    Given all coordinates but the first, it is a call on one log-Normal, which has Black's formula. The others, at most
    two, are integrated by a rule over their noise.
    """

    twice_differentiable = False

    strike: float = 100.0

    def __post_init__(self) -> None:
        if self.strike <= 0:
            raise BadInput(f"{self.name}: the strike must be above 0, found {self.strike}")

    @abstractmethod
    def prices(self, z: Tensor) -> Tensor:
        """Returns the prices to average, `[…, size]`."""

    @abstractmethod
    def given(self, others: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (a, b) with mean price = a e^{z_0} + b, from the other coordinates `[…, size − 1]`."""

    def value(self, z: Tensor) -> Tensor:
        return DISCOUNT * (self.prices(z).mean(-1) - self.strike).relu()

    def expectation(
        self, family: Family, point: str, parameters: Tensors, level: int = 0
    ) -> Float[Tensor, "*leading"] | None:
        if not 1 < family.size <= 3:
            return None
        noise, weight = grid(family.size - 1, level + 1)
        loc, scale = (parameters[name].unsqueeze(-2) for name in ("loc", "scale"))
        a, b = self.given(loc[..., 1:] + scale[..., 1:] * noise)
        forward = a * (loc[..., 0] + scale[..., 0].square() / 2).exp()
        return DISCOUNT * (black(forward, scale[..., 0], self.strike - b) @ weight)


def black(forward: Tensor, spread: Tensor, strike: Tensor) -> Tensor:
    """Returns E (S − strike)₊; log S is Normal with standard deviation `spread`, and E S = forward (Black 1976).

    >>> black(torch.tensor(2.0), torch.tensor(0.1), torch.tensor(-1.0))  # always exercised
    tensor(3.)
    """
    paid = strike <= 0
    moneyness = (forward / torch.where(paid, 1, strike)).log() / spread
    above, below = (torch.special.ndtr(moneyness + side * spread / 2) for side in (1, -1))
    return torch.where(paid, forward - strike, forward * above - strike * below)


@objectives.register("basket_call")
@dataclass(frozen=True)
class BasketCall(AverageCall):
    """e^{−rT} (mean of the assets' prices − strike)₊."""

    used_by = "basket options and their Greeks (Broadie, Glasserman 1996)"

    def fits(self, family: Family) -> str | None:
        if family.name != "black_scholes":
            return "is an option on Black-Scholes assets"
        return None if family.size > 1 else "needs at least 2 assets"

    def prices(self, z: Tensor) -> Tensor:
        return z.exp()

    def given(self, others: Tensor) -> tuple[Tensor, Tensor]:
        b = others.exp().sum(-1) / (others.shape[-1] + 1)
        return torch.full_like(b, 1 / (others.shape[-1] + 1)), b


@objectives.register("asian_call")
@dataclass(frozen=True)
class AsianCall(AverageCall):
    """e^{−rT} (arithmetic mean of an asset's prices at the dates − strike)₊, without a barrier."""

    used_by = "Asian options and their Greeks (Glasserman 2004, section 7.2)"

    def fits(self, family: Family) -> str | None:
        if family.name != "black_scholes_path":
            return "is an option on the path of a Black-Scholes asset"
        return None if family.size > 1 else "needs at least 2 dates"

    def prices(self, z: Tensor) -> Tensor:
        return z.cumsum(-1).exp()

    def given(self, others: Tensor) -> tuple[Tensor, Tensor]:
        a = (1 + others.cumsum(-1).exp().sum(-1)) / (others.shape[-1] + 1)
        return a, torch.zeros_like(a)
