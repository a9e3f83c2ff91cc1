"""Uniform and normal numbers from a counter, for compiled steps on a CPU.

On a CPU, torch's generator is a Mersenne twister, which produces numbers one after another and takes half of a compiled
step's time or more. The i-th number of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators", figure 17; it passes BigCrush) is a function of i alone, so a compiler vectorises it: uniforms take a fifth
of the time, normals a third. Each draw begins at a position in the sequence of 2⁶⁴ numbers that comes from torch's
generator, so that seeds work as usual. Among a million draws of a million numbers, two overlap with a probability of
5 %, or 3 % in float32.
"""

from collections.abc import Callable
from math import pi
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

WEYL, FIRST_MIX, SECOND_MIX = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""SplitMix64's constants as signed integers."""


class Counted(TorchFunctionMode):
    """A context in which torch's uniform and standard normal numbers on the CPU come from a counter.

    >>> with Counted():
    ...     x, z = torch.rand(3, 5), torch.randn((4,))
    >>> x.shape, z.shape
    (torch.Size([3, 5]), torch.Size([4]))
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in COUNTER_DRAWS or not {*kwargs} <= PLAIN_ARGUMENTS:
            return func(*args, **kwargs)
        shape = args[0] if isinstance(args[0], tuple | list) else args
        dtype = kwargs.get("dtype") or torch.get_default_dtype()
        if dtype not in (torch.float32, torch.float64) or torch.device(kwargs.get("device") or "cpu").type != "cpu":
            return func(*args, **kwargs)
        return COUNTER_DRAWS[func](torch.Size(shape), dtype)


def counter_uniform(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Uniform numbers in [0, 1), in steps of 2⁻²⁴ (float32) or 2⁻⁵³ (float64), like torch's."""
    n = shape.numel()
    if dtype == torch.float64:
        return (shifted_right(splitmix64(key(), n), 11).double() * 2.0**-53).view(shape)
    words = splitmix64(key(), (n + 1) // 2).view(torch.int32)[:n]
    return ((words >> 8 & 0xFFFFFF).float() * 2.0**-24).view(shape)


def counter_normal(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Standard normal numbers by the method of Box and Muller (1958), like torch's."""
    n = shape.numel()
    half = (n + 1) // 2
    u = counter_uniform(torch.Size([2 * half]), dtype)
    radius, angle = (-2 * (1 - u[:half]).log()).sqrt(), 2 * pi * u[half:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:n].view(shape)


def key() -> Tensor:
    """A random index at which a draw begins in the sequence, from torch's generator."""
    return torch.randint(-(2**63), 2**63 - 1, ())


def splitmix64(index: Tensor, n: int) -> Tensor:
    """The n numbers of the sequence after this index, `[n]`, as signed 64-bit integers; the state is index · γ.

    >>> splitmix64(torch.tensor(0), 1).tolist()  # the first number of seed 0, less 2⁶⁴
    [-2152535657050944081]
    """
    z = (index + torch.arange(1, n + 1)) * WEYL
    z = (z ^ shifted_right(z, 30)) * FIRST_MIX
    z = (z ^ shifted_right(z, 27)) * SECOND_MIX
    return z ^ shifted_right(z, 31)


def shifted_right(z: Tensor, by: int) -> Tensor:
    """A logical right shift that fills with zeros; torch's `>>` repeats the sign bit."""
    return z >> by & (1 << 64 - by) - 1


CounterDraw = Callable[[torch.Size, torch.dtype], Tensor]
COUNTER_DRAWS: dict[Any, CounterDraw] = {
    torch.rand: counter_uniform,
    torch.randn: counter_normal,
    torch.ops.aten.rand.default: counter_uniform,
    torch.ops.aten.randn.default: counter_normal,
}
"""The replacement for each function of torch. The compiler does not allow `rand_like` and similar to be replaced."""
PLAIN_ARGUMENTS = {"dtype", "device", "pin_memory"}
"""The supported keyword arguments; with any other, torch draws the numbers."""
