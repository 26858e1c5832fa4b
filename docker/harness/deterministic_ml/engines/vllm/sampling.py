"""Sampling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...harness.errors import describe
from .refusals import rejected

FILE = "generation_config.json"
# What a server takes from a model's file where a request does not say it. Its stop tokens are taken from there in any
# case, and a suite always says the length.
_OF_MODEL = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
# What a suite can leave to the model, and to vLLM.
_TOLD = (
    *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
    *("min_tokens", "ignore_eos"),
)

# Of what is given, not chosen. Neutral, since a sampler may take another path for what is not.
GREEDY: Mapping[str, Any] = {
    "temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "presence_penalty": 0, "frequency_penalty": 0,
    "repetition_penalty": 1, "seed": None, "min_tokens": 0, "ignore_eos": True, "stop": [], "stop_token_ids": [],
}  # fmt: skip


def parameters(sampling: Mapping[str, Any], **further: Any) -> Any:
    """Everything explicit: a default that changes between versions would be a silent drift."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    explicit = {
        "n": 1,
        "logprobs": None,
        "prompt_logprobs": None,
        "detokenize": False,
        "skip_special_tokens": True,
        "spaces_between_special_tokens": True,
        "include_stop_str_in_output": False,
        "output_kind": RequestOutputKind.FINAL_ONLY,
    }
    try:
        return SamplingParams(**{**sampling, **_guide(sampling), **explicit, **further})
    except Exception as error:
        raise rejected(error, "sampling: ") from error


def _guide(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer must look like, as an object of vLLM's."""
    asked = sampling.get("structured_outputs")
    if asked is None:
        return {}
    from vllm.sampling_params import StructuredOutputsParams

    return {"structured_outputs": StructuredOutputsParams(**asked)}


def compile_at_once(core: Any) -> None:
    """What guides an answer is compiled as its request is queued: beside the steps, time would decide who shares them.

    @param core the engine's, where it runs in this process
    """
    manager: Any = getattr(core, "structured_output_manager", None)
    if manager is not None and hasattr(manager, "_use_async_grammar_compilation"):
        manager._use_async_grammar_compilation = False


def of_model(config: Any) -> dict[str, Any]:
    """What a server gives a request that says nothing: of the model's file, or of what the command line says of it."""
    return {name: value for name, value in config.get_diff_sampling_param().items() if name in _TOLD}


def told(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`sampling.NAME`: what a request gets that says nothing, vLLM's own defaults included."""
    own = parameters({"max_tokens": 1})
    return {f"sampling.{name}": defaults.get(name, getattr(own, name)) for name in _TOLD}


def unread(config: Any) -> dict[str, dict[str, Any]]:
    """File of the model -> what a server would sample by, and this engine does not; nothing where it does."""
    if config.generation_config != "vllm":
        return {}
    try:
        found = config.try_get_generation_config()
    except Exception as error:
        print(f"{FILE} cannot be read: {describe(error)}")
        return {}
    said = {name: found[name] for name in _OF_MODEL if isinstance(found.get(name), (bool, int, float, str))}
    return {FILE: said}
