"""What the probes are given: the same bits on every machine, with every PyTorch.

No generator of PyTorch: what its normal numbers are depends on the instructions of the CPU. SHAKE-256 gives bytes, and
all that is made of them is exact.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

_PREFIX = "deterministic-ml kernels"


@dataclass(frozen=True)
class Inputs:
    seed: int

    def numbers(self, name: str, *shape: int, scale: int = 0) -> torch.Tensor:
        """float32 on the CPU, evenly from [-1, 1) in steps of 2^-15, times 2^scale.

        The rows of a smaller tensor of a name are the first rows of a larger one.
        """
        return self._int16(name, shape).to(torch.float32) * 2.0 ** (scale - 15)

    def integers(self, name: str, *shape: int, below: int) -> torch.Tensor:
        """int64 on the CPU, from [0, below). @param below a power of two, 2^15 at most"""
        return self._int16(name, shape).to(torch.int64) & (below - 1)

    def _int16(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        count = torch.Size(shape).numel()
        data = hashlib.shake_256(f"{_PREFIX} {self.seed} {name}".encode()).digest(2 * count)
        return torch.frombuffer(bytearray(data), dtype=torch.int16).reshape(shape)
