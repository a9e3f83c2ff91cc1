"""The base class of objectives: the function f, its properties, and its exact expectation if it has one."""

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
    """An objective of a sweep; the dataclass fields are its settings.

    Define `terms` (for a separable f = Σ_d terms_d) or `value`, as functions of z alone; or override `build` if f needs
    data or q. `breaks`: the points at which a coordinate's term jumps or has a kink. `offers` and `offers_not` may name
    needs (`estimators.Need`) that f meets, or does not meet.
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
        """The points at which a coordinate's term jumps or has a kink. Default: none."""
        return ()

    def terms(self, z: Tensor) -> Tensor:
        """Returns f's terms, one per coordinate, for a separable f: `[…, *event]` → `[…, size]`."""
        raise NotImplementedError(f"{self.name} is not separable")

    def value(self, z: Tensor) -> Tensor:
        """Returns f(z): `[…, *event]` → `[…]`."""
        return self.terms(z).sum(-1)

    def fits(self, family: Family) -> str | None:
        """Returns a clause that says why this objective does not fit the family, or None if it fits."""
        return None

    def theta(self, family: Family, point: str) -> Tensors | None:
        """Returns θ at a point that this objective adds, in the family's default coordinates; None for other points."""
        return None

    def weights(self, family: Family, point: str) -> Tensors:
        """Returns f's own weights (a decoder's), which are blocks of θ in addition to the family's. Default: none.

        If there are any, the function from `build` has a method `at(weights)`, and `expectation` gets them among the
        parameters.
        """
        return {}

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        """Returns f as estimators take it, with its constants on `like`'s device and dtype."""
        return Function(
            self.value,
            differentiable=self.differentiable,
            twice_differentiable=self.twice_differentiable,
            relaxable=self.relaxable,
            breaks=self.breaks,
        )

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Tensor | None:
        """Returns E_q f, `[*leading]`, differentiable, in closed form or by a special rule; None if neither exists.

        `level` + 1 doubles the nodes of such a rule: the difference of two levels shows its error.
        """
        return None


objectives: Registry[Target] = Registry("objective")
