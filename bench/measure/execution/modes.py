"""The modes of executing a step: eager, compiled as a whole, or replayed as a CUDA graph.

A graph draws the same numbers as eager mode, and so does a compiled step on an accelerator. On a CPU, a compiled step
draws uniform and normal numbers from a faster generator (`bench.measure.execution.counter_rng`).

`auto` is resolved when a sweep is planned, by a rule on the planned work and never by timing, so that a configuration
gives the same numbers on every machine.
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
"""Maps parameters expanded to `[R, …]` to tensors; draws from torch's global generator."""

WARM_UP = 3
"""Number of eager warm-up steps before a capture, on a separate stream, as torch requires."""

COMPILATIONS = 1000
"""How often the code of a step may be compiled in a process. All cells share this code, and torch's default is 8."""

COMPILE_REPAYS = 2_000_000_000
"""Planned numbers (replicates × draws × parameters) from which compiling saves time.

Measured on one core over the problems of the suite `throughput`, in float32 and float64: compiling takes 2 to 5 s of
processor time (13 s the first time in a process), and each number then costs 7 to 50 ns less, so that compiling pays
from 6e7 to 1e9 numbers on. For logistic regression and measure-valued gradients, with more work per number, it pays
from 3e6 to 6e7 on. The planned numbers are an upper limit, because precision is mostly reached before; so the threshold
is a multiple of these values.
"""


def resolved_mode(numbers: float) -> Mode:
    """Resolves mode `auto` from the planned number of draws.

    >>> resolved_mode(1e6), resolved_mode(1e10)
    ('eager', 'compile')
    """
    return "compile" if numbers >= COMPILE_REPAYS else "eager"


def unavailable(mode: Mode, device: str) -> str:
    """The reason why a mode is not available on a device; empty if it is available."""
    if mode == "graph" and torch.device(device).type != "cuda":
        return f"mode 'graph' replays CUDA graphs, and the device is {device}"
    return ""


def executed(step: StepFunction[_T], mode: str) -> StepFunction[_T]:
    """Returns the step in this mode; it is compiled or captured at the first call with each number of replicates.

    Raises BadInput if there is no such mode.
    """
    ways: dict[str, Callable[[StepFunction[_T]], StepFunction[_T]]] = {
        "eager": lambda step: step,
        "compile": compiled,
        "graph": captured,
    }
    if mode not in ways:
        raise BadInput(f"there is no mode {mode!r}; {nearest(mode, ways)}")
    return ways[mode](step)


def compiled(step: StepFunction[_T]) -> StepFunction[_T]:
    """Returns the step compiled as a whole, once per number of replicates.

    Random numbers that do not come from a counter are drawn by the kernels of eager mode, which are faster on a CPU
    than Inductor's and draw the same numbers as eager mode. Compiling changes torch's default for the validation of
    distributions; it is restored.
    """
    import torch._dynamo.config  # these imports take a second: only for those who compile
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
    """Returns the step with uniform and normal numbers from a counter if it runs on a CPU."""

    def run(expanded: Tensors) -> _T:
        if _device(expanded).type != "cpu":
            return step(expanded)
        with Counted():
            return step(expanded)

    return run


def captured(step: StepFunction[_T]) -> StepFunction[_T]:
    """Returns the step captured as a CUDA graph, once per number of replicates, and replayed afterwards.

    A replay reads the parameters at their addresses during the capture, so they must not change; a problem's parameters
    are constant. Each replay draws new numbers, because it advances the device's generator, and returns a copy, which
    the next replay does not overwrite.
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
    """Captures `work` as a CUDA graph: returns its replay and the tensors that a replay fills.

    Restores torch's generator.
    """
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
    """Restores torch's generators, of the CPU and of this device, at the end."""
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
    """Restores torch's default for the validation of distributions at the end."""
    validate = Distribution._validate_args
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validate)


def _replicates(expanded: Tensors) -> int:
    return len(next(iter(expanded.values())))


def _device(expanded: Tensors) -> torch.device:
    return next(iter(expanded.values())).device
