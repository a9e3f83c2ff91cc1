"""What a plug-in's cell left behind in its worker: the worker is then replaced, and the cell's row says what it was."""

from functools import cache

from bench.isolation.leftovers import Leftovers
from bench.isolation.patches import Patches
from bench.measure.execution.process_state import TORCH_STATE, WATCHED

NAMED = 3
"""How many patched names a row lists."""


class Traces:
    """`Traces()` looks before a cell, in the cell's process; `found()` says what is different after it."""

    def __init__(self) -> None:
        self._patches = _patches()
        self._patches.look()
        self._torch = {name: read() for name, read in TORCH_STATE.items()}
        self._leftovers = Leftovers()

    def found(self) -> str:
        """A clause such as `left a thread and patched torch.exp`; empty if nothing was left."""
        left = self._leftovers.found()
        left += [name for name, read in TORCH_STATE.items() if read() != self._torch[name]]
        patched = self._patches.found()
        more = [f"{len(patched) - NAMED} more"] if len(patched) > NAMED else []
        clauses = [("left", left), ("patched", patched[:NAMED] + more)]
        return " and ".join(f"{verb} {_listed(names)}" for verb, names in clauses if names)


@cache
def _patches() -> Patches:
    """The code as the process had it before the first plug-in's cell; a process with other code measures no more."""
    return Patches(WATCHED)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
