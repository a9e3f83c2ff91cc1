"""What gradest aims at beside each peer, each side at its best arrangement on two cores."""

from dataclasses import dataclass

from peers.side import (
    CLOSED_FORM,
    EAGER,
    JAX,
    JAX_ONE_THREAD,
    JAX_TWO_DEVICES,
    JAX_TWO_PROCESSES,
    OURS,
    PYRO_PLATE,
    STORCHASTIC_LOOP,
    STORCHASTIC_PLATE,
    TORCH_LOOP,
)


@dataclass(frozen=True)
class Target:
    """Of these problems, `ours` ÷ `side` in estimates per second is at least `factor`; `why` it is missed.

    `or_side`: the same library arranged otherwise, where that is quicker.
    """

    side: str
    problems: tuple[str, ...]
    factor: float
    why: str
    ours: str = OURS
    or_side: str | None = None


A, B, C, D = ("bits",), ("quadratic", "cosine"), ("logistic",), ("vae",)
WORK = (
    "matrix products, exp and log1p, and on vae the moments of 4,160 coordinates are what remains, and XLA does them "
    "about as fast on one core; in one process it already works on parts of a step side by side"
)
TARGETS = (
    Target(JAX, A + B + C + D, 2.0, WORK, or_side=JAX_ONE_THREAD),
    Target(
        JAX,
        A + B + C + D,
        0.9,
        "each operation is a pass over memory of its own, and torch's Mersenne twister alone takes two thirds of JAX's "
        "whole step on bits",
        EAGER,
        JAX_ONE_THREAD,
    ),
    Target(JAX_TWO_DEVICES, A + B + C + D, 1.5, WORK, or_side=JAX_TWO_PROCESSES),
    Target(TORCH_LOOP, A + B, 90.0, ""),
    Target(TORCH_LOOP, D, 10.0, ""),
    Target(STORCHASTIC_LOOP, A + B, 500.0, ""),
    Target(STORCHASTIC_LOOP, D, 60.0, ""),
    Target(STORCHASTIC_PLATE, A + B + C + D, 5.0, ""),
    Target(PYRO_PLATE, A + B + C + D, 5.0, "matrix products, log1p and exp dominate on both sides"),
    Target(
        CLOSED_FORM,
        A,
        1 / 4,
        "C counts ones as integers while its draws are in the first cache; ours writes and reads them",
    ),
    Target(
        CLOSED_FORM, B, 1 / 2, "the normals and the estimates are stored between kernels; C keeps them in registers"
    ),
)
