"""Bits in a chain: each bit depends on the previous one."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import pad, softplus

from bench.distributions.base import Family, distributions
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput
from estimators.traits import Need

MOST = 16
"""Largest number of bits whose states are enumerated."""


class BernoulliChain(Distribution):
    """P(b_t = 1 | b_{t−1}) = σ(logits_t + coupling_t · b_{t−1}), both `[*batch, T]`; coupling_0 multiplies nothing."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.real_vector,
        "coupling": constraints.real_vector,
    }
    support = constraints.independent(constraints.boolean, 1)  # type: ignore[assignment]
    offers = frozenset({Need.DENSITY})
    offers_not = frozenset({Need.FACTORISED, Need.MEAN, Need.MODE})

    def __init__(self, logits: Tensor, coupling: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.coupling = logits, coupling
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.logits.shape[-1] <= MOST

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.rand(*sample_shape, *self.logits.shape, dtype=self.logits.dtype, device=self.logits.device)
        drawn = [torch.zeros_like(noise[..., 0])]
        for t in range(self.logits.shape[-1]):
            p = (self.logits[..., t] + self.coupling[..., t] * drawn[-1]).sigmoid()
            drawn.append((noise[..., t] < p).to(p.dtype))
        return torch.stack(drawn[1:], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob_steps(value).sum(-1)

    def log_prob_steps(self, value: Tensor) -> Tensor:
        """Returns log P(b_t | b_{t−1}) of every bit, `[*batch, T]`."""
        logits = self.logits + self.coupling * pad(value[..., :-1], (1, 0))
        return value * logits - softplus(logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        length = self.logits.shape[-1]
        both = torch.arange(2, dtype=self.logits.dtype, device=self.logits.device)
        table = torch.cartesian_prod(*[both] * length).reshape(-1, *(1 for _ in self.batch_shape), length)
        return table.expand(-1, *self.batch_shape, -1) if expand else table


@distributions.register("bernoulli_chain")
@dataclass(frozen=True)
class BernoulliChainFamily(Family):
    """`size` bits, each given the previous one; θ is logits [size] and couplings [size − 1].

    `extreme`: couplings from −5 to 6, where one early bit decides the rest.
    """

    used_by = "autoregressive latents, Markov-chain policies, structured variational inference"
    discrete = True
    factorised = False
    reparameterised = False
    coordinates: ClassVar[tuple[str, ...]] = ("unconstrained",)
    points = ("default", "extreme")
    values = "bits"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 2:
            raise BadInput(f"bernoulli_chain needs at least 2 bits, not {self.size}")

    def theta(self, point: str, coordinates: str) -> Tensors:
        low, high = {"default": (0.7, 1.6), "extreme": (-5.0, 6.0)}[point]
        return {
            "logits": torch.linspace(-1.1, 0.6, self.size, dtype=torch.float64),
            "coupling": torch.linspace(low, high, self.size - 1, dtype=torch.float64),
        }

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return {"logits": theta["logits"], "coupling": pad(theta["coupling"], (1, 0))}

    def build(self, parameters: Tensors) -> Distribution:
        return BernoulliChain(**parameters, validate_args=False)
