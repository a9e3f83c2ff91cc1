"""Rules of a step that a GPU can run without waiting for the host and that a CUDA graph can replay.

`broken_rules` traces a step on torch's meta device, which every machine has: its tensors have a shape and a dtype but
no values. Reading a value back raises there; the other rules are checked operation by operation.
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.estimates.gradients import Gradients
from bench.measure.execution.modes import kept_generator
from bench.problems.problem import Problem
from estimators.core import Estimator


class Watched(TorchDispatchMode):
    """Records every operation of a step with its shapes, and every operation that breaks a rule of graph capture.

    >>> with Watched("cpu") as watched:
    ...     _ = torch.tensor([0.5, 2.0]).nonzero()
    >>> watched.broken
    ['nonzero: its shape depends on data']
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = torch.device(device).type
        self.broken: list[str] = []
        self.operations: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        taken, given = _tensors((args, kwargs)), _tensors(result)
        self.operations.append((func, *(tuple(each.shape) for each in given)))
        self.broken += [f"{func.overloadpacket.__name__}: {rule}" for rule in self._rules(func, taken, given, kwargs)]
        return result

    def _rules(self, func: Any, taken: list[Tensor], given: list[Tensor], kwargs: dict[str, Any]) -> list[str]:
        """Returns the rules that this operation breaks, in words."""
        devices = {each.device.type for each in (*taken, *given) if each.dim() or each.device.type != "cpu"}
        rules = {
            "it reads a value back to the host": torch.Tag.data_dependent_output in func.tags,
            "its shape depends on data": torch.Tag.dynamic_output_shape in func.tags and not _by_number(func, taken),
            f"it is on {', '.join(sorted(devices))}": bool(devices - {self.device}),
            "it draws from a generator that no graph knows": kwargs.get("generator") is not None,
        }
        return [words for words, broken in rules.items() if broken]


def broken_rules(
    problem: Problem,
    estimator: Estimator,
    samples: int,
    *,
    device: str = "meta",
    dtype: torch.dtype = torch.float32,
    replicates: int = 3,
) -> list[str]:
    """Returns the rules that a step of the estimator breaks, forward and backward, on a device without values.

    Two steps must do the same operations on the same shapes.

    Args:
        problem: The problem.
        estimator: The estimator.
        samples: Draws per estimate.
        device: "meta", or "cpu" for torch's fake tensors, which support operations that the meta device lacks but do
            not reveal mixed devices.
        dtype: Precision of the step.
        replicates: Estimates per step.

    Returns:
        A sentence per broken rule; if the step raises, only the error.
    """
    without_values = FakeTensorMode(allow_non_fake_inputs=True) if device == "cpu" else nullcontext()
    with kept_generator("cpu"), without_values:
        try:
            gradients = Gradients(problem, estimator, samples, device=device, dtype=dtype)
            gradients(replicates)  # as before a capture; an objective's first call checks more than later ones
            first, second = (_followed(gradients, replicates, device) for _ in range(2))
        except Exception as error:  # any error of torch is the result
            return [" ".join(f"{type(error).__name__}: {error}".split())[:300]]
    static = [] if first.operations == second.operations else ["a second step does other operations than the first"]
    return sorted({*first.broken, *static})


def _followed(gradients: Gradients, replicates: int, device: str) -> Watched:
    with Watched(device) as watched:
        gradients(replicates)
    return watched


def _by_number(func: Any, taken: list[Tensor]) -> bool:
    """Returns True for indexing by whole numbers, whose shape is known, and False for indexing by a mask."""
    return func.overloadpacket is torch.ops.aten.index and all(each.dtype != torch.bool for each in taken[1:])


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
