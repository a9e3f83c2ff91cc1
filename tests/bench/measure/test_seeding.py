"""Seeds of chunks: those of torch itself, in less time."""

import pytest
import torch

from bench.measure.execution.seeding import seed_draws


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_draws_are_those_of_torchs_own_seed(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        known = torch.rand(5), torch.randn(5)
        seed_draws(seed, "cpu")
        assert torch.initial_seed() == seed
        assert all(torch.equal(a, b) for a, b in zip(known, (torch.rand(5), torch.randn(5)), strict=True))


def test_a_seed_on_a_cpu_does_not_wait_for_other_devices(monkeypatch):
    """`torch.manual_seed` formats the stack for each kind of device that is not in use."""

    def refused(seed: int) -> None:
        raise AssertionError("torch.manual_seed was called")

    monkeypatch.setattr(torch, "manual_seed", refused)
    with torch.random.fork_rng(devices=[]):
        seed_draws(1, "cpu")


def test_another_device_is_seeded_as_torch_does(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "manual_seed", seen.append)
    seed_draws(5, "meta")
    assert seen == [5]
