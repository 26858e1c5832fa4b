"""Where probes are put together: a device, dtypes, inputs, and what has no kernel there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from ...harness.errors import describe, explain
from .inputs import Inputs

# Tensors of inputs that are kept.
_KEPT = 8

# The call of an operator with so many rows: what it gives has a row for each, in its first dimension.
Call = Callable[[int], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One call of a probe. What a case computes never changes under its name: another call gets another one."""

    name: str
    # Its own: what is digested.
    rows: int
    call: Call
    # That each neighbour brings into the same call.
    beside: int = 32


@dataclass
class Bench:
    device: torch.device
    dtypes: Sequence[torch.dtype]
    inputs: Inputs
    # Devices that add up together, or ranks of the CPU.
    ranks: int = 1
    # Variants that this device or this PyTorch has no kernel for, and why.
    left_out: dict[str, str] = field(default_factory=dict)
    # The last few, since one call after another has the same weights. Nothing writes into them.
    _made: OrderedDict[tuple[object, ...], torch.Tensor] = field(default_factory=OrderedDict)

    def numbers(self, name: str, *shape: int, dtype: torch.dtype = torch.float32, scale: int = 0) -> torch.Tensor:
        """On the device. Rounded on the CPU, so that the device has no part in it."""
        return self._kept((name, shape, dtype, scale), lambda: self.inputs.numbers(name, *shape, scale=scale).to(dtype))

    def integers(self, name: str, *shape: int, below: int) -> torch.Tensor:
        """On the device, int64."""
        return self._kept((name, shape, below), lambda: self.inputs.integers(name, *shape, below=below))

    def _kept(self, key: tuple[object, ...], make: Callable[[], torch.Tensor]) -> torch.Tensor:
        found = self._made.pop(key, None)
        self._made[key] = make().to(self.device) if found is None else found
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return self._made[key]

    def can(self, variant: str, call: Callable[[], object]) -> bool:
        """Whether there is a kernel for it, tried with little; what there is none for is noted.

        @raises HarnessError for a device that is full or lost: that is no missing kernel
        """
        if variant in self.left_out:
            return False
        try:
            call()
        except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError) as error:
            known = explain(error)
            if known.code != "engine-failed":
                raise known from error
            self.left_out[variant] = describe(error).splitlines()[0][:200]
            return False
        return True


Probe = Callable[[Bench], Iterator[Case]]


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
