"""In tests a seed costs microseconds."""

import traceback

import torch


def test_a_seed_formats_no_stack(monkeypatch):
    def formatted(*_: object) -> list[str]:
        raise AssertionError("the stack is formatted")

    monkeypatch.setattr(traceback, "format_stack", formatted)
    torch.manual_seed(0)
    first = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(3), first)
