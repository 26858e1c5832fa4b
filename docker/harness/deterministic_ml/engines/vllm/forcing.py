"""A logits processor that lets one token through at each step. vLLM imports it by name, in its workers too."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from .means import GIVEN


class GivenTokens(AdapterLogitsProcessor):
    """Acts on requests that bring tokens, and on no others in their batch.

    Log-probabilities are taken from the logits before any processor, so that they stay the model's own.
    """

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        tokens = (params.extra_args or {}).get(GIVEN)
        return None if tokens is None else partial(_force, tokens)


def _force(tokens: list[int], generated: list[int], logits: torch.Tensor) -> torch.Tensor:
    if len(generated) >= len(tokens):
        # A scheduler that runs ahead asks for one more, which it drops.
        return logits
    forced = torch.full_like(logits, -torch.inf)
    forced[tokens[len(generated)]] = 0
    return forced
