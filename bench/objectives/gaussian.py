"""A Normal posterior N(loc, Σ) of a linear model: moments, divergence; Σ from `scale` (diagonal) or `scale_tril`."""

import torch
from jaxtyping import Float
from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors


def projected(
    parameters: Tensors, x: Float[Tensor, "rows size"]
) -> tuple[Float[Tensor, "*leading rows"], Float[Tensor, "*leading rows"]]:
    """Returns mean and variance of x·z for every row of x.

    >>> import torch
    >>> mean, variance = projected({"loc": torch.ones(2), "scale": torch.ones(2)}, torch.tensor([[3.0, 4.0]]))
    >>> mean.tolist(), variance.tolist()
    ([7.0], [25.0])
    """
    if "scale" in parameters:
        return parameters["loc"] @ x.T, parameters["scale"].square() @ x.T.square()
    return parameters["loc"] @ x.T, (x @ parameters["scale_tril"]).square().sum(-1)


def divergence(parameters: Tensors) -> Float[Tensor, "*leading"]:
    """Returns KL(N(loc, Σ) ‖ N(0, I)) = (tr Σ + ‖loc‖² − D − log det Σ) / 2."""
    loc = parameters["loc"]
    if "scale" in parameters:
        diagonal = parameters["scale"]
        trace = diagonal.square().sum(-1)
    else:
        diagonal = parameters["scale_tril"].diagonal(dim1=-2, dim2=-1)
        trace = parameters["scale_tril"].square().sum((-1, -2))
    return (trace + loc.square().sum(-1) - loc.shape[-1]) / 2 - diagonal.log().sum(-1)


def misfit(family: Family, size: int) -> str | None:
    """Returns a clause that says why a family is not a posterior of `size` real weights, or None if it is."""
    if family.name not in ("normal", "multivariate_normal"):
        return "has a real vector of weights, so it takes a Normal"
    return None if family.size == size else f"has {size} weights, so it takes size {size}, not {family.size}"


def standard(family: Family) -> Tensors:
    """Returns θ of q = N(0, I): zeros in unconstrained coordinates."""
    return {name: torch.zeros_like(value) for name, value in family.theta("default", "unconstrained").items()}
