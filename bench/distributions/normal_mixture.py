"""Independent coordinates, each a mixture of Normals."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.special import ndtr

from bench.distributions.base import Family, distributions
from bench.distributions.line_rules import panelled
from bench.numerics.tensors import Tensors
from estimators.traits import Need


class NormalMixture(Distribution):
    """Σ_k π_k N(loc_k, scale_k²) per coordinate, with parameters `[*batch, components]`.

    `rsample` uses implicit reparameterisation: dz/dθ = −(∂F/∂θ)/q(z), with the exact distribution function F. It is
    unbiased for smooth f, and without jumps between components: it differentiates the marginal distribution
    (Figurnov 2018, section 4).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.real_vector,
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real  # type: ignore[assignment]
    has_rsample = True
    offers = frozenset({Need.DENSITY, Need.REPARAMETERISED, Need.MEAN})
    offers_not = frozenset({Need.MODE})

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.loc, self.scale = logits, loc, scale
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return (self.logits.softmax(-1) * self.loc).sum(-1)

    @property
    def variance(self) -> Tensor:
        second = (self.logits.softmax(-1) * (self.scale.square() + self.loc.square())).sum(-1)
        return second - self.mean.square()

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        logits, loc, scale = (each.expand(*sample_shape, *each.shape) for each in (self.logits, self.loc, self.scale))
        chosen = (logits - torch.empty_like(logits).exponential_().log()).argmax(-1, keepdim=True)
        loc, scale = loc.gather(-1, chosen)[..., 0], scale.gather(-1, chosen)[..., 0]
        return loc + scale * torch.randn(loc.shape, dtype=loc.dtype, device=loc.device)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        z = self.sample(sample_shape)
        below = self.cdf(z)
        return z - (below - below.detach()) / self.log_prob(z).detach().exp()

    def log_prob(self, value: Tensor) -> Tensor:
        u = (value[..., None] - self.loc) / self.scale
        each = -u.square() / 2 - self.scale.log() - math.log(2 * math.pi) / 2
        return (self.logits.log_softmax(-1) + each).logsumexp(-1)

    def cdf(self, value: Tensor) -> Tensor:
        return (self.logits.softmax(-1) * ndtr((value[..., None] - self.loc) / self.scale)).sum(-1)


@distributions.register("normal_mixture")
@dataclass(frozen=True)
class NormalMixtureFamily(Family):
    """`size` independent mixtures of `components` Normals; θ is logits (or probs), loc and log_scale (or scale).

    `extreme`: components that do not overlap.
    """

    used_by = "mixture density networks and policies, multimodal posteriors (Graves 2016; Morningstar 2021)"
    discrete = False
    reparameterised = True
    points = ("default", "extreme")
    values = "real"

    components: int = 2

    def theta(self, point: str, coordinates: str) -> Tensors:
        shape = (self.size, self.components)
        place = torch.arange(self.size * self.components, dtype=torch.float64).reshape(shape)
        log_scale = (-0.5 if point == "default" else -2.0) + 0.3 * (2.1 * place + 0.5).sin()
        apart = torch.linspace(-0.8, 1.1, self.components, dtype=torch.float64)
        loc = apart * (1.0 if point == "default" else 1.5) + 0.2 * (1.9 * place + 1.0).sin()
        logits = 0.8 * (2.4 * place + 0.7).sin()
        if coordinates == "unconstrained":
            return {"logits": logits, "loc": loc, "log_scale": log_scale}
        return {"probs": logits.softmax(-1), "loc": loc, "scale": log_scale.exp()}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        if coordinates == "unconstrained":
            return {"logits": theta["logits"], "loc": theta["loc"], "scale": theta["log_scale"].exp()}
        return {"logits": theta["probs"].log(), "loc": theta["loc"], "scale": theta["scale"]}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return NormalMixture(**parameters, validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        loc, scale = (parameters[name].detach() for name in ("loc", "scale"))
        ends = torch.cat([loc - 12 * scale, loc + 12 * scale], -1)
        limits = (loc - 40 * scale).amin(-1), (loc + 40 * scale).amax(-1)
        at, low, high = [torch.full_like(loc[..., 0], point) for point in breaks], ends.amin(-1), ends.amax(-1)
        edges = list(ends.unbind(-1))
        return panelled(lambda z: z, low, high, at, level, panels=80, limits=limits, edges=edges)
