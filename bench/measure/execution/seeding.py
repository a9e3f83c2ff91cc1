"""Seeds torch's generators, in a microsecond on a CPU."""

import torch


def seed_draws(seed: int, device: str | torch.device) -> None:
    """Seeds the generator of the CPU and, if estimates are drawn on another device, those of all devices.

    `torch.manual_seed` takes 0.15 to 0.34 ms where no other device is in use: it formats the stack three times, for
    the message of a seed that fails once the device is used. A chunk of estimates may take no longer than that.

    >>> seed_draws(3, "cpu")
    >>> once = torch.rand(2)
    >>> _ = torch.manual_seed(3)
    >>> bool((torch.rand(2) == once).all())
    True
    """
    if torch.device(device).type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
