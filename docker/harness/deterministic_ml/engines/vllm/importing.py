"""All that vLLM needs in memory before it loads a model, without a device.

vLLM itself imports the class of a model in a process of its own, to keep CUDA out of the one that asks: 10 s, which
find out what a class that is imported tells at once. Here it is imported where it will be used.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path

# What a start would import later. The engine's own: one that another version does not have is left out.
_LATER = (
    *("vllm.v1.engine.core", "vllm.v1.engine.llm_engine", "vllm.v1.executor.uniproc_executor"),
    *("vllm.v1.structured_output", "vllm.v1.sample.sampler", "vllm.v1.core.sched.scheduler"),
    *("vllm.model_executor.model_loader.default_loader", "vllm.tokenizers.hf", "vllm.renderers.hf"),
    # Only to log which arguments are not its defaults: 0.4 s of each load.
    *("vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args"),
)
_CPU = ("vllm.v1.worker.cpu_worker", "vllm.v1.worker.cpu_model_runner")
_GPU = ("vllm.v1.worker.gpu_worker", "vllm.v1.worker.gpu_model_runner")


def import_for(model: str) -> None:
    from vllm import LLM, EngineArgs, SamplingParams  # noqa: F401
    from vllm.platforms import current_platform

    from . import loading  # noqa: F401

    for name in (*_LATER, *(_CPU if current_platform.is_cpu() else _GPU)):
        # Whatever is wrong with it is told by the load that needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for architecture in _architectures(Path(model)):
        with contextlib.suppress(Exception):
            _bring_classes(architecture)


def _bring_classes(architecture: str) -> None:
    """The same classes, as ones that need no looking for: a model without a name is taken for another of its module."""
    from vllm import ModelRegistry

    known = ModelRegistry.models
    module = known[architecture].module_name
    for name in [name for name, entry in known.items() if getattr(entry, "module_name", None) == module]:
        ModelRegistry.register_model(name, known[name].load_model_cls())


def _architectures(model: Path) -> list[str]:
    """As the model's configuration names them; where it does not, as vLLM finds them by its type."""
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        if told := config.get("architectures"):
            return [name for name in told if isinstance(name, str)]
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as BY_TYPE

        return [BY_TYPE[config["model_type"]]]
    # Of a model that is none, the load has the words.
    except Exception:
        return []
