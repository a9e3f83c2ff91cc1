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
from collections.abc import Iterator
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
    """Σ_pixels E softplus; its gradient in the probabilities is computed in the forward pass, that in the weights and
    the biases where it is asked for."""

    @staticmethod
    def forward(probs: Tensor, weight: Tensor, bias: Tensor, level: int) -> tuple[Tensor, Tensor]:
        terms = SoftplusTerms(weight, bias, level)
        mean = terms.bias.sum() + (probs * terms.weight.sum(0)).sum((-1, -2))
        value = mean / 2 + len(bias) * math.log(2)
        slope = (terms.weight.sum(0) / 2).expand_as(probs).clone()
        for _, wave, phase in terms.waves():
            for row in range(len(probs)):
                log_cosh, gradient = _log_cosh(probs[row], wave, phase, terms.measure)
                value[row] += log_cosh
                slope[row] += gradient
        return value, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1], *inputs[:3])
        ctx.level = inputs[3]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slope, probs, weight, bias = ctx.saved_tensors
        own = gradients[0][:, None, None] * slope
        if not any(ctx.needs_input_grad[1:3]):
            return own, None, None, None
        with torch.no_grad():  # a second derivative would keep all waves in memory
            return own, *_in_weights(gradients[0], probs, SoftplusTerms(weight, bias, ctx.level)), None


class SoftplusTerms:
    """The nodes ω and their weights, and b and W without the first weight of each variable, which is moved into b."""

    def __init__(self, weight: Tensor, bias: Tensor, level: int) -> None:
        self.omega, measure = legendre(0.0, CUTOFF * (1 + level / 10), panels(weight, bias, level))
        self.measure = measure / (self.omega * torch.sinh(torch.pi * self.omega))
        self.bias, self.weight = bias + weight[..., 0].sum(-1), weight[..., 1:] - weight[..., :1]

    def waves(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Some pixels after the other: their indices, e^{iωW} − 1 and e^{iωb}."""
        omega = self.omega
        for some in torch.arange(len(self.bias)).split(max(1, CHUNK_COMPLEX // (len(omega) * self.weight[0].numel()))):
            wave = minus_one(omega[:, None, None] * self.weight[some, None])
            yield some, wave, torch.polar(torch.ones(()).to(omega), omega * self.bias[some, None])


def mean_softplus(
    probs: Float[Tensor, "*batch variables values"],
    weight: Float[Tensor, "pixels variables values"],
    bias: Float[Tensor, " pixels"],
    level: int = 0,
) -> Float[Tensor, "*batch"]:
    """Returns Σ_pixels E softplus(b + Σ_j W_j[z_j]), z_j ~ Categorical(probs_j).

    Differentiable once, in the probabilities along the simplex: each variable's first probability is taken as 1 minus
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


def _factors(probs: Tensor, wave: Tensor) -> Tensor:
    """E e^{iωW_j[z_j]} of each variable; `wave` is e^{iωW} − 1."""
    return 1 + torch.stack([prob * some for prob, some in zip(probs.unbind(-1), wave.unbind(-1), strict=True)]).sum(0)


def _log_cosh(probs: Tensor, wave: Tensor, phase: Tensor, measure: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_pixels E log cosh(a/2) and its gradient; `wave` is e^{iωW} − 1, `phase` e^{iωb}."""
    each = _factors(probs, wave)
    phi = phase * each.prod(-1)
    others = (measure * phi)[..., None] / each
    slope = torch.stack([-(others * some).real.sum((0, 1)) for some in wave.unbind(-1)], -1)
    return (measure * (1 - phi.real)).sum(), slope


def _in_weights(upstream: Tensor, probs: Tensor, terms: SoftplusTerms) -> tuple[Tensor, Tensor]:
    """The gradients in W and b of the rows' values times `upstream`, `[rows]`.

    With φ = E e^{iωa}, the derivative of E log cosh(a/2) is Σ_ω measure · ω Im φ in b, and in W_j[c] the same of the
    part of φ in which z_j = c. A variable's first weight moves b, and all of its other weights the other way.
    """
    by_bias = (upstream.sum() / 2).expand(len(terms.bias)).clone()
    by_weight = ((upstream[:, None, None] * probs).sum(0) / 2).expand_as(terms.weight).clone()
    for some, wave, phase in terms.waves():
        for row in range(len(probs)):
            each = _factors(probs[row], wave)
            phi = upstream[row] * terms.measure * terms.omega * phase * each.prod(-1)
            by_bias[some] += phi.imag.sum(1)
            others = phi[..., None] / each
            chosen = zip(probs[row].unbind(-1), wave.unbind(-1), strict=True)
            by_weight[some] += torch.stack([prob * (others * (1 + part)).imag.sum(1) for prob, part in chosen], -1)
    first = by_bias[:, None] - by_weight.sum(-1)
    return torch.cat([first[..., None], by_weight], -1), by_bias
