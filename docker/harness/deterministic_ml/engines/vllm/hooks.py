"""Digests of what a model's modules give."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch


class Hooks:
    """Listens to every named module of a model, the model itself among them, until removed."""

    def __init__(self, model: torch.nn.Module) -> None:
        # In the order in which outputs were ready: children before their parents.
        self._digests: dict[str, dict[str, Any]] = {}
        self._handles = [
            module.register_forward_hook(partial(self._note, name or type(module).__name__))
            for name, module in model.named_modules()
        ]

    def remove(self) -> list[dict[str, Any]]:
        """`ModuleDigest` of the protocol, one for each module that gave a tensor."""
        for handle in self._handles:
            handle.remove()
        return list(self._digests.values())

    def _note(self, name: str, _module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        # The first forward pass counts; a module that layers share tells of the first of them.
        if name not in self._digests and (tensors := list(_tensors(output))):
            self._digests[name] = {"name": name, **digest(tensors)}


def digest(tensors: list[torch.Tensor]) -> dict[str, Any]:
    sha256 = hashlib.sha256()
    nans = 0
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().flatten()
        sha256.update(flat.view(torch.uint8).numpy())
        if flat.is_floating_point():
            # Eight-bit formats cannot be asked themselves.
            nans += int(flat.float().isnan().sum())
    return {"sha256": sha256.hexdigest(), "nans": nans}


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from _tensors(value)
    elif isinstance(tensors := getattr(output, "tensors", None), Mapping):
        # vLLM's IntermediateTensors, between the stages of a pipeline.
        yield from _tensors(tensors)
