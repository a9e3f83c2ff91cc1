"""What gradest aims at beside each peer, each side at its best arrangement."""

from dataclasses import dataclass

from peers.side import (
    CLOSED_FORM,
    EAGER,
    JAX,
    JAX_TWO,
    OURS,
    PYRO_PLATE,
    STORCHASTIC_LOOP,
    STORCHASTIC_PLATE,
    TORCH_LOOP,
)


@dataclass(frozen=True)
class Target:
    """Of these problems, `ours` ÷ `side` in estimates per CPU second is at least `factor`."""

    side: str
    problems: tuple[str, ...]
    factor: float
    ours: str = OURS


A, B, C, D = ("bits",), ("quadratic", "cosine"), ("logistic",), ("vae",)
TARGETS = (
    Target(JAX, A + B + C + D, 2.0),
    Target(JAX, A + B + C + D, 0.9, EAGER),
    Target(JAX_TWO, A + B + C + D, 1.5),
    Target(TORCH_LOOP, A + B, 90.0),
    Target(TORCH_LOOP, D, 10.0),
    Target(STORCHASTIC_LOOP, A + B, 500.0),
    Target(STORCHASTIC_LOOP, D, 60.0),
    Target(STORCHASTIC_PLATE, A + B + C + D, 5.0),
    Target(PYRO_PLATE, A + B + C + D, 5.0),
    Target(CLOSED_FORM, A, 1 / 4),
    Target(CLOSED_FORM, B, 1 / 2),
)
