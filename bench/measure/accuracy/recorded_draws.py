"""Estimates together with the draws of q that they are made from.

Only what `sample` and `rsample` of the suite's own q return is recorded: these draws follow q by its contract. Draws
that an estimator makes in another way (mirrored, stratified, from a proposal, from its own noise) are not, because a
mean adjusted by draws that do not follow q would hide the error of their sampler.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from bench.measure.estimates.gradients import Gradients
from bench.numerics.tensors import Tensors
from estimators.tools.parameters import base


class Recorder:
    """Keeps what `sample` and `rsample` of one distribution object, or of its base, return; copies are not recorded.

    >>> from torch.distributions import Normal
    >>> q = Normal(torch.zeros(3), 1.0)
    >>> record = Recorder(q)
    >>> _ = q.sample((2,)), q.expand((5, 3)).sample()
    >>> [z.shape for z in record.drawn]
    [torch.Size([2, 3])]
    """

    def __init__(self, q: Distribution) -> None:
        self.drawn: list[Tensor] = []
        self._inside = False
        for each in {id(q): q, id(base(q)): base(q)}.values():  # a base's draws have the same shape and the same law
            for name in ("sample", "rsample"):
                setattr(each, name, self._recorded(getattr(each, name)))

    def _recorded(self, method: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def draw(*args: Any, **kwargs: Any) -> Tensor:
            outer, self._inside = self._inside, True  # torch's `sample` may call `rsample`
            try:
                z = method(*args, **kwargs)
            finally:
                self._inside = outer
            if not outer:
                self.drawn.append(z.detach())
            return z

        return draw


def estimates_and_draws(gradients: Gradients, replicates: int) -> tuple[Float[Tensor, "R P"], Tensor | None]:
    """Estimates, drawn eagerly, and all recorded draws of q, `[K, R, *data, *event]`.

    None if there are none, and where some are of a part of the data alone (a minibatch).
    """
    expanded = gradients.expanded(replicates)

    def surrogate(parameters: Tensors) -> tuple[Tensor, list[Tensor]]:
        records: list[Recorder] = []
        value = gradients.surrogate(parameters, lambda q: records.append(Recorder(q)))
        return value, [z for each in records for z in each.drawn]

    in_parameters, drawn = torch.func.grad(surrogate, has_aux=True)(expanded)
    q = gradients.problem.build(expanded)
    own = (*q.batch_shape, *q.event_shape)
    whole = all(each.shape[each.dim() - len(own) :] == own for each in drawn)
    z = torch.cat([each.reshape(-1, *own) for each in drawn]) if drawn and whole else None
    return gradients.pulled(in_parameters), z
