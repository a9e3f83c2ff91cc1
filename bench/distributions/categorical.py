"""Independent one-hot variables."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, OneHotCategorical

from bench.distributions.base import Family, distributions
from bench.numerics.tensors import Tensors


class FastOneHot(OneHotCategorical):
    """torch's OneHotCategorical, sampled as the argmax of logits plus Gumbel noise.

    torch's own sampler calls `multinomial`, which checks its input on the host, breaks compilation and is slow for many
    replicates. torch also validates the inner Categorical regardless of `validate_args`.
    """

    offers_as = OneHotCategorical

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self._categorical = torch.distributions.Categorical(logits=logits, validate_args=validate_args)
        Distribution.__init__(self, logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            logits = self.logits.expand(self._extended_shape(torch.Size(sample_shape)))
            index = (logits - torch.empty_like(logits).exponential_().log()).argmax(-1, keepdim=True)
            return torch.zeros_like(logits).scatter(-1, index, 1.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns Σ z·l, also for relaxed z. A masked category (l = −∞) gives 0 if z is 0, else the lowest number."""
        return (value * self.logits.clamp_min(torch.finfo(self.logits.dtype).min)).sum(-1)


@distributions.register("categorical")
@dataclass(frozen=True)
class CategoricalFamily(Family):
    """`size` independent one-hot variables of `categories` values each; z is `[size, categories]`.

    θ is their logits, one per variable redundant (each variable's gradient sums to 0), or their probabilities,
    which are normalised (so the gradient has no component along them). `extreme`: logits from −6 to 6.
    """

    used_by = "discrete VAEs, discrete policies, attention, architecture search (Jang 2017; Dimitriev 2021)"
    discrete = True
    reparameterised = False
    points = ("default", "extreme")
    values = "one_hot"

    categories: int = 4

    def theta(self, point: str, coordinates: str) -> Tensors:
        reach = {"default": 1.1, "extreme": 6.0}[point]
        place = torch.arange(self.size * self.categories, dtype=torch.float64).reshape(self.size, self.categories)
        logits = reach * (2.4 * place + 0.7).sin()
        return {"logits": logits} if coordinates == "unconstrained" else {"probs": logits.softmax(-1)}

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return theta if coordinates == "unconstrained" else {"logits": theta["probs"].log()}

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(self.marginals(parameters), 1, validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return FastOneHot(logits=parameters["logits"], validate_args=False)

    def line(self, parameters: Tensors, breaks: tuple[float, ...], level: int) -> tuple[Tensor, Tensor]:
        shape = parameters["logits"].shape
        eye = torch.eye(self.categories, dtype=torch.float64)
        z = eye.reshape(self.categories, *(1 for _ in shape[:-1]), self.categories).expand(self.categories, *shape)
        return z, torch.ones_like(z[..., 0])
