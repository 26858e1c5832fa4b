"""Sampling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .refusals import rejected

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
        return SamplingParams(**{**sampling, **explicit, **further})
    except Exception as error:
        raise rejected(error, "sampling: ") from error
