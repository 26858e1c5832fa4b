"""Changes weights on their way from the file into the model: later they may be packed or spread over devices."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ....harness.errors import HarnessError
from ...common.weights import CHANGES, Change

if TYPE_CHECKING:
    import torch

# Tells the workers what to change, in JSON.
VARIABLE = "DETERMINISTIC_ML_PERTURBATION"


def install() -> Change | None:
    """Puts the change that VARIABLE asks for into the loader of this process; touches nothing without one."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return None
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    perturbation = json.loads(asked)
    change = CHANGES[perturbation["kind"]](perturbation)
    original = DefaultModelLoader.get_all_weights

    def get_all_weights(self: Any, model_config: Any, model: Any) -> Iterator[tuple[str, torch.Tensor]]:
        layers = model_config.get_total_num_hidden_layers()
        for name, weight in original(self, model_config, model):
            yield name, change.apply(name, weight, layers)

    DefaultModelLoader.get_all_weights = get_all_weights
    return change


def told(llm: Any) -> str:
    """What the workers changed; each of them reads the whole model, so they say the same."""
    for words in llm.collective_rpc("weight_changes"):
        if words is not None:
            return str(words)
    load_format = llm.llm_engine.vllm_config.load_config.load_format
    raise HarnessError("engine-failed", f"no weight fits the perturbation (load_format `{load_format}`): none changed")
