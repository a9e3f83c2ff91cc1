"""Independent Normals."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from bench.distributions.base import Family, Tensors, distributions


class FastNormal(Normal):
    """torch's Normal, drawn as loc + scale · randn: quicker than `torch.normal`, and it compiles."""

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.randn(
            self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device
        )
        return self.loc + self.scale * noise


@distributions.register("normal")
@dataclass(frozen=True)
class NormalFamily(Family):
    """`size` independent Normals; θ is loc and log_scale, or loc and scale in natural coordinates."""

    used_by = "variational inference, VAEs, continuous policies"
    discrete = False
    reparameterised = True

    def theta(self, point: str, coordinates: str) -> Tensors:
        loc = torch.linspace(-0.7, 1.1, self.size, dtype=torch.float64) + 0.1
        log_scale = torch.linspace(-0.6, 0.3, self.size, dtype=torch.float64)
        if coordinates == "unconstrained":
            return {"loc": loc, "log_scale": log_scale}
        return {"loc": loc, "scale": log_scale.exp()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        scale = theta["log_scale"].exp() if coordinates == "unconstrained" else theta["scale"]
        return {"loc": theta["loc"], "scale": scale}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(FastNormal(**parameters, validate_args=False), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return FastNormal(**parameters, validate_args=False)
