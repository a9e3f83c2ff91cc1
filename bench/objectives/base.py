"""What an objective says of itself: its function, its facts, its exact expectation where there is one."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from estimators.core import Function, Objective
from estimators.registry import Registry
from estimators.tools.calls import leaving_z_alone, wrapped


@dataclass(frozen=True)
class Target(ABC):
    """An objective as a sweep names it; the dataclass fields are its settings.

    Define `terms` (a separable f = Σ_d terms_d) or `value`, of z alone; or override `build` where f needs
    data or q. Facts: `breaks` are the points where a coordinate's term jumps or kinks. `offers` and `offers_not` may
    name needs (`estimators.Need`) that f meets, or does not.
    """

    name: ClassVar[str]
    used_by: ClassVar[str]
    version: ClassVar[int] = 1
    separable: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    twice_differentiable: ClassVar[bool] = True
    relaxable: ClassVar[bool] = True
    points: ClassVar[tuple[str, ...]] = ()
    """Points θ that this objective adds to the family's (`trained`)."""

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        wrapped(cls, ("terms", "value"), leaving_z_alone)

    @property
    def breaks(self) -> tuple[float, ...]:
        return ()

    def terms(self, z: Tensor) -> Tensor:
        """f's terms, one per coordinate: `[…, *event]` → `[…, size]`, for a separable f."""
        raise NotImplementedError(f"{self.name} is not separable")

    def value(self, z: Tensor) -> Tensor:
        """f(z): `[…, *event]` → `[…]`."""
        return self.terms(z).sum(-1)

    def fits(self, family: Family) -> str | None:
        """Why this objective makes no sense for that family, in a sentence; None when it does."""
        return None

    def theta(self, family: Family, point: str) -> Tensors | None:
        """θ at a point that this objective adds (in the family's default coordinates), or None."""
        return None

    def weights(self, family: Family, point: str) -> Tensors:
        """f's own parameters (a decoder's), blocks of θ beside the family's; then what `build` gives has `at(weights)`.

        They reach `expectation` among the parameters.
        """
        return {}

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        """The callable that estimators are given, with its constants on `like`'s device and dtype."""
        return Function(
            self.value,
            differentiable=self.differentiable,
            twice_differentiable=self.twice_differentiable,
            relaxable=self.relaxable,
            breaks=self.breaks,
        )

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Tensor | None:
        """E_q f in closed form or by a rule of its own, `[*leading]`, differentiable; None where there is none.

        `level` + 1 doubles the nodes of such a rule, so that two levels show its error.
        """
        return None


objectives: Registry[Target] = Registry("objective")
