"""Given tokens in Model Runner V2, where vLLM cannot replay tokens itself (0.25 to 0.29).

That runner takes no custom logits processors. Its sampler draws a token from the logits, then takes the log-probability
of that token from the same logits: with another token put in the drawn one's place, the logits and all that the model
computes stay as they are. The replay of later versions does just that. Runs in the workers.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

from .means import GIVEN

# Methods of vllm.v1.worker.gpu.sample.sampler.Sampler (0.26.0), and what is read of their arguments.
_METHODS = {"add_request": {"req_idx", "prompt_len", "sampling_params"}, "sample": {"idx_mapping_np", "pos"}}


def install(sampler: Any) -> str | None:
    """In front of a sampler's methods, for as long as it lives. Gives the reason why it cannot be."""
    for name, needed in _METHODS.items():
        method = getattr(sampler, name, None)
        if method is None or not needed <= set(inspect.signature(method).parameters):
            return f"this vLLM cannot replay tokens, and its sampler's `{name}` is none that is known here"
    _Given(sampler)
    return None


class _Given:
    def __init__(self, sampler: Any) -> None:
        # The runner's row of a request -> tokens of its prompt, tokens that it is given.
        self._requests: dict[int, tuple[int, torch.Tensor]] = {}
        self._add, self._sample = sampler.add_request, sampler.sample
        self._added, self._sampled = inspect.signature(self._add), inspect.signature(self._sample)
        sampler.add_request, sampler.sample = self.add_request, self.sample

    def add_request(self, *args: Any, **kwargs: Any) -> None:
        self._add(*args, **kwargs)
        told = self._added.bind(*args, **kwargs).arguments
        # A row is another request's once its first one has ended.
        self._requests.pop(told["req_idx"], None)
        if tokens := (told["sampling_params"].extra_args or {}).get(GIVEN):
            self._requests[told["req_idx"]] = told["prompt_len"], torch.tensor(tokens)

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        result = self._sample(*args, **kwargs)
        drawn: torch.Tensor = result[0]
        told = self._sampled.bind(*args, **kwargs).arguments
        for row, index in enumerate(told["idx_mapping_np"].tolist()):
            if index in self._requests:
                prompt, tokens = self._requests[index]
                # Of the token that follows this position. A prefill that is not done draws one too, which is dropped.
                step = int(told["pos"][row]) + 1 - prompt
                if 0 <= step < len(tokens):
                    drawn[row] = tokens[step]
        return result
