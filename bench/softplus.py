"""E softplus(b + Σ_j W_j z_j) for independent bits z, exactly, at any number of bits.

softplus(a) = a/2 + log 2 + log cosh(a/2), and log cosh(a/2) has the second derivative sech²(a/2)/4, the logistic
density, whose Fourier transform is πω / sinh πω. Integrated twice from 0,

    log cosh(a/2) = ∫₀^∞ (1 − cos ωa) / (ω sinh πω) dω,

so the expectation needs only the characteristic function of the sum, a product over the bits. With m = 2p − 1,

    E e^{iωa} = e^{iω(b + ΣW/2)} Π_j [cos(ωW_j/2) + i m_j sin(ωW_j/2)].

2^bits terms become one smooth one-dimensional integral, which Gauss–Legendre panels take to rounding:
1e-11 in the value (1 − cos ωa cancels near ω = 0), 1e-14 in the gradient.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.quadrature import legendre

CUTOFF = 12.0
"""sinh(12π) = 1e16: what lies beyond is below rounding."""
CHUNK = 2**20
"""Numbers in one temporary array: 8 MiB."""


class _Sum(torch.autograd.Function):
    """Σ_pixels E softplus and its gradient in m, both computed in the forward pass, one row and chunk at a time."""

    @staticmethod
    def forward(m: Tensor, weight: Tensor, bias: Tensor, level: int) -> tuple[Tensor, Tensor]:
        rows = [_row(row, weight, bias, level) for row in m]
        return torch.stack([value for value, _ in rows]), torch.stack([slope for _, slope in rows])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][:, None] * ctx.saved_tensors[0], None, None, None


def mean_softplus(
    logits: Float[Tensor, "*batch bits"],
    weight: Float[Tensor, "pixels bits"],
    bias: Float[Tensor, " pixels"],
    level: int = 0,
) -> Float[Tensor, "*batch"]:
    """Σ_pixels E softplus(W z + b), z ~ Bernoulli(logits), differentiable once in the logits.

    `level` + 1 doubles the panels: two levels show the error.

    >>> logits, weight, bias = torch.zeros(1).double(), torch.ones(1, 1).double(), torch.zeros(1).double()
    >>> both = torch.nn.functional.softplus(torch.tensor([0.0, 1.0]).double()).mean()
    >>> bool((mean_softplus(logits, weight, bias) - both).abs() < 1e-13)
    True
    """
    m = torch.tanh(logits / 2)
    value, _ = _Sum.apply(m.reshape(-1, m.shape[-1]), weight, bias, level)  # type: ignore[misc]
    return value.reshape(m.shape[:-1])


def panels(weight: Tensor, bias: Tensor, level: int) -> int:
    """Enough that no panel of 20 nodes sees a phase beyond ±10, nor is wider than 1 (poles lie at ω = ±i)."""
    fastest = float((weight.abs().sum(-1) / 2 + (bias + weight.sum(-1) / 2).abs()).max())
    return math.ceil(CUTOFF * max(1.0, fastest / 20)) * 2**level


def _row(m: Tensor, weight: Tensor, bias: Tensor, level: int) -> tuple[Tensor, Tensor]:
    omega, measure = legendre(0.0, CUTOFF, panels(weight, bias, level))
    measure = measure / (omega * torch.sinh(torch.pi * omega))
    value = (bias + weight @ (1 + m) / 2).sum() / 2 + len(bias) * math.log(2)
    slope = weight.sum(0) / 4
    for some in torch.arange(len(bias)).split(max(1, CHUNK // (len(omega) * len(m)))):
        piece, gradient = _integral(m, weight[some], bias[some], omega, measure)
        value, slope = value + piece, slope + gradient
    return value, slope


def _integral(m: Tensor, weight: Tensor, bias: Tensor, omega: Tensor, measure: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_pixels E log cosh(a/2) and its gradient in m."""
    half = weight[:, None, :] * omega[:, None] / 2
    real, sine = half.cos(), half.sin()
    imaginary = m * sine
    phase = torch.polar(torch.ones_like(half[..., 0]), omega * (bias + weight.sum(-1) / 2)[:, None])
    phi = (phase * torch.complex(real, imaginary).prod(-1))[..., None]
    by_m = sine * (phi.imag * real - phi.real * imaginary) / (real.square() + imaginary.square())
    return (measure * (1 - phi.real[..., 0])).sum(), (measure[:, None] * by_m).sum((0, 1))
