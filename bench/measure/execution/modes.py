"""How a step is executed: eager, compiled whole, or replayed as a CUDA graph.

A graph draws what eager draws. So does a compiled step on an accelerator; on a CPU it draws its uniform and normal
numbers by a quicker generator (`bench.measure.execution.counter_rng`).

`auto` is resolved when a sweep is planned, by a rule on its planned work and never by timing, so that one
configuration gives the same numbers on every machine.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar, get_args

import torch
from torch.distributions import Distribution
from torch.utils._pytree import tree_map

from bench.measure.execution.counter_rng import Counted
from bench.numerics.tensors import Tensors
from estimators.errors import BadInput, nearest

Mode = Literal["eager", "compile", "graph"]
MODES: tuple[Mode, ...] = get_args(Mode)

_T = TypeVar("_T")
StepFunction = Callable[[Tensors], _T]
"""Parameters expanded to `[R, …]` → tensors; draws from torch's global generator."""

WARM_UP = 3
"""Eager steps before a capture, on a stream of their own, as torch asks for."""

COMPILATIONS = 1000
"""How often one step's code may be compiled in a process: all cells share it, and torch gives up after 8."""

COMPILE_REPAYS = 2_000_000_000
"""Planned numbers (replicates × draws × parameters) from which compiling repays its seconds.

Measured on one core over the problems of the suite `throughput`, in float32 and float64: compiling takes 2 to 5 s of
processor time (13 s the first time in a process) and a number then costs 7 to 50 ns less, so that 6e7 to 1e9 repay it;
logistic regression and measure-valued gradients, with more work per number, 3e6 to 6e7. A plan's budget is the most
that a cell may take, and precision is mostly reached before: hence some times that.
"""


def resolved_mode(numbers: float) -> Mode:
    """What `auto` means for a cell whose plan draws so many numbers.

    >>> resolved_mode(1e6), resolved_mode(1e10)
    ('eager', 'compile')
    """
    return "compile" if numbers >= COMPILE_REPAYS else "eager"


def unavailable(mode: Mode, device: str) -> str:
    """Why this mode cannot be had on this device, in a sentence; empty where it can."""
    if mode == "graph" and torch.device(device).type != "cuda":
        return f"mode 'graph' replays CUDA graphs, and the device is {device}"
    return ""


def executed(step: StepFunction[_T], mode: str) -> StepFunction[_T]:
    """The step in this mode; it is compiled or captured at its first call for each number of replicates."""
    ways: dict[str, Callable[[StepFunction[_T]], StepFunction[_T]]] = {
        "eager": lambda step: step,
        "compile": compiled,
        "graph": captured,
    }
    if mode not in ways:
        raise BadInput(f"there is no mode {mode!r}; {nearest(mode, ways)}")
    return ways[mode](step)


def compiled(step: StepFunction[_T]) -> StepFunction[_T]:
    """The step compiled whole, once per number of replicates.

    What a counter does not give is drawn by eager's random kernels, which are quicker on a CPU than Inductor's own
    and draw eager's numbers. Compiling flips torch's default of validating distributions: it is put back.
    """
    import torch._dynamo.config  # these take a second, which only those who compile should pay
    import torch._inductor.config

    with validation_kept():
        fast = torch.compile(with_counter_rng(step), fullgraph=True, dynamic=False)
    known: set[int] = set()

    def run(expanded: Tensors) -> _T:
        replicates = _replicates(expanded)
        if replicates in known:
            return fast(expanded)
        known.add(replicates)
        often = torch._dynamo.config.patch(recompile_limit=COMPILATIONS, accumulated_recompile_limit=COMPILATIONS)
        with validation_kept(), often, torch._inductor.config.patch(fallback_random=True):
            return fast(expanded)

    return run


def with_counter_rng(step: StepFunction[_T]) -> StepFunction[_T]:
    """The step with a CPU's uniform and normal numbers from a counter."""

    def run(expanded: Tensors) -> _T:
        if _device(expanded).type != "cpu":
            return step(expanded)
        with Counted():
            return step(expanded)

    return run


def captured(step: StepFunction[_T]) -> StepFunction[_T]:
    """The step captured as a CUDA graph, once per number of replicates, and replayed from then on.

    A replay reads the parameters where they lay at the capture, so they must stay what they are: a problem's are
    constant. It draws afresh, as replays advance the device's generator, and what it returns is a copy, which the
    next replay leaves alone.
    """
    graphs: dict[int, tuple[Callable[[], None], _T, Tensors]] = {}

    def run(expanded: Tensors) -> _T:
        replicates = _replicates(expanded)
        if replicates not in graphs:
            graphs[replicates] = (*capture(lambda: step(expanded), _device(expanded)), expanded)
        replay, result, _ = graphs[replicates]
        replay()
        return tree_map(torch.clone, result)

    return run


def capture(work: Callable[[], _T], device: torch.device) -> tuple[Callable[[], None], _T]:
    """`work` as a CUDA graph: its replay, and the tensors that every replay fills; torch's generator is kept."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), kept_generator(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                work()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            result = work()
    return graph.replay, result


@contextmanager
def kept_generator(device: str | torch.device) -> Iterator[None]:
    """Torch's generators, of the CPU and of this device, are at the end as they were."""
    where = torch.device(device)
    if where.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
        return
    index = where.index if where.index is not None else torch.accelerator.current_device_index()
    with torch.random.fork_rng(devices=[index], device_type=where.type):
        yield


@contextmanager
def validation_kept() -> Iterator[None]:
    """Put torch's default of validating distributions back at the end."""
    validate = Distribution._validate_args
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validate)


def _replicates(expanded: Tensors) -> int:
    return len(next(iter(expanded.values())))


def _device(expanded: Tensors) -> torch.device:
    return next(iter(expanded.values())).device
