"""A seed of torch that costs microseconds, also where the stack is as deep as pytest's."""

from types import SimpleNamespace


def stacks_not_kept() -> None:
    """`torch.manual_seed` no longer formats the stack, once for each kind of device that is not in use.

    torch keeps the text for the message of a seed that fails when the device is first used. Under pytest that takes
    a millisecond, a fifth of the time of many tests.
    """
    import torch  # not where pytest only hands tests to its workers

    for backend in (torch.cuda, torch.xpu, torch.mtia):
        vars(backend)["traceback"] = SimpleNamespace(format_stack=list)
