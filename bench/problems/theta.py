"""The parameters θ as one flat vector, and its blocks."""

import torch
from jaxtyping import Float
from torch import Tensor

from bench.numerics.tensors import Tensors


def blocks(theta: Tensors) -> dict[str, slice]:
    """Returns, for each entry of θ, its slice of the flat gradient of P coordinates."""
    sizes = [value.numel() for value in theta.values()]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return {name: slice(start, start + size) for name, start, size in zip(theta, starts, sizes, strict=True)}


def as_vector(theta: Tensors) -> Float[Tensor, " P"]:
    """Returns θ, or its gradient, as one vector in the order of `blocks`."""
    return torch.cat([value.reshape(-1) for value in theta.values()])
