"""Gradients of f's inner part from values alone: SPSA and finite differences replace f′ in the pathwise chain."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Objective
from estimators.errors import BadInput
from estimators.registry import register
from estimators.tools.coordinates import chunk
from estimators.tools.edges import step_inside
from estimators.tools.noise import signs
from estimators.tools.parameters import along, valued
from estimators.traits import Need, Traits


@dataclass(frozen=True)
class Differences(Estimator):
    """slope(z)·∇θ z(ε, θ) + ∇θ f̄, the mean over draws. Subclasses compute the slope of f at z from values around z.

    The two sides of a difference share ε. f̄ is the mean of those values, which carries the gradient in f's own
    parameters; f is never evaluated at z itself, so the value is that of a smoothed f. Near an edge of q's support (0
    of a Gamma, both ends of a Beta) the step c is shorter, so that f is evaluated inside only; on a simplex each
    coordinate stays between 0 and 1, while the sum of the coordinates changes. Raises `BadInput` if `step` ≤ 0.
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        if self.step <= 0:
            raise BadInput(f"{type(self).__name__}: step must be positive, found {self.step}")

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        z = q.rsample((n,))
        held = z.detach()
        slope, around = self.slope(held, step_inside(self.step, q, held), q, f)
        return valued(around, along(slope, z, q)).mean(0)

    @abstractmethod
    def slope(self, z: Tensor, step: Tensor | float, q: Distribution, f: Objective) -> tuple[Tensor, Tensor]:
        """Returns an estimate of ∂f/∂z at draws z, of z's shape, and the mean of the values used for it.

        `step`: a number, or a tensor with a step per coordinate of z.
        """


def per_step(rise: Tensor, step: Tensor | float) -> Tensor:
    """Returns rise ÷ (2 step), detached; 0 if there is no room for a step."""
    width = 2 * step
    return rise.detach() / (width.masked_fill(width == 0, 1.0) if isinstance(width, Tensor) else width)


@register("spsa")
@dataclass(frozen=True)
class Spsa(Differences):
    """(f(z + cΔ) − f(z − cΔ))/(2c) · 1/Δ in place of f′(z), Δ random signs: two evaluations in any dimension.

    Biased by O(c²), exact on a quadratic.
    Paper: Spall 1992, IEEE Trans. Autom. Control 37(3), 332–341; with common random numbers: Kleinman, Spall, Naiman
    1999, Management Science 45(11), 1570–1578.
    Differs from the paper: z is perturbed inside the pathwise chain, while Spall perturbs θ.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(3.0, requires_grad=True)
    >>> Spsa().surrogate(Normal(loc, 1e-6), Function(torch.square), 1).backward()
    >>> round(loc.grad.item(), 2)
    6.0
    """

    traits = Traits(unbiased=False, needs=frozenset({Need.REPARAMETERISED}), valued=False, paper="Spall 1992")

    def slope(self, z: Tensor, step: Tensor | float, q: Distribution, f: Objective) -> tuple[Tensor, Tensor]:
        delta, axes = signs(z), tuple(range(-len(q.event_shape), 0))
        if isinstance(step, Tensor) and axes:
            step = step.amin(axes, keepdim=True)  # the same step for all coordinates, which move together
        up, down = f.held(torch.stack([z + step * delta, z - step * delta]), q)
        rise = (up - down).reshape(*up.shape, *(1 for _ in axes))
        return per_step(rise, step) * delta, (up + down) / 2  # 1/Δ = Δ for signs


@register("finite_differences")
@dataclass(frozen=True)
class FiniteDifferences(Differences):
    """(f(z + c e_d) − f(z − c e_d))/(2c) for every coordinate d in place of f′(z): 2·D evaluations per draw.

    Biased by O(c²), exact on a quadratic. Coordinates are evaluated in chunks, see `coordinates.chunk`.
    Paper: Kiefer, Wolfowitz 1952, Ann. Math. Stat. 23(3), 462–466, equation 2.7; with common random numbers: Glasserman
    2003, Monte Carlo Methods in Financial Engineering, section 7.1, equation 7.4.
    Differs from the paper: z is moved inside the pathwise chain, while the papers move θ.

    >>> from torch.distributions import Normal
    >>> from estimators import Function
    >>> loc = torch.tensor(3.0, requires_grad=True)
    >>> FiniteDifferences().surrogate(Normal(loc, 1e-6), Function(torch.square), 1).backward()
    >>> round(loc.grad.item(), 2)
    6.0
    """

    traits = Traits(
        unbiased=False, needs=frozenset({Need.REPARAMETERISED}), valued=False, paper="Kiefer, Wolfowitz 1952"
    )

    def slope(self, z: Tensor, step: Tensor | float, q: Distribution, f: Objective) -> tuple[Tensor, Tensor]:
        D = q.event_shape.numel()
        one = torch.eye(D, dtype=z.dtype, device=z.device)
        one = one.reshape(D, 1, *(1 for _ in q.batch_shape), *q.event_shape)
        parts = [f.held(torch.stack([z + step * rows, z - step * rows]), q) for rows in one.split(chunk(2 * z.numel()))]
        up, down = torch.cat(parts, 1)
        return per_step((up - down).movedim(0, -1).reshape(z.shape), step), (up + down).mean(0) / 2
