"""What the monitor costs: a network 784-512-512-10, batches of 256 in 8 micro-batches, one thread.

    GRADEST_NO_SHAPES=1 OMP_NUM_THREADS=1 python -m tests.perf.monitor_cost

Steps with and without a monitor alternate in one process, so that both meet the same machine; a line has the median of
the relative differences of the pairs with its 95 % interval, from order statistics. Processor time.
"""

import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from estimators.monitor import Monitor

EVERY = 100


def training_step() -> tuple[nn.Module, Callable[[Monitor | None], None]]:
    """The network, and a step of its training."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = torch.randn(256, 784), torch.randint(10, (256,))

    def step(monitor: Monitor | None) -> None:
        optimiser.zero_grad()
        for inputs, labels in zip(x.chunk(8), y.chunk(8), strict=True):
            (nn.functional.cross_entropy(model(inputs), labels) / 8).backward()
            if monitor:
                monitor.add()
        if monitor:
            monitor.step()
        optimiser.step()

    return model, step


def seconds(action: Callable[[], None]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def line(name: str, pairs: int, plain: Callable[[], None], monitored: Callable[[], None]) -> None:
    """Prints what `monitored` costs on top of `plain`, relative to it."""
    plain()
    monitored()
    extra = sorted(-1 + 1 / (seconds(plain) / seconds(monitored)) for _ in range(pairs))
    reach = math.ceil(0.98 * math.sqrt(pairs))
    low, high = extra[max(pairs // 2 - reach, 0)], extra[min(pairs // 2 + reach, pairs - 1)]
    print(f"{name}: {statistics.median(extra):.2%} ({low:.2%} to {high:.2%})", flush=True)


def costs() -> None:
    """Prints the cost of a monitored step, and of all steps at the default of one monitored step in 100."""
    torch.set_num_threads(1)
    model, step = training_step()
    always, default = Monitor(model.parameters(), every=1), Monitor(model.parameters(), every=EVERY)
    plain = [seconds(lambda: step(None)) for _ in range(20)]
    print(f"a step without a monitor: {1e3 * statistics.median(plain):.1f} ms")
    line("a monitored step costs, on top of a step", 100, lambda: step(None), lambda: step(always))

    def run(monitor: Monitor | None) -> None:
        for _ in range(EVERY):
            step(monitor)

    line(f"monitoring one step in {EVERY} costs", 40, lambda: run(None), lambda: run(default))


if __name__ == "__main__":
    costs()
