"""Process-wide settings that a cell must not change: saved before a cell, restored and reported after it."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch


def _directory() -> str:
    """The working directory; empty if it was removed."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _set_directory(path: str) -> None:
    with suppress(OSError):
        os.chdir(path)


def _default_device() -> torch.device | None:
    """The default device that was set; None before."""
    context = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return context.device if context is not None else None


GLOBAL_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default device": (_default_device, torch.set_default_device),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "the working directory": (_directory, _set_directory),
}
"""How each setting is read and written; those whose name does not matter to later cells are in `TORCH_STATE`."""


def _flushes_denormal() -> bool:
    return torch.tensor(1e-310, dtype=torch.float64).mul(1.0).item() == 0.0


def _backends() -> tuple[Any, ...]:
    flags = torch.backends
    return (flags.mkldnn.enabled, flags.opt_einsum.enabled, flags.cudnn.enabled, flags.cudnn.deterministic)


_AUTOGRAD: Any = torch._C._autograd  # pyright: ignore[reportAttributeAccessIssue]
TORCH_STATE: dict[str, Callable[[], Any]] = {
    "torch's matrix products in another precision": torch.get_float32_matmul_precision,
    "torch's anomaly mode": torch.is_anomaly_enabled,
    "torch's inference mode": torch.is_inference_mode_enabled,
    "torch's autocast": lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
    "torch without denormal numbers": _flushes_denormal,
    "torch's backends with other settings": _backends,
    "a mode of torch": lambda: (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
    "hooks of torch": lambda: (
        _AUTOGRAD._top_saved_tensors_default_hooks(True),
        _AUTOGRAD._saved_tensors_hooks_is_enabled(),
        [len(hooks) for name, hooks in sorted(vars(torch.nn.modules.module).items()) if name.startswith("_global_")
         and isinstance(hooks, dict)],
    ),
}  # fmt: skip
"""Settings of torch that are not restored: a process in which one of them changed is replaced."""

WATCHED = (
    *("estimators.*", "bench.*", "builtins", "math", "cmath", "time", "random", "os", "json", "pickle", "itertools"),
    *("functools", "operator", "statistics", "numpy", "numpy.linalg", "numpy.random", "scipy.special", "scipy.stats"),
    *("torch", "torch.distributions.*", "torch.autograd.*", "torch.func", "torch._functorch.*", "torch.functional"),
    *("torch.nn.functional", "torch.nn.modules.module", "torch.nn.parameter", "torch.special", "torch.linalg"),
    *("torch.random", "torch.overrides", "torch._tensor", "torch._C", "torch._C._nn", "torch._C._special"),
    *("torch._C._linalg", "torch._C._VariableFunctions"),
)
"""Modules whose functions and classes determine a number; see `bench.isolation.patches.Patches`."""


class Kept:
    """`with Kept() as kept:` restores the settings that changed inside; `kept.changed` lists their names.

    >>> with Kept() as kept:
    ...     torch.set_default_dtype(torch.float16)
    >>> kept.changed, torch.get_default_dtype()
    (["torch's default dtype"], torch.float32)
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._before: dict[str, Any] = {}

    def __enter__(self) -> "Kept":
        self._before = {name: read() for name, (read, _) in GLOBAL_SETTINGS.items()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for name, (read, write) in GLOBAL_SETTINGS.items():
            if read() != self._before[name]:
                write(self._before[name])
                self.changed.append(name)
