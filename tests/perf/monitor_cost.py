"""What the monitor costs: a network 784-512-512-10, batches of 256 in 8 micro-batches, one thread.

    GRADEST_NO_SHAPES=1 OMP_NUM_THREADS=1 taskset -c 0 python -m tests.perf.monitor_cost

Steps with and without a monitor alternate in one process, in the order A B B A, so that both meet the same machine. A
line has the median of the relative differences of the pairs with its 95 % interval, from order statistics. Processor
time. The floor is what no monitor that keeps eight gradients can avoid: each is written once and read once.
"""

import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from estimators.monitor import Monitor

EVERY, AT_ONCE = 100, 5
"""Steps of a pair, and those of them that run without a change between the two sides."""


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


def read(rows: torch.Tensor) -> None:
    """Reads every number once."""
    rows.sum()


def pair(plain: Callable[[], None], monitored: Callable[[], None], turns: int) -> float:
    """What `turns` calls of `monitored` cost on top of `turns` calls of `plain`, relative to them."""
    total = [0.0, 0.0]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            total[side] += seconds((plain, monitored)[side])
    return total[1] / total[0] - 1


def line(name: str, extra: list[float]) -> None:
    """Prints the median of the pairs with its interval."""
    pairs, extra = len(extra), sorted(extra)
    reach = math.ceil(0.98 * math.sqrt(pairs))
    low, high = extra[max(pairs // 2 - reach, 0)], extra[min(pairs // 2 + reach, pairs - 1)]
    print(f"{name}: {statistics.median(extra):.2%} ({low:.2%} to {high:.2%})", flush=True)


def costs() -> None:
    """Prints the cost of a monitored step, its floor, and the cost at the default of one monitored step in 100."""
    torch.set_num_threads(1)
    model, step = training_step()
    always, default = Monitor(model.parameters(), every=1), Monitor(model.parameters(), every=EVERY)
    eight = torch.randn(8, sum(each.numel() for each in model.parameters()))
    plain = [seconds(lambda: step(None)) for _ in range(20)]
    print(f"a step without a monitor: {1e3 * statistics.median(plain):.1f} ms")
    line("reading eight gradients once takes, of a step", [
        seconds(lambda: read(eight)) / seconds(lambda: step(None)) for _ in range(60)
    ])  # fmt: skip
    line("writing eight gradients and reading them once takes, of a step", [
        seconds(lambda: read(eight.clone())) / seconds(lambda: step(None)) for _ in range(60)
    ])  # fmt: skip
    step(always)
    line("a monitored step costs, on top of a step", [
        pair(lambda: step(None), lambda: step(always), 2) for _ in range(60)
    ])  # fmt: skip

    def run(monitor: Monitor | None) -> None:
        for _ in range(AT_ONCE):
            step(monitor)

    run(default)
    default.steps = 0
    line(f"monitoring one step in {EVERY} costs", [
        pair(lambda: run(None), lambda: run(default), EVERY // AT_ONCE) for _ in range(24)
    ])  # fmt: skip


if __name__ == "__main__":
    costs()
