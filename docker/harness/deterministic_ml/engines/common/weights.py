"""Changes of single tensors: which one, and what of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ...harness.errors import HarnessError

if TYPE_CHECKING:
    import torch

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")
_DOWN = re.compile(r"\b(down_proj|mlp\.c_proj|fc2|dense_4h_to_h|w2)\.weight$")
_NO_LINEAR = re.compile(r"embed|norm|lm_head|conv", re.I)


class Change(Protocol):
    @property
    def told(self) -> str | None:
        """In words; null as long as nothing has been changed."""
        ...

    def apply(self, name: str, weight: torch.Tensor, layers: int) -> torch.Tensor: ...


class WeightBit:
    """Flips one bit of one weight: of the one that `at` names (tensor, index of it when flat, bit from the lowest), or
    else the lowest of one in the down-projection of the layer half-way up."""

    def __init__(self, perturbation: Mapping[str, Any]) -> None:
        self.told: str | None = None
        self._at: Mapping[str, Any] | None = perturbation.get("at")

    def apply(self, name: str, weight: torch.Tensor, layers: int) -> torch.Tensor:
        place = self._place(name, weight, layers)
        if self.told or place is None:
            return weight
        index, bit = place
        changed = flipped(weight, index, bit)
        row = ",".join(str(one) for one in _unravelled(index, weight.shape))
        before, after = (float(tensor.flatten()[index]) for tensor in (weight, changed))
        which = "lowest bit" if bit == 0 else f"bit {bit}"
        self.told = f"{which} of {name}[{row}]: {before!r} → {after!r}"
        return changed

    def _place(self, name: str, weight: torch.Tensor, layers: int) -> tuple[int, int] | None:
        if self._at is not None:
            return (self._at["index"], self._at["bit"]) if name == self._at["tensor"] else None
        if _layer(name) != layers // 2 or not _DOWN.search(name) or not _is_matrix(weight):
            return None
        rows, columns = weight.shape
        return 100 % rows * columns + 200 % columns, 0


class RoundWeights:
    """Rounds the matrices of linear layers to a narrower format and back, a scale for each output row."""

    def __init__(self, perturbation: Mapping[str, Any]) -> None:
        self._format = perturbation["format"]
        self._matrices = 0
        self._changed = 0

    @property
    def told(self) -> str | None:
        if self._changed == 0:
            return None
        return f"{self._changed} weights of {self._matrices} matrices, rounded to {self._format} and back"

    def apply(self, name: str, weight: torch.Tensor, layers: int) -> torch.Tensor:
        if not name.endswith(".weight") or _layer(name) is None or _NO_LINEAR.search(name) or not _is_matrix(weight):
            return weight
        changed = rounded(weight, self._format)
        self._matrices += 1
        self._changed += int((changed != weight).sum())
        return changed


CHANGES: Mapping[str, Callable[[Mapping[str, Any]], Change]] = {"weight-bit": WeightBit, "round-weights": RoundWeights}


def flipped(weight: torch.Tensor, index: int, bit: int) -> torch.Tensor:
    """A copy with one bit of the element at `index`, counted row by row, turned over."""
    import torch

    changed = weight.clone(memory_format=torch.contiguous_format)
    width = changed.element_size()
    if not (0 <= index < changed.numel() and 0 <= bit < 8 * width):
        raise HarnessError("protocol-violation", f"no bit {bit} of element {index} in a tensor of {weight.numel()}")
    # As bytes: no integer type holds each sign bit.
    byte = width * index + (bit // 8 if sys.byteorder == "little" else width - 1 - bit // 8)
    changed.view(-1).view(torch.uint8)[byte] ^= 1 << bit % 8
    return changed


def rounded(weight: torch.Tensor, to: str) -> torch.Tensor:
    import torch

    largest = {"int8": 127.0, "fp8": torch.finfo(torch.float8_e4m3fn).max}[to]
    exact = weight.float()
    # A row of zeros has no scale of its own.
    scale = (exact.abs().amax(dim=1, keepdim=True) / largest).clamp(min=torch.finfo(torch.float32).tiny)
    scaled = exact / scale
    narrow = scaled.round() if to == "int8" else scaled.to(torch.float8_e4m3fn).float()
    return (narrow * scale).to(weight.dtype)


def _layer(name: str) -> int | None:
    match = _LAYER.search(name)
    return None if match is None else int(match[1])


def _unravelled(index: int, shape: torch.Size) -> list[int]:
    places: list[int] = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.insert(0, place)
    return places


def _is_matrix(weight: torch.Tensor) -> bool:
    return bool(weight.dim() == 2 and weight.is_floating_point())
