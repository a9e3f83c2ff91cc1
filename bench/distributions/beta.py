"""Independent Beta variables."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.distributions.base import distributions
from bench.distributions.line_rules import unit_interval
from bench.distributions.univariate import Domain, Ranges, Univariate
from bench.numerics.tensors import Tensors


class DirichletDraw(torch.autograd.Function):
    """A Dirichlet draw with torch's implicit gradient, which also works under `torch.func.grad`.

    torch's own Function has no `setup_context`, so it raises there. Here the forward pass is separate; the kernels are
    torch's.
    """

    @staticmethod
    def forward(concentration: Tensor) -> Tensor:
        return torch._sample_dirichlet(concentration)  # type: ignore[attr-defined]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Returns the gradient in α; dz/dα is constrained to the simplex (Figurnov et al. 2018, section 4)."""
        concentration, z = ctx.saved_tensors
        total = concentration.sum(-1, True).expand_as(concentration)
        along = torch._dirichlet_grad(z, concentration, total)  # type: ignore[attr-defined]
        return along * (gradients[0] - (z * gradients[0]).sum(-1, True))


class Beta(torch.distributions.Beta):
    """torch's Beta, with draws that are differentiable under `torch.func.grad`."""

    offers_as = torch.distributions.Beta

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        concentration = self._dirichlet.concentration
        both = concentration.expand(*sample_shape, *concentration.shape).contiguous()
        return DirichletDraw.apply(both).select(-1, 0)  # type: ignore[union-attr]


@distributions.register("beta")
@dataclass(frozen=True)
class BetaFamily(Univariate):
    """`size` independent Betas; θ is the log of both concentrations, or in natural coordinates the concentrations.

    Its pathwise gradient is torch's approximation, with an error of up to 3e-4.
    `extreme`: mass near 0, from first concentrations of 0.1 to 0.4.
    """

    used_by = "proportions, stick breaking, bounded continuous policies (Chou 2017)"
    discrete = False
    reparameterised = True
    pathwise_tolerance = 5e-4
    values = "real"
    kind = Beta
    domains: ClassVar[dict[str, Domain]] = {"concentration1": "positive", "concentration0": "positive"}
    ranges: ClassVar[dict[str, Ranges]] = {
        "default": {"concentration1": (0.2, 1.6), "concentration0": (0.9, 0.3)},
        "extreme": {"concentration1": (-2.3, -0.9), "concentration0": (0.9, 0.3)},
    }

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        one, zero = (parameters[name].detach() for name in ("concentration1", "concentration0"))
        return unit_interval(one, zero, breaks, level)
