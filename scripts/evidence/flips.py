"""An engine for `npm run evidence`: vLLM with one bit of its weights turned over, another one for each pass.

Loading a model for each bit would take an hour. So the weights of one module at a time are put in anew, as vLLM puts
them in when it loads (fused, and packed for the CPU), from the checkpoint with the bit turned over by the harness's own
perturbation, and put back from the checkpoint afterwards. `evidence.ts` adds this file to the harness as an engine of
its own. `engine.args` has the bits as `flips`; a pass named `3/…` runs with the fourth of them, one named `-/…` with
none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..harness.channel import Command, Progress
from . import vllm
from .observation import Pass

NAME = "flips"
PACKAGE = vllm.PACKAGE
DISTRIBUTIONS = vllm.DISTRIBUTIONS

# Matrices of the checkpoint that vLLM keeps as one.
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def load(model: str, command: Command, scratch: Path) -> Flips:
    args = dict(command["args"])
    flips = args.pop("flips")
    return Flips(vllm.load(model, {**command, "args": args}, scratch), Path(model), flips)


class Flips:
    def __init__(self, engine: Any, folder: Path, flips: list[dict[str, Any]]) -> None:
        from safetensors import safe_open

        self._engine = engine
        self._weights = safe_open(folder / "model.safetensors", framework="pt")
        (self._model,) = engine.loaded.llm.collective_rpc("get_model")
        self._flips = flips
        self._flipped: int | None = None
        self.dropped: list[str] = engine.dropped
        self.effective: dict[str, Any] = engine.effective
        self.perturbed: str | None = None

    def run(self, command: Command, progress: Progress) -> Pass:
        number = command["pass"].partition("/")[0]
        self._flip(None if number == "-" else int(number))
        result: Pass = self._engine.run(command, progress)
        return result

    def vocabulary(self, ids: Sequence[int]) -> dict[int, str]:
        texts: dict[int, str] = self._engine.vocabulary(ids)
        return texts

    def close(self) -> None:
        self._engine.close()

    def _flip(self, number: int | None) -> None:
        if number == self._flipped:
            return
        if self._flipped is not None:
            self._put(self._flips[self._flipped]["tensor"], None)
        if number is not None:
            self._put(self._flips[number]["tensor"], self._flips[number])
        self._flipped = number

    def _put(self, tensor: str, flip: dict[str, Any] | None) -> None:
        """Loads the module that has this tensor of the checkpoint, with the bit or without."""
        import torch

        name, parts = target(tensor)
        module = self._model.get_submodule(name.removesuffix(".weight"))
        weight = torch.cat([self._read(part, flip) for part in parts]).to(self._engine.config.model_config.dtype)
        with torch.inference_mode(False), torch.no_grad():
            if not hasattr(module, "cpu_linear"):
                module.weight.data.copy_(weight)
            elif module.weight.numel() == 0:
                # Packed, and the rest thrown away.
                module.weight = torch.nn.Parameter(weight, requires_grad=False)
                module.quant_method.process_weights_after_loading(module)
            else:
                module.weight.data.copy_(weight)
                for user in {module, getattr(self._model, "lm_head", module)}:
                    if user.weight.data_ptr() == module.weight.data_ptr():
                        user.quant_method.process_weights_after_loading(user)

    def _read(self, tensor: str, flip: dict[str, Any] | None) -> Any:
        from .common.weights import WeightBit

        weight = self._weights.get_tensor(tensor)
        if flip is None or flip["tensor"] != tensor:
            return weight
        change = WeightBit({"at": flip})
        changed = change.apply(tensor, weight, 0)
        print(f"now {change.told}", flush=True)
        return changed


def target(tensor: str) -> tuple[str, list[str]]:
    """vLLM's name of the parameter that has a tensor of the checkpoint, and all tensors that are in it, in order."""
    for fused, parts in FUSED.items():
        if match := re.search(rf"\b({'|'.join(parts)})\b", tensor):
            return tensor.replace(match[0], fused), [tensor.replace(match[0], part) for part in parts]
    return tensor, [tensor]
