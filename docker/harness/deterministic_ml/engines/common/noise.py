"""What rounding alone makes of a model: each number that a module gives is rounded once more, by chance.

A kernel that adds up in another order gives sums that differ far behind the last place that is kept, and some of them
round to the neighbour. So a number stays, or becomes a neighbour of its format with one chance in four: what rounding
makes of a value that is known to half a unit in the last place, with a root mean square of half a unit.

Each place where something is rounded counts once: modules without parts, and those with parts that give something else
than a part gave, such as a sum with what came in. What is looked up in a table, or handed on, is not rounded.

The moves are drawn on the host and dealt out from one table: the same on every device, and the same for a module's n-th
number whatever else runs. What a module gives is replaced, never written to: it may be a view of what the model keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
# Of eight numbers one goes up, one goes down.
_ODDS = 8
# As many moves are drawn, and numbers moved at a time: the logits of a long text are a gigabyte. A prime, so that rows
# of any width begin at another place of it each time.
_DRAWN = 4_194_301
_HANDS_ON = (torch.nn.Identity, torch.nn.Dropout, torch.nn.Flatten)


class Noise:
    """Listens to the modules of a model until removed. The same seed gives the same noise."""

    def __init__(self, model: torch.nn.Module, seed: int) -> None:
        self._moves = draw(seed)
        self._on: dict[torch.device, torch.Tensor] = {}
        # Where in the moves the next number of each module is.
        self._places: dict[str, int] = {}
        # What was rounded in this step. Weak, and yet no other tensor is taken for one of them.
        self._rounded: set[StorageWeakRef] = set()
        self._handles = [
            model.register_forward_pre_hook(self._begin),
            *(
                module.register_forward_hook(partial(self._round, name, _is_leaf(module)))
                for name, module in model.named_modules()
                if _rounds(module)
            ),
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _begin(self, _module: torch.nn.Module, _inputs: Any) -> None:
        self._rounded.clear()

    def _round(self, name: str, leaf: bool, _module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return self._round_tensor(name, leaf, output)
        if type(output) in (tuple, list):
            return type(output)(self._round(name, leaf, _module, _inputs, one) for one in output)
        return output

    def _round_tensor(self, name: str, leaf: bool, tensor: torch.Tensor) -> torch.Tensor:
        # A module without parts may compute in place, over what another one gave.
        if not leaf and StorageWeakRef(tensor.untyped_storage()) in self._rounded:
            return tensor
        place = self._places.get(name, _begin_of(name))
        if tensor.device not in self._on:
            self._on[tensor.device] = self._moves.to(tensor.device)
        result = neighbours(tensor, self._on[tensor.device], place)
        if result is not tensor:
            self._places[name] = place + tensor.numel()
            self._rounded.add(StorageWeakRef(result.untyped_storage()))
        return result


@contextmanager
def rounded_again(model: torch.nn.Module, seed: int | None) -> Iterator[None]:
    """Does nothing without a seed."""
    noise = None if seed is None else Noise(model, seed)
    try:
        yield
    finally:
        if noise is not None:
            noise.remove()


def draw(seed: int) -> torch.Tensor:
    """By how many units in the last place numbers move, in turn: -1, 0 and 1."""
    drawn = torch.randint(0, _ODDS, (_DRAWN,), generator=torch.Generator().manual_seed(seed), dtype=torch.int8)
    return (drawn == 0).to(torch.int8) - (drawn == 1).to(torch.int8)


def neighbours(values: torch.Tensor, moves: torch.Tensor, place: int = 0) -> torch.Tensor:
    """A copy; zeros, infinities, NaN and formats of eight bits stay as they are."""
    integers = _INTEGERS.get(values.element_size())
    if not values.is_floating_point() or integers is None:
        return values
    result = values.detach().clone(memory_format=torch.contiguous_format)
    flat = result.view(-1)
    at = 0
    while at < len(flat):
        begin = (place + at) % len(moves)
        part = flat[at : at + len(moves) - begin]
        # Of one sign, floats are in the order of their bits.
        moved = (part.view(integers) + moves[begin : begin + len(part)]).view(part.dtype)
        part.copy_(torch.where((part != 0) & part.isfinite() & moved.isfinite(), moved, part))
        at += len(part)
    return result


def _begin_of(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:4], "little")


def _is_leaf(module: torch.nn.Module) -> bool:
    return next(module.children(), None) is None


def _rounds(module: torch.nn.Module) -> bool:
    """A table that rows are taken from rounds nothing, and what hands on neither."""
    name = type(module).__name__
    return not isinstance(module, _HANDS_ON) and (not name.endswith("Embedding") or "Rotary" in name)
