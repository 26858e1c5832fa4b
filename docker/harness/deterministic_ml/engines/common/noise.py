"""What rounding alone makes of a model: each number that a module gives is rounded once more, by chance.

A kernel that adds up in another order gives sums that differ far behind the last place that is kept, and some of them
round to the neighbour. So a number stays, or becomes a neighbour of its format with one chance in four: what rounding
makes of a value that is known to half a unit in the last place, with a root mean square of half a unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
# Of eight numbers one goes up, one goes down.
_ODDS = 8


class Noise:
    """Listens to the modules of a model that have no parts, until removed. The same seed gives the same noise."""

    def __init__(self, model: torch.nn.Module, seed: int) -> None:
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}
        self._handles = [module.register_forward_hook(self._round) for module in model.modules() if _rounds(module)]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _round(self, _module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return neighbours(output, self._generator(output.device))
        if type(output) in (tuple, list):
            return type(output)(self._round(_module, _inputs, one) for one in output)
        return output

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


@contextmanager
def rounded_again(model: torch.nn.Module, seed: int | None) -> Iterator[None]:
    """Does nothing without a seed."""
    noise = None if seed is None else Noise(model, seed)
    try:
        yield
    finally:
        if noise is not None:
            noise.remove()


def neighbours(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A copy; zeros, infinities, NaN and formats of eight bits stay as they are."""
    integers = _INTEGERS.get(values.element_size())
    if not values.is_floating_point() or integers is None:
        return values
    drawn = torch.randint(0, _ODDS, values.shape, generator=generator, device=values.device, dtype=torch.int8)
    step = (drawn == 0).to(integers) - (drawn == 1).to(integers)
    # Of one sign, floats are in the order of their bits.
    moved = (values.view(integers) + step).view(values.dtype)
    return torch.where((values != 0) & values.isfinite() & moved.isfinite(), moved, values)


def _rounds(module: torch.nn.Module) -> bool:
    """A table that rows are taken from rounds nothing."""
    name = type(module).__name__
    return next(module.children(), None) is None and (not name.endswith("Embedding") or "Rotary" in name)
