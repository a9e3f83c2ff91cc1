"""Ways to execute a step; a GPU's graphs are played by a recorder that runs the work again into the same tensors."""

import pytest
import torch

from bench.measure.execution import modes
from bench.measure.execution.modes import captured, executed, kept_generator, resolved_mode, unavailable
from bench.suites.grid import suite_cells
from bench.suites.suite import parse_suite
from estimators import BadInput

THETA = {"loc": torch.arange(3.0)}


def noisy(expanded):
    return (expanded["loc"] + torch.randn(expanded["loc"].shape)).square().sum(0)


def expanded(replicates):
    return {name: value.expand(replicates, *value.shape) for name, value in THETA.items()}


@pytest.fixture
def recorded(monkeypatch):
    """In the place of `capture`: the static tensors and the replays of every capture."""
    taken = []

    def capture(work, device):
        with kept_generator(device):
            result = work()
        taken.append(result)
        return lambda: result.copy_(work()), result

    monkeypatch.setattr(modes, "capture", capture)
    return taken


def test_a_graph_is_captured_once_per_number_of_replicates_and_draws_what_eager_draws(recorded):
    step = captured(noisy)
    torch.manual_seed(0)
    expected = [noisy(expanded(4)), noisy(expanded(4)), noisy(expanded(7))]
    torch.manual_seed(0)
    found = [step(expanded(4)), step(expanded(4)), step(expanded(7))]
    assert len(recorded) == 2
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_what_a_replay_returned_is_not_overwritten_by_the_next(recorded):
    step = captured(noisy)
    first = step(expanded(4))
    kept = first.clone()
    step(expanded(4))
    assert torch.equal(first, kept) and first.data_ptr() != recorded[0].data_ptr()


def test_generators_are_kept():
    before = torch.random.get_rng_state()
    with kept_generator("cpu"):
        torch.manual_seed(99)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_mode_is_bad_input():
    with pytest.raises(BadInput, match="there is no mode 'compiled'; did you mean 'compile'"):
        executed(noisy, "compiled")


def test_graphs_are_a_cuda_devices():
    assert unavailable("graph", "cpu") == "mode 'graph' replays CUDA graphs, and the device is cpu"
    assert not unavailable("graph", "cuda:1") and not unavailable("compile", "cpu")


SUITE = {
    "samples": [4],
    "estimators": ["rloo"],
    "problems": [{"distribution": {"name": "bernoulli", "size": 200}, "objective": "quadratic_bits"}],
}


def planned(**changes):
    return suite_cells(parse_suite(SUITE | changes, "here"))


def test_a_mode_that_a_device_lacks_leaves_a_cell_with_the_reason():
    eager, graph = planned(mode=["eager", "graph"])
    assert (eager.reason, graph.reason) == ("", "mode 'graph' replays CUDA graphs, and the device is cpu")


def test_auto_goes_by_planned_work():
    """4 draws of 200 bits: 800 numbers an estimate."""
    (long,) = planned(mode="auto", accuracy={"max_replicates": int(modes.COMPILE_REPAYS) // 800})
    (short,) = planned(mode="auto", accuracy={"max_replicates": int(modes.COMPILE_REPAYS) // 800 - 1})
    assert (long.mode, short.mode) == ("compile", "eager")
    assert resolved_mode(0.0) == "eager"


def test_auto_is_the_cell_that_the_mode_itself_names():
    assert planned(mode="auto")[0].id == planned(mode="eager")[0].id


def test_auto_does_not_compile_for_a_timing_alone():
    assert planned(mode="auto", metrics="throughput", accuracy={"max_replicates": 10**12})[0].mode == "eager"


def test_auto_knows_that_evaluations_bound_the_replicates():
    assert planned(mode="auto", accuracy={"max_replicates": 10**12, "max_evaluations": 4096})[0].mode == "eager"


def test_a_list_among_the_settings_of_throughput_is_an_axis():
    found = planned(metrics="throughput", throughput={"replicates": [16, 64, 256]})
    assert len({cell.throughput for cell in found}) == len({cell.id for cell in found}) == 3
