"""E softplus(b + Σ_j W_j[z_j]) for independent discrete z_j, exact for any number of variables.

softplus(a) = a/2 + log 2 + log cosh(a/2), and log cosh(a/2) has the second derivative sech²(a/2)/4, the logistic
density, whose Fourier transform is πω / sinh πω. Integrated twice from 0,

    log cosh(a/2) = ∫₀^∞ (1 − cos ωa) / (ω sinh πω) dω,

so the expectation needs only the characteristic function of the sum, which is a product over the variables:

    E e^{iωa} = e^{iωb} Π_j [1 + Σ_c P(z_j = c) (e^{iωW_j[c]} − 1)].

The first weight of each variable is moved into b: its first term vanishes, and no gradient cancels near ω = 0.

A sum of C^J terms becomes one smooth one-dimensional integral, which Gauss–Legendre panels compute to rounding error:
1e-11 in the value (1 − cos ωa cancels near ω = 0), 1e-14 in the gradient.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.numerics.quadrature import legendre

CUTOFF = 10.0
"""sinh(10π) = 2e13: the integral beyond is below 1e-15 per pixel. Each level goes 10 % farther, to show this error."""
CHUNK_COMPLEX = 2**15
"""Complex numbers in one temporary array: 0.5 MiB, which stays in the cache."""


class _Sum(torch.autograd.Function):
    """Σ_pixels E softplus and its gradient in the probabilities, both computed in the forward pass."""

    @staticmethod
    def forward(probs: Tensor, weight: Tensor, bias: Tensor, level: int) -> tuple[Tensor, Tensor]:
        omega, measure = legendre(0.0, CUTOFF * (1 + level / 10), panels(weight, bias, level))
        measure = measure / (omega * torch.sinh(torch.pi * omega))
        bias, weight = bias + weight[..., 0].sum(-1), weight[..., 1:] - weight[..., :1]
        mean = bias.sum() + (probs * weight.sum(0)).sum((-1, -2))
        value = mean / 2 + len(bias) * math.log(2)
        slope = (weight.sum(0) / 2).expand_as(probs).clone()
        for some in torch.arange(len(bias)).split(max(1, CHUNK_COMPLEX // (len(omega) * weight[0].numel()))):
            wave = minus_one(omega[:, None, None] * weight[some, None])
            phase = torch.polar(torch.ones(()).to(omega), omega * bias[some, None])
            for row in range(len(probs)):
                log_cosh, gradient = _log_cosh(probs[row], wave, phase, measure)
                value[row] += log_cosh
                slope[row] += gradient
        return value, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][:, None, None] * ctx.saved_tensors[0], None, None, None


def mean_softplus(
    probs: Float[Tensor, "*batch variables values"],
    weight: Float[Tensor, "pixels variables values"],
    bias: Float[Tensor, " pixels"],
    level: int = 0,
) -> Float[Tensor, "*batch"]:
    """Returns Σ_pixels E softplus(b + Σ_j W_j[z_j]), z_j ~ Categorical(probs_j).

    Differentiable once in the probabilities, along the simplex: each variable's first probability is taken as 1 minus
    the others. `level` + 1 doubles the panels: the difference of two levels shows the error.

    >>> probs, weight = torch.tensor([[0.5, 0.5]]).double(), torch.tensor([[[0.0, 1.0]]]).double()
    >>> both = torch.nn.functional.softplus(torch.tensor([0.0, 1.0]).double()).mean()
    >>> bool((mean_softplus(probs, weight, torch.zeros(1).double()) - both).abs() < 1e-13)
    True
    """
    rows = probs[..., 1:].reshape(-1, probs.shape[-2], probs.shape[-1] - 1)
    value, _ = _Sum.apply(rows, weight, bias, level)  # type: ignore[misc]
    return value.reshape(probs.shape[:-2])


def panels(weight: Tensor, bias: Tensor, level: int) -> int:
    """Returns the number of panels: in each, of 20 nodes, the phase stays within ±10 and the width is at most 2.

    The width is bounded because of the poles at ω = ±i.
    """
    low, high = weight.amin(-1), weight.amax(-1)
    fastest = float(((bias + (low + high).sum(-1) / 2).abs() + (high - low).sum(-1) / 2).max())
    return math.ceil(CUTOFF * max(0.5, fastest / 20)) * 2**level


def minus_one(angle: Tensor) -> Tensor:
    """Returns e^{i angle} − 1, to full relative precision."""
    return torch.complex(-2 * torch.sin(angle / 2).square(), torch.sin(angle))


def _log_cosh(probs: Tensor, wave: Tensor, phase: Tensor, measure: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_pixels E log cosh(a/2) and its gradient; `wave` is e^{iωW} − 1, `phase` e^{iωb}."""
    values = list(zip(probs.unbind(-1), wave.unbind(-1), strict=True))
    each = 1 + torch.stack([prob * some for prob, some in values]).sum(0)
    phi = phase * each.prod(-1)
    others = (measure * phi)[..., None] / each
    slope = torch.stack([-(others * some).real.sum((0, 1)) for _, some in values], -1)
    return (measure * (1 - phi.real)).sum(), slope
